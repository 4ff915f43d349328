//! The envelope of gRPC, gRPC-Web and Connect's streams, a byte of flags and a length of four: put in
//! front of messages, and taken off those that come in pieces.

use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::Run;

/// The length of an envelope's head.
pub const HEAD: usize = 5;

/// The message is compressed.
pub const COMPRESSED: u8 = 0b0000_0001;

/// What is reserved at most for a message that only announces its length.
const RESERVE: usize = 64 << 10;

/// Of a message that goes on, so many times what came of it is reserved at most: then it is seldom moved.
const GROWTH: usize = 16;

/// The head in front of a message. Messages are bounded far below 4 GiB wherever they are made.
pub fn head(flags: u8, length: usize) -> [u8; HEAD] {
    let [a, b, c, d] = u32::try_from(length).expect("a message is shorter than 4 GiB").to_be_bytes();
    [flags, a, b, c, d]
}

/// A message with its envelope's head in front, or without one, which are not copied together.
#[derive(Debug)]
pub struct Enveloped {
    head: [u8; HEAD],
    /// How much of the head is written; all of it where there is none.
    written: usize,
    bytes: Bytes,
}

impl Enveloped {
    /// Bytes without a head.
    pub fn plain(bytes: Bytes) -> Enveloped {
        Enveloped { head: [0; HEAD], written: HEAD, bytes }
    }

    /// Bytes behind a head.
    pub fn new(head: [u8; HEAD], bytes: Bytes) -> Enveloped {
        Enveloped { head, written: 0, bytes }
    }
}

impl Buf for Enveloped {
    fn remaining(&self) -> usize {
        HEAD - self.written + self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.written < HEAD { &self.head[self.written..] } else { &self.bytes }
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let parts = [&self.head[self.written..], &self.bytes[..]];
        let mut filled = 0;
        for (slot, part) in out.iter_mut().zip(parts.into_iter().filter(|part| !part.is_empty())) {
            *slot = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(HEAD - self.written);
        self.written += of_head;
        self.bytes.advance(count - of_head);
    }
}

/// What is wrong with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Flags that nobody knows.
    Flags(u8),
    /// The message is longer than its bound.
    TooLong,
}

/// Whether a message with these flags is compressed.
pub fn is_compressed(flags: u8) -> Result<bool, Wrong> {
    if flags & !COMPRESSED != 0 { Err(Wrong::Flags(flags)) } else { Ok(flags & COMPRESSED != 0) }
}

/// Takes messages out of a body that comes in pieces; no more is held than one message and one piece.
#[derive(Debug, Default)]
pub struct Pieces {
    /// What came and is not used yet.
    rest: Bytes,
    state: State,
}

/// What comes next.
#[derive(Debug)]
enum State {
    /// The head of an envelope, of which so much came.
    Head([u8; HEAD], usize),
    /// A message; the part of it that came in earlier pieces.
    Message { compressed: bool, length: usize, part: BytesMut },
}

impl Default for State {
    fn default() -> State {
        State::Head([0; HEAD], 0)
    }
}

impl Pieces {
    /// Adds the next piece. What came before must have been taken.
    pub fn push(&mut self, piece: Bytes) {
        debug_assert!(self.rest.is_empty());
        self.rest = piece;
    }

    /// Whether no message has begun.
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Head(_, 0)) && self.rest.is_empty()
    }

    /// Takes several small messages at once, where there are; see [`Run::take`].
    pub fn take_run(&mut self, limit: usize) -> Option<Run> {
        if matches!(self.state, State::Head(_, 0)) { Run::take(&mut self.rest, limit) } else { None }
    }

    /// The next message of at most `limit` bytes, and whether it is compressed; `None` where it is not whole.
    pub fn take(&mut self, limit: usize) -> Result<Option<(bool, Bytes)>, Wrong> {
        loop {
            match &mut self.state {
                State::Head(head, count) => {
                    let missing = (HEAD - *count).min(self.rest.len());
                    self.rest.copy_to_slice(&mut head[*count..*count + missing]);
                    *count += missing;
                    if *count < HEAD {
                        return Ok(None);
                    }
                    let [flags, length @ ..] = *head;
                    let compressed = is_compressed(flags)?;
                    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    if length > limit {
                        return Err(Wrong::TooLong);
                    }
                    self.state = State::Message { compressed, length, part: BytesMut::new() };
                }
                State::Message { compressed, length, part } => {
                    let missing = *length - part.len();
                    let message = if part.is_empty() && self.rest.len() >= missing {
                        self.rest.split_to(missing)
                    } else {
                        if self.rest.is_empty() {
                            return Ok(None);
                        }
                        let came = part.len() + missing.min(self.rest.len());
                        if came > part.capacity() {
                            let most = (*length).min(RESERVE.max(came.saturating_mul(GROWTH)));
                            part.reserve(most - part.len());
                        }
                        part.extend_from_slice(&self.rest.split_to(missing.min(self.rest.len())));
                        if part.len() < *length {
                            return Ok(None);
                        }
                        std::mem::take(part).freeze()
                    };
                    let compressed = *compressed;
                    self.state = State::default();
                    return Ok(Some((compressed, message)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_the_same_in_pieces_of_any_size() {
        for step in 1..12 {
            let mut chunk = Enveloped::new([1, 2, 3, 4, 5], Bytes::from_static(&[6, 7, 8, 9]));
            let mut read = Vec::new();
            while chunk.has_remaining() {
                let mut slots = [IoSlice::new(&[]), IoSlice::new(&[])];
                let filled = chunk.chunks_vectored(&mut slots);
                let vectored: Vec<u8> = slots[..filled].iter().flat_map(|slot| slot.to_vec()).collect();
                assert_eq!(vectored.len(), chunk.remaining());
                let part = &chunk.chunk()[..chunk.chunk().len().min(step)];
                assert!(vectored.starts_with(part));
                read.extend_from_slice(part);
                chunk.advance(part.len());
            }
            assert_eq!(read, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        }
    }

    #[test]
    fn advancing_past_the_head_reaches_the_bytes() {
        let mut chunk = Enveloped::new([1, 2, 3, 4, 5], Bytes::from_static(&[6, 7]));
        chunk.advance(6);
        assert_eq!(chunk.chunk(), [7]);
    }

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let body = b"\0\0\0\0\x02ab\x01\0\0\0\0\0\0\0\0\x03cde";
        for step in 1..body.len() {
            let mut pieces = Pieces::default();
            let mut found = Vec::new();
            for piece in body.chunks(step) {
                pieces.push(Bytes::from_static(piece));
                while let Some(message) = pieces.take(3).expect("within its bound") {
                    found.push(message);
                }
            }
            let expected = [(false, &b"ab"[..]), (true, b""), (false, b"cde")];
            assert!(found.iter().map(|(compressed, bytes)| (*compressed, &bytes[..])).eq(expected), "{step}: {found:?}");
            assert!(pieces.is_between());
        }
    }

    #[test]
    fn long_messages_and_unknown_flags_are_told_before_the_message_came() {
        for (head, wrong) in
            [(b"\0\0\0\0\x04", Wrong::TooLong), (b"\x02\0\0\0\0", Wrong::Flags(2)), (b"\0\xff\xff\xff\xff", Wrong::TooLong)]
        {
            let mut pieces = Pieces::default();
            pieces.push(Bytes::from_static(head));
            assert_eq!(pieces.take(3), Err(wrong));
        }
    }
}
