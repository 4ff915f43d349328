//! gRPC-Web: gRPC for clients that see no trailers. They come as a last envelope in the body.
//!
//! Source: gRPC, "PROTOCOL-WEB".

use base64::Engine as _;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response};
use hyper::body::Incoming;

use super::body::{Body, Chunk};
use super::request::Layout;
use super::unary::Peer;
use super::{compression, envelope, grpc};
use crate::rpc::headers::BASE64;
use crate::rpc::{self, Route};
use crate::status::{Code, Status};

/// Answers a unary call.
pub(super) async fn unary(
    peer: &Peer,
    route: Route,
    head: grpc::Head,
    request: &mut http::request::Parts,
    body: &mut Incoming,
) -> Response<Body> {
    let accepted = compression::accepted(request.headers.get(grpc::ACCEPT_ENCODING));
    let (name, layout) = (head.name, head.layout);
    let reply = match grpc::call(peer, route, head, request, body).await {
        Ok(reply) => reply,
        Err(status) => return error(name, layout, &status),
    };
    let unsent = peer.hold(reply.body.len());
    let (message, encoding) = envelope::packed(accepted, reply.body);
    let trailers = trailers(&rpc::grpc::ok_trailers(reply.trailers));
    let body = Body::Two(Some(laid_out(layout, message).held_by(unsent)), Some(laid_out(layout, trailers)));
    let mut response = Response::new(body);
    *response.headers_mut() = grpc::headers(name, reply.headers, encoding);
    response
}

/// A status as a reply without a message.
pub(super) fn error(name: &'static str, layout: Layout, status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::Two(None, Some(laid_out(layout, trailers(&grpc::error_trailers(status))))));
    *response.headers_mut() = grpc::headers(name, HeaderMap::new(), None);
    response
}

/// Trailers in an envelope, as a block of HTTP/1 headers.
pub(super) fn trailers(trailers: &HeaderMap) -> Chunk {
    let mut block = BytesMut::with_capacity(64);
    for (name, value) in trailers {
        block.put_slice(name.as_str().as_bytes());
        block.put_slice(b": ");
        block.put_slice(value.as_bytes());
        block.put_slice(b"\r\n");
    }
    Chunk::enveloped(envelope::trailers_head(block.len()), block.freeze())
}

/// A part of a reply as its body carries it.
pub(super) fn laid_out(layout: Layout, chunk: Chunk) -> Chunk {
    match layout {
        Layout::Bare | Layout::Enveloped => chunk,
        Layout::EnvelopedText => Chunk::plain(base64::engine::general_purpose::STANDARD.encode(chunk.into_bytes()).into()),
    }
}

/// Reads a body in base64, which may be of several parts, each padded.
pub(super) fn from_text(text: &[u8]) -> Result<Bytes, Status> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut reader = Text::default();
    reader.read(text, &mut out)?;
    reader.finish(&mut out)?;
    Ok(out.into())
}

/// Reads base64 as it comes, in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// The digits and padding of a group of four that has not come whole.
    begun: [u8; GROUP],
    count: usize,
}

/// Digits of base64 that make whole bytes.
const GROUP: usize = 4;

impl Text {
    /// Reads a piece, and appends the bytes that are whole.
    pub(super) fn read(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        let mut rest = piece.trim_ascii();
        while !rest.is_empty() {
            // Padding ends a part; the next one begins a group of its own.
            if self.count == 0 {
                let digits = rest.iter().position(|byte| *byte == b'=').unwrap_or(rest.len());
                let (groups, after) = rest.split_at(digits - digits % GROUP);
                decode(groups, out)?;
                rest = after;
            }
            let missing = (GROUP - self.count).min(rest.len());
            self.begun[self.count..self.count + missing].copy_from_slice(&rest[..missing]);
            self.count += missing;
            rest = &rest[missing..];
            if self.count == GROUP {
                self.count = 0;
                decode(&self.begun, out)?;
            }
        }
        Ok(())
    }

    /// Ends the text: its last part may lack its padding.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Status> {
        decode(&self.begun[..std::mem::take(&mut self.count)], out)
    }
}

fn decode(digits: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    BASE64.decode_vec(digits, out).map_err(|cause| Status::new(Code::InvalidArgument, "the request is not valid base64").because(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_pieces_of_any_size() {
        let text = b"YQ==YmM=ZGVmZ2hpamtsbW5vcA";
        for size in 1..text.len() {
            let (mut reader, mut out) = (Text::default(), Vec::new());
            for piece in text.chunks(size) {
                reader.read(piece, &mut out).expect("valid");
            }
            reader.finish(&mut out).expect("valid");
            assert_eq!(out, b"abcdefghijklmnop", "{size}");
        }
    }

    #[test]
    fn base64_is_read_in_parts() {
        assert_eq!(from_text(b"YQ==YmM=ZGVm").expect("three parts"), "abcdef");
        assert_eq!(from_text(b"YWI").expect("no padding"), "ab");
        assert_eq!(from_text(b"").expect("nothing"), "");
        for wrong in [&b"Y"[..], b"YQ=Q", b"=", b"Y*=="] {
            assert_eq!(from_text(wrong).expect_err("wrong").code(), Code::InvalidArgument, "{wrong:?}");
        }
    }
}
