//! A caller's messages, taken out of the body as they are asked for.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::Stream;
use http_body::Body as _;
use hyper::body::Incoming;

use super::link::Link;
use crate::edge::compression::Encoding;
use crate::edge::envelope::{self, HEAD};
use crate::edge::web::Text;
use crate::rpc::{Payload, Route, Run};
use crate::status::{Code, Status};

/// What is reserved at most for a message that only announces its length.
const RESERVE: usize = 64 << 10;

/// Of a message that goes on, so many times what came of it is reserved at most: then it is seldom moved.
const GROWTH: usize = 16;

/// The messages of a body in envelopes, of which nothing is read ahead.
pub(super) struct Inward {
    route: Route,
    encoding: Option<Encoding>,
    /// Where the body is in base64.
    text: Option<Text>,
    /// `None` once it has ended.
    body: Option<Incoming>,
    /// To the reply, in HTTP/1.
    link: Option<Link>,
    /// What came and is not used yet.
    rest: Bytes,
    state: State,
}

/// What comes next.
enum State {
    /// The head of an envelope, of which so much came.
    Head([u8; HEAD], usize),
    /// A message; the part of it that came in earlier pieces.
    Message { compressed: bool, length: usize, part: BytesMut },
}

/// Between two messages.
const BETWEEN: State = State::Head([0; HEAD], 0);

impl Inward {
    pub(super) fn new(route: Route, encoding: Option<Encoding>, text: Option<Text>, body: Incoming, link: Option<Link>) -> Inward {
        Inward { route, encoding, text, body: Some(body), link, rest: Bytes::new(), state: BETWEEN }
    }

    /// The next message out of what came; `None` where it is not whole.
    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            match &mut self.state {
                State::Head(head, count) => {
                    let missing = (HEAD - *count).min(self.rest.len());
                    self.rest.copy_to_slice(&mut head[*count..*count + missing]);
                    *count += missing;
                    if *count < HEAD {
                        return Ok(None);
                    }
                    let (compressed, length) = envelope::read(*head, self.route.max_request)?;
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
                    self.state = BETWEEN;
                    return envelope::unpacked(self.encoding, compressed, message, self.route.max_request).map(Some);
                }
            }
        }
    }

    /// The next piece of the body, in bytes; `None` at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
            let piece = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => piece,
                    // Trailers of a request carry nothing that we use.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.body = None;
                    let status = broken(error);
                    if status.code() == Code::Canceled
                        && let Some(link) = &self.link
                    {
                        link.lose();
                    }
                    return Poll::Ready(Err(status));
                }
                None => {
                    self.body = None;
                    let Some(text) = &mut self.text else { return Poll::Ready(Ok(None)) };
                    let mut last = Vec::new();
                    text.finish(&mut last)?;
                    last.into()
                }
            };
            let piece = match &mut self.text {
                Some(text) if self.body.is_some() => {
                    let mut bytes = Vec::with_capacity(piece.len() / 4 * 3 + 3);
                    text.read(&piece, &mut bytes)?;
                    bytes.into()
                }
                _ => piece,
            };
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece)));
            }
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Payload>, Status>> {
        loop {
            if matches!(self.state, State::Head(_, 0))
                && let Some(run) = Run::take(&mut self.rest, self.route.max_request)
            {
                return Poll::Ready(Ok(Some(Payload::Run(run))));
            }
            if let Some(message) = self.take()? {
                return Poll::Ready(Ok(Some(Payload::Bytes(message))));
            }
            match ready!(self.poll_piece(cx))? {
                Some(piece) => self.rest = piece,
                None if matches!(self.state, State::Head(_, 0)) => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Status::new(Code::InvalidArgument, "the request ends within a message"))),
            }
        }
    }

    /// Nothing more is read: what is left is not the caller's next message.
    fn end(&mut self) {
        self.rest = Bytes::new();
        self.state = BETWEEN;
        if let (Some(body), Some(link)) = (self.body.take(), &self.link) {
            link.leave(body);
        }
    }
}

impl Stream for Inward {
    type Item = Result<Payload, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Payload, Status>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_message(cx)).transpose();
        match &next {
            Some(Ok(messages)) => {
                this.route.stats.received.fetch_add(messages.count() as u64, Relaxed);
            }
            Some(Err(_)) | None => this.end(),
        }
        Poll::Ready(next)
    }
}

impl Drop for Inward {
    fn drop(&mut self) {
        self.end();
    }
}

/// A body that ended with an error: what is not HTTP is the caller's mistake, else the caller went
/// away.
fn broken(error: hyper::Error) -> Status {
    let wrong = std::error::Error::source(&error)
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| matches!(cause.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData));
    let status = if wrong { Status::new(Code::InvalidArgument, "the request's body is not valid HTTP") } else { gone() };
    status.because(error)
}

/// A call whose caller went away.
pub(super) fn gone() -> Status {
    Status::new(Code::Canceled, "the caller went away")
}
