//! A caller's messages, taken out of the body as they are asked for.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http_body::Body as _;
use hyper::body::Incoming;

use super::link::Link;
use crate::edge::compression::Encoding;
use crate::edge::envelope;
use crate::edge::web::Text;
use crate::rpc::envelope::Pieces;
use crate::rpc::{Payload, Route};
use crate::status::{Code, Status};

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
    pieces: Pieces,
}

impl Inward {
    pub(super) fn new(route: Route, encoding: Option<Encoding>, text: Option<Text>, body: Incoming, link: Option<Link>) -> Inward {
        Inward { route, encoding, text, body: Some(body), link, pieces: Pieces::default() }
    }

    /// The next message out of what came; `None` where it is not whole.
    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        let limit = self.route.max_request;
        match self.pieces.take(limit) {
            Ok(None) => Ok(None),
            Ok(Some((compressed, message))) => envelope::unpacked(self.encoding, compressed, message, limit).map(Some),
            Err(wrong) => Err(envelope::refused(wrong, limit)),
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
            if let Some(run) = self.pieces.take_run(self.route.max_request) {
                return Poll::Ready(Ok(Some(Payload::Run(run))));
            }
            if let Some(message) = self.take()? {
                return Poll::Ready(Ok(Some(Payload::Bytes(message))));
            }
            match ready!(self.poll_piece(cx))? {
                Some(piece) => self.pieces.push(piece),
                None if self.pieces.is_between() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Status::new(Code::InvalidArgument, "the request ends within a message"))),
            }
        }
    }

    /// Nothing more is read: what is left is not the caller's next message.
    fn end(&mut self) {
        self.pieces = Pieces::default();
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
