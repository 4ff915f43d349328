//! The events of a reply, as the frames of its body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use futures::Stream as _;
use http::HeaderMap;
use http_body::Frame;
use tokio::time::{Sleep, sleep_until};

use super::gather::Gather;
use super::inward::gone;
use super::link::{Link, Skip};
use super::wire::{End, Wire};
use crate::edge::activity::{Activity, CallGuard};
use crate::edge::body::Chunk;
use crate::edge::compression::Encoding;
use crate::edge::unary::late;
use crate::edge::{envelope, web};
use crate::middleware::Progress;
use crate::rpc::{Event, Payload, Run};
use crate::status::{Code, Status};

/// The body of a reply with a stream. Nothing is asked of the handler before the client's connection
/// has room for it; dropping the body cancels the call.
pub(in crate::edge) struct Outward {
    wire: Wire,
    accepted: Option<Encoding>,
    /// `None` once the last one has passed: what the handler held is free by then.
    events: Option<Progress>,
    /// Comes a little after the deadline.
    late: Option<Pin<Box<Sleep>>>,
    /// How many messages are still allowed, where the reply has exactly one.
    due: Option<u8>,
    gather: Gather,
    /// Nothing came since the last turn of the lane was waited for.
    waited: bool,
    trailers: Option<HeaderMap>,
    link: Option<Link>,
    skip: Option<Skip>,
    activity: Arc<Activity>,
    _call: CallGuard,
}

/// How a reply is written.
pub(super) struct Manner {
    pub(super) wire: Wire,
    pub(super) accepted: Option<Encoding>,
    /// The reply has exactly one message, unless it fails.
    pub(super) one_message: bool,
    /// When the call is ended whatever its handler does.
    pub(super) limit: Option<Instant>,
    pub(super) link: Option<Link>,
}

impl Outward {
    pub(super) fn new(manner: Manner, events: Progress, activity: Arc<Activity>, call: CallGuard) -> Outward {
        let mut outward = Outward::without_events(manner, activity, call);
        outward.events = Some(events);
        outward
    }

    /// A reply that fails before it begins.
    pub(super) fn failed(manner: Manner, status: Status, activity: Arc<Activity>, call: CallGuard) -> Outward {
        let mut outward = Outward::without_events(manner, activity, call);
        outward.end(Err(status));
        outward
    }

    fn without_events(manner: Manner, activity: Arc<Activity>, mut call: CallGuard) -> Outward {
        call.streams();
        Outward {
            wire: manner.wire,
            accepted: manner.accepted,
            events: None,
            late: manner.limit.map(|limit| Box::pin(sleep_until(limit.into()))),
            due: manner.one_message.then_some(1),
            gather: Gather::default(),
            waited: false,
            trailers: None,
            link: manner.link,
            skip: None,
            activity,
            _call: call,
        }
    }

    pub(in crate::edge) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Chunk>>> {
        // Here and not where nothing is ready: a service may always have more to say.
        if !self.gather.is_full() && self.late.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready()) {
            self.fail(late());
        }
        loop {
            if self.gather.is_full()
                && let Some(chunk) = self.gather.take()
            {
                return Poll::Ready(Some(self.frame(chunk)));
            }
            let Some(events) = &mut self.events else { return self.poll_rest(cx) };
            match Pin::new(events).poll_next(cx) {
                Poll::Ready(Some(Event::Message(Payload::Run(run)))) => {
                    self.waited = false;
                    self.run(run);
                }
                Poll::Ready(Some(Event::Message(message))) => match message.bytes() {
                    Ok(message) => self.message(message),
                    Err(status) => self.fail(status),
                },
                Poll::Ready(Some(Event::End(Ok(trailers)))) => match self.due {
                    Some(1) => self.fail(wrong_count("ended without the one message of its reply")),
                    _ => self.end(Ok(trailers)),
                },
                Poll::Ready(Some(Event::End(Err(status)))) => self.end(Err(status)),
                Poll::Ready(None) => self.fail(Status::new(Code::Internal, "the service's reply broke off")),
                Poll::Pending => {
                    // A guest that sends many has its turn between two of its batches, and so would each
                    // of them have a system call.
                    if self.gather.has_many() && !std::mem::replace(&mut self.waited, true) {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if let Some(chunk) = self.gather.take() {
                        return Poll::Ready(Some(self.frame(chunk)));
                    }
                    if self.link.as_ref().is_some_and(|link| link.poll_lost(cx)) {
                        self.fail(gone());
                        continue;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether there is nothing more to come.
    pub(in crate::edge) fn is_end(&self) -> bool {
        self.events.is_none() && self.gather.is_empty() && self.trailers.is_none() && self.link.is_none() && self.skip.is_none()
    }

    /// Messages in the envelopes that all protocols have, unless something is to be done to each.
    fn run(&mut self, run: Run) {
        if self.accepted.is_none() && self.due.is_none() {
            return self.gather.push_run(&run);
        }
        for message in run {
            self.message(message);
        }
    }

    fn message(&mut self, message: Bytes) {
        if let Some(due) = &mut self.due {
            let Some(left) = due.checked_sub(1) else {
                return self.fail(wrong_count("sent more than the one message of its reply"));
            };
            *due = left;
        }
        let length = message.len();
        let (chunk, _) = envelope::packed(self.accepted, message);
        self.gather.push(chunk, length);
    }

    /// Ends the stream for a reason that the handler did not give.
    fn fail(&mut self, status: Status) {
        if let Some(events) = self.events.take() {
            events.fail(&status);
        }
        self.end(Err(status));
    }

    fn end(&mut self, result: Result<HeaderMap, Status>) {
        self.events = None;
        self.late = None;
        match self.wire.end(result) {
            End::Trailers(trailers) => self.trailers = Some(trailers),
            End::Envelope(chunk) => self.gather.push(chunk, 0),
        }
        self.skip = self.link.take().and_then(|link| link.skip());
    }

    /// What follows the last event.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Chunk>>> {
        if let Some(chunk) = self.gather.take() {
            return Poll::Ready(Some(self.frame(chunk)));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Frame::trailers(trailers)));
        }
        if let Some(skip) = &mut self.skip {
            std::task::ready!(skip.poll(cx));
            self.skip = None;
        }
        Poll::Ready(None)
    }

    fn frame(&self, chunk: Chunk) -> Frame<Chunk> {
        let chunk = web::laid_out(self.wire.layout(), chunk);
        let held = self.activity.hold_streamed(chunk.remaining());
        Frame::data(chunk.held_by(Some(held)))
    }
}

impl std::fmt::Debug for Outward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outward").field("wire", &self.wire).finish_non_exhaustive()
    }
}

/// A service that does not keep to its own method: gRPC's servers call this `internal`.
fn wrong_count(what: &str) -> Status {
    Status::new(Code::Internal, format!("the service {what}"))
}
