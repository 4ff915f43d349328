//! Bodies of replies. A unary reply is one chunk, its envelope in front without a copy.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::activity::UnsentGuard;
use super::envelope::HEAD;
use super::http::Streamed;
use super::stream::Outward;

/// A message with its envelope's head in front, or without one.
#[derive(Debug)]
pub(super) struct Chunk {
    head: [u8; HEAD],
    /// How much of the head is written; all of it where there is none.
    written: usize,
    bytes: Bytes,
    /// Lives as long as the bytes: hyper drops them when the client has taken them.
    _unsent: Option<UnsentGuard>,
}

impl Chunk {
    pub(super) fn plain(bytes: Bytes) -> Chunk {
        Chunk { head: [0; HEAD], written: HEAD, bytes, _unsent: None }
    }

    pub(super) fn enveloped(head: [u8; HEAD], bytes: Bytes) -> Chunk {
        Chunk { head, written: 0, bytes, _unsent: None }
    }

    /// The head and the message as one.
    pub(super) fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.remaining())
    }

    pub(super) fn held_by(mut self, unsent: Option<UnsentGuard>) -> Chunk {
        self._unsent = unsent;
        self
    }
}

impl Buf for Chunk {
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

/// The body of a reply.
#[derive(Debug)]
pub(super) enum Body {
    /// One chunk whose length is known, or nothing more.
    Whole(Option<Chunk>),
    /// A message if the call succeeded, then a second chunk: gRPC-Web, whose trailers are data.
    Two(Option<Chunk>, Option<Chunk>),
    /// A message, then trailers: gRPC.
    Trailed(Option<Chunk>, Option<HeaderMap>),
    /// The events of a call with streams.
    Stream(Box<Outward>),
    /// What a tonic service answers: reflection, and health's watch.
    Tonic(tonic::body::Body),
    /// What a service answers to plain HTTP, as it comes.
    Http(Box<Streamed>),
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Body {
        Body::Whole((!bytes.is_empty()).then(|| Chunk::plain(bytes)))
    }
}

impl http_body::Body for Body {
    type Data = Chunk;
    type Error = tonic::Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, tonic::Status>>> {
        match self.get_mut() {
            Body::Whole(chunk) => Poll::Ready(chunk.take().map(|chunk| Ok(Frame::data(chunk)))),
            Body::Two(first, second) => Poll::Ready(first.take().or_else(|| second.take()).map(|chunk| Ok(Frame::data(chunk)))),
            Body::Trailed(chunk, trailers) => {
                let frame = chunk.take().map(Frame::data).or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Body::Stream(stream) => stream.poll_frame(cx).map(|frame| frame.map(Ok)),
            Body::Tonic(body) => Pin::new(body).poll_frame(cx).map_ok(|frame| frame.map_data(Chunk::plain)),
            Body::Http(streamed) => streamed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(chunk) => chunk.is_none(),
            Body::Two(first, second) => first.is_none() && second.is_none(),
            Body::Trailed(chunk, trailers) => chunk.is_none() && trailers.is_none(),
            Body::Stream(stream) => stream.is_end(),
            Body::Tonic(body) => body.is_end_stream(),
            Body::Http(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let left = |chunk: &Option<Chunk>| chunk.as_ref().map_or(0, |chunk| chunk.remaining() as u64);
        match self {
            Body::Whole(chunk) => SizeHint::with_exact(left(chunk)),
            Body::Two(first, second) => SizeHint::with_exact(left(first) + left(second)),
            // Not exact: hyper would announce a length, which gRPC does not use.
            Body::Trailed(..) | Body::Stream(_) => SizeHint::default(),
            Body::Tonic(body) => body.size_hint(),
            Body::Http(streamed) => streamed.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_reads_the_same_in_pieces_of_any_size() {
        for step in 1..12 {
            let mut chunk = Chunk::enveloped([1, 2, 3, 4, 5], Bytes::from_static(&[6, 7, 8, 9]));
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
        let mut chunk = Chunk::enveloped([1, 2, 3, 4, 5], Bytes::from_static(&[6, 7]));
        chunk.advance(6);
        assert_eq!(chunk.chunk(), [7]);
    }
}
