//! What a message is written into: one buffer, and the bound of its length.

use super::fault::Fault;

/// Where the buffer begins; most replies stay within.
const CAPACITY: usize = 512;

/// A message that is being written.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// A message of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Output {
        Output { bytes: Vec::with_capacity(CAPACITY), limit }
    }

    /// Fails where the message has outgrown its limit already: to be asked in every loop, so that a
    /// long list does not grow far beyond.
    pub(super) fn within_limit(&self) -> Result<(), Fault> {
        if self.bytes.len() > self.limit { Err(self.too_large()) } else { Ok(()) }
    }

    /// The message, which is complete.
    pub(super) fn finish(self) -> Result<Vec<u8>, Fault> {
        self.within_limit()?;
        Ok(self.bytes)
    }

    /// The message holds more than its limit, or than its format can count.
    pub(super) fn too_large(&self) -> Fault {
        too_large(self.limit)
    }
}

/// A message would have more than `limit` bytes.
pub(super) fn too_large(limit: usize) -> Fault {
    Fault::too_many(format!("the reply is over {limit} bytes; ask for less of it, or raise the limit"))
}
