//! The envelope of gRPC, gRPC-Web and Connect's streams: a byte of flags and a length of four.

use bytes::Bytes;

use super::body::Chunk;
use super::compression::{self, Encoding};
use super::request;
use crate::rpc::envelope::{self, COMPRESSED, HEAD, Wrong};
use crate::status::{Code, Status};

/// Connect: the envelope holds the end of the stream.
const END: u8 = 0b0000_0010;

/// gRPC-Web: the envelope holds trailers.
const TRAILERS: u8 = 0b1000_0000;

/// The head in front of a message.
pub(super) fn head(compressed: bool, length: usize) -> [u8; HEAD] {
    envelope::head(if compressed { COMPRESSED } else { 0 }, length)
}

/// The head in front of gRPC-Web's trailers.
pub(super) fn trailers_head(length: usize) -> [u8; HEAD] {
    envelope::head(TRAILERS, length)
}

/// The head in front of the end of a Connect stream.
pub(super) fn end_head(length: usize) -> [u8; HEAD] {
    envelope::head(END, length)
}

/// A reply's message in its envelope, and the encoding where it is compressed.
pub(super) fn packed(accepted: Option<Encoding>, message: Bytes) -> (Chunk, Option<Encoding>) {
    match compression::pack(accepted, &message) {
        Some((encoding, packed)) => (Chunk::enveloped(head(true, packed.len()), packed), Some(encoding)),
        None => (Chunk::enveloped(head(false, message.len()), message), None),
    }
}

/// The length that a head announces, once there is a whole head.
pub(super) fn announced(body: &[u8]) -> Option<usize> {
    let (_, rest) = body.split_first()?;
    let length = rest.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

/// What a caller is told whose envelope is wrong.
pub(super) fn refused(wrong: Wrong, limit: usize) -> Status {
    match wrong {
        Wrong::TooLong => request::too_long(limit),
        Wrong::Flags(flags) => Status::new(Code::Internal, format!("the request's envelope has unknown flags: {flags:#04x}")),
    }
}

/// A request's message as it was before its caller compressed it, in at most `limit` bytes.
pub(super) fn unpacked(encoding: Option<Encoding>, compressed: bool, message: Bytes, limit: usize) -> Result<Bytes, Status> {
    match encoding {
        Some(encoding) if compressed => compression::unpack(encoding, &message, limit),
        // gRPC, "PROTOCOL-HTTP2", "Message-Encoding": the flag without an encoding is an error of
        // the protocol.
        None if compressed => Err(Status::new(Code::Internal, "a message is flagged as compressed, and the headers name no compression")),
        _ if message.len() > limit => Err(request::too_long(limit)),
        _ => Ok(message),
    }
}

/// A call whose caller does not stream, with more than its one message.
pub(super) fn more_than_one() -> Status {
    Status::new(Code::Unimplemented, "this method takes one message, and the request has more")
}

/// Takes the one message out of the body of a call whose caller does not stream, and whether it is
/// compressed.
pub(super) fn only_message(body: &Bytes) -> Result<(bool, Bytes), Status> {
    if body.is_empty() {
        // The code that gRPC's own implementations answer when the count of messages is wrong.
        return Err(Status::new(Code::Unimplemented, "this method takes one message, and the request has none"));
    }
    let length = announced(body).filter(|length| body.len() - HEAD >= *length).ok_or_else(|| {
        Status::new(Code::InvalidArgument, format!("the request ends within its message: {} bytes with the envelope", body.len()))
    })?;
    let compressed = envelope::is_compressed(body[0]).map_err(|wrong| refused(wrong, length))?;
    if body.len() > HEAD + length {
        return Err(more_than_one());
    }
    Ok((compressed, body.slice(HEAD..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &'static [u8]) -> Code {
        only_message(&Bytes::from_static(body)).expect_err("not one message").code()
    }

    #[test]
    fn one_message_is_taken_out() {
        assert_eq!(only_message(&Bytes::from_static(b"\0\0\0\0\x02ab")).expect("one"), (false, Bytes::from_static(b"ab")));
        assert_eq!(only_message(&Bytes::from_static(b"\x01\0\0\0\0")).expect("one"), (true, Bytes::new()));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(code(b""), Code::Unimplemented);
        assert_eq!(code(b"\0\0\0\0\x01a\0\0\0\0\x01b"), Code::Unimplemented);
        assert_eq!(code(b"\0\0\0\0"), Code::InvalidArgument);
        assert_eq!(code(b"\0\0\0\0\x02a"), Code::InvalidArgument);
        assert_eq!(code(b"\x02\0\0\0\x01a"), Code::Internal);
        assert_eq!(code(b"\0\xff\xff\xff\xffa"), Code::InvalidArgument);
    }
}
