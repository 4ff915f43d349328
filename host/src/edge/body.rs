//! Bodies of replies. A unary reply is one chunk, its envelope in front without a copy.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::activity::UnsentGuard;
use super::http::Streamed;
use super::stream::Outward;
use crate::rpc::envelope::{Enveloped, HEAD};

/// A message with its envelope's head in front, or without one.
#[derive(Debug)]
pub(super) struct Chunk {
    message: Enveloped,
    /// Lives as long as the bytes: hyper drops them when the client has taken them.
    _unsent: Option<UnsentGuard>,
}

impl Chunk {
    pub(super) fn plain(bytes: Bytes) -> Chunk {
        Chunk { message: Enveloped::plain(bytes), _unsent: None }
    }

    pub(super) fn enveloped(head: [u8; HEAD], bytes: Bytes) -> Chunk {
        Chunk { message: Enveloped::new(head, bytes), _unsent: None }
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
        self.message.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.message.chunk()
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.message.chunks_vectored(out)
    }

    fn advance(&mut self, count: usize) {
        self.message.advance(count);
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
