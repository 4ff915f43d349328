//! The messages of a connection: each says what it is, the how many-th of its side it is, and the rest.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Bytes before the body.
pub(super) const HEAD: usize = 5;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks for a connection. Its body is the room that its sender has for bytes, as a number of 32 bits.
    Open,
    /// Takes the connection; the body is as in [`Kind::Open`].
    Accept,
    /// Does not take it; the body is why, as text.
    Refuse,
    /// Bytes.
    Data,
    /// Tells how much was read of all that was sent, as a number of 64 bits; see [`cost`].
    Taken,
    /// No bytes come any more.
    End,
    /// No bytes come any more, and none are read.
    Close,
}

/// The kinds by the byte that stands for each.
const KINDS: [(u8, Kind); 7] =
    [(1, Kind::Open), (2, Kind::Accept), (3, Kind::Refuse), (4, Kind::Data), (5, Kind::Taken), (6, Kind::End), (7, Kind::Close)];

impl Kind {
    fn byte(self) -> u8 {
        KINDS.iter().find(|(_, kind)| *kind == self).expect("each kind is in the table").0
    }
}

/// What a message of so many bytes takes of the other side's room: a short one costs it more memory than it
/// has bytes.
pub(super) fn cost(bytes: usize) -> u64 {
    const EACH: usize = 128;
    bytes.saturating_add(EACH) as u64
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Counted from 0 for each side, and on from 0 after the last one of 32 bits.
    pub(super) number: u32,
    pub(super) body: Bytes,
}

impl Frame {
    /// Reads a message.
    pub(super) fn read(mut payload: Bytes) -> Option<Frame> {
        let head = payload.first_chunk::<HEAD>().copied()?;
        let kind = KINDS.iter().find(|(byte, _)| *byte == head[0])?.1;
        let number = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        Some(Frame { kind, number, body: payload.split_off(HEAD) })
    }

    /// The body as the room that a side has.
    pub(super) fn window(&self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.body.first_chunk()?))
    }

    /// The body as what was read of all.
    pub(super) fn taken(&self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.body.first_chunk()?))
    }
}

/// Makes a message.
pub(super) fn write(kind: Kind, number: u32, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + body.len());
    bytes.put_slice(&[0; HEAD]);
    bytes.put_slice(body);
    entitle(&mut bytes, kind, number);
    bytes.freeze()
}

/// Writes the head of a message into the room that was left for it before the body.
pub(super) fn entitle(message: &mut BytesMut, kind: Kind, number: u32) {
    message[0] = kind.byte();
    message[1..HEAD].copy_from_slice(&number.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for (_, kind) in KINDS {
            let frame = Frame::read(write(kind, 0x0102_0304, b"abc")).expect("a message");
            assert_eq!(frame, Frame { kind, number: 0x0102_0304, body: Bytes::from_static(b"abc") });
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for bytes in [&b""[..], b"\x04\0\0\0", b"\x00\0\0\0\0", b"\x08\0\0\0\0", b"{\"a\":1}"] {
            assert_eq!(Frame::read(Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
        let short = Frame::read(write(Kind::Taken, 0, b"abc")).expect("a message");
        assert_eq!((short.window(), short.taken()), (None, None));
    }
}
