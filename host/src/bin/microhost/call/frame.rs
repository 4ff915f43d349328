//! The frames of gRPC, gRPC-Web and Connect's streams: a byte of flags, four of length, a message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use microhost::status::Code;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// The length of what stands before a message.
const PREFIX: usize = 5;

/// The flag of a message that is compressed.
pub const PACKED: u8 = 0x01;
/// The flag of Connect's last frame.
pub const END_STREAM: u8 = 0x02;
/// The flag of gRPC-Web's trailers.
pub const TRAILERS: u8 = 0x80;

/// A message as a frame.
pub fn framed(message: &[u8]) -> Outcome<Bytes> {
    let length = u32::try_from(message.len())
        .map_err(|_| Failure::new(Exit::Usage, "a message of more than 4 GiB cannot be sent").advise("smaller messages"))?;
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// Frames out of a body as it comes.
pub struct Frames {
    buffer: BytesMut,
    /// The most bytes of one message.
    limit: usize,
}

impl Frames {
    /// Frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Frames {
        Frames { buffer: BytesMut::new(), limit }
    }

    /// Takes what came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The flags and the payload of the next frame; `None` where more has to come for it.
    pub fn next(&mut self) -> Outcome<Option<(u8, Bytes)>> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let flags = prefix[0];
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if flags & PACKED != 0 {
            return Err(Failure::new(
                Exit::Status(Code::Internal),
                "internal: the host sent a compressed message, which it was not asked for",
            ));
        }
        if length > self.limit {
            return Err(too_long(length, self.limit));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some((flags, self.buffer.split_to(length).freeze())))
    }

    /// Whether a frame has begun that is not complete.
    pub fn is_midway(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// The failure of a message over the limit.
pub fn too_long(length: usize, limit: usize) -> Failure {
    Failure::new(Exit::Status(Code::ResourceExhausted), format!("resource_exhausted: a message of {length} bytes came, over {limit}"))
        .advise("--max-message with a larger size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_body_is_cut() {
        let mut body = framed(b"one").ok().expect("a frame").to_vec();
        body.extend_from_slice(&framed(b"").ok().expect("a frame"));
        body.extend_from_slice(&[TRAILERS, 0, 0, 0, 1, b'x']);
        for size in 1..=body.len() {
            let mut frames = Frames::new(8);
            let mut found = Vec::new();
            for piece in body.chunks(size) {
                frames.push(piece);
                while let Some(frame) = frames.next().ok().expect("frames") {
                    found.push(frame);
                }
            }
            assert_eq!(found, [(0, Bytes::from_static(b"one")), (0, Bytes::new()), (TRAILERS, Bytes::from_static(b"x"))]);
            assert!(!frames.is_midway());
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_prefix() {
        let mut frames = Frames::new(8);
        frames.push(&[0, 0, 0, 0, 9]);
        assert_eq!(frames.next().err().map(|failure| failure.exit()), Some(Exit::Status(Code::ResourceExhausted)));
        let mut frames = Frames::new(8);
        frames.push(&[PACKED, 0, 0, 0, 1]);
        assert_eq!(frames.next().err().map(|failure| failure.exit()), Some(Exit::Status(Code::Internal)));
    }
}
