//! How a call of values is written where it has to leave the host.

use std::fmt;

use bytes::Bytes;

use crate::schema::Value;
use crate::status::Status;

/// What a caller knows of the function that it calls with values, so that a channel whose callee is
/// elsewhere can send bytes. Messages are protobuf's. Within a host nobody asks it.
pub trait Plan: fmt::Debug + Send + Sync {
    /// Writes a message of the caller's: all arguments of the function as one record, or one element
    /// where they stream.
    ///
    /// Fails with `resource_exhausted` over `limit` bytes.
    fn request(&self, value: Value, limit: usize) -> Result<Bytes, Status>;

    /// Reads a message of the reply: the whole result, or one element where it streams.
    ///
    /// Fails with `internal` where the bytes are no such message.
    fn reply(&self, message: &[u8]) -> Result<Value, Status>;

    /// Puts what the function returns for a failure into its status, as [`Status::take_value`] finds it,
    /// where the status tells; `begun` says whether the reply had begun to stream.
    fn failed(&self, status: Status, begun: bool) -> Status;
}
