//! The body of a response on its way out of an instance.
//!
//! Its end is told to the instance and to the guest, well or not; and an instance that dies in the
//! middle ends it with an error, since the bytes so far must not pass for the whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::WasiBody;

use super::door::Sent;
use super::gate::Waiting;
use crate::rpc::HttpBody;
use crate::status::{Code, Status};
use crate::wasm::call::Outcome;

/// How the call of a response fares.
pub(super) enum Fate {
    /// It is under way, and this hears of its end.
    Open(oneshot::Receiver<Outcome>),
    /// It has ended, and well unless there is a status.
    Ended(Option<Status>),
}

impl Fate {
    /// What came of a call.
    pub(super) fn of(ended: Result<Outcome, oneshot::error::RecvError>) -> Fate {
        Fate::Ended(match ended {
            Ok(outcome) => outcome.err(),
            Err(_) => Some(Status::new(Code::Unavailable, "the service is being stopped")),
        })
    }

    fn look(&mut self) {
        if let Fate::Open(outcome) = self {
            match outcome.try_recv() {
                Ok(ended) => *self = Fate::of(Ok(ended)),
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => {
                    *self = Fate::Ended(Some(Status::new(Code::Unavailable, "the service is being stopped")))
                }
            }
        }
    }

    /// How the call failed, if it has.
    fn failure(&mut self) -> Option<Status> {
        self.look();
        match self {
            Fate::Open(_) => None,
            Fate::Ended(failure) => failure.take(),
        }
    }
}

/// Who hears of a body's end.
pub(super) struct End {
    pub(super) fate: Fate,
    pub(super) waiting: Waiting,
    pub(super) over: oneshot::Sender<Sent>,
    pub(super) sent: oneshot::Sender<Sent>,
    /// The call goes on when its body has ended: it is a function that has not returned.
    pub(super) goes_on: bool,
    /// For how long at most.
    pub(super) linger: Duration,
}

impl End {
    /// The body has been taken, whole.
    fn well(mut self) {
        // The instance, or the guest, may have gone without waiting for this.
        let _ = self.sent.send(());
        let _ = self.over.send(());
        self.fate.look();
        match self.fate {
            Fate::Open(outcome) if self.goes_on => self.waiting.linger(outcome, self.linger),
            _ => self.waiting.over(),
        }
    }

    /// The body was given up. A function that still writes it has nobody to write for; what has
    /// returned sees its stream closed.
    fn given_up(mut self) {
        self.fate.look();
        if !self.goes_on || matches!(self.fate, Fate::Ended(_)) {
            self.waiting.over();
        }
    }
}

/// The body of a response.
pub(super) struct Answer {
    inner: WasiBody,
    end: Option<End>,
    /// What is still to come; `None` where nobody said how much there is.
    left: Option<u64>,
    timer: Pin<Box<Sleep>>,
    /// How long the guest may take from one piece to the next.
    pause: Duration,
    /// Something has come since the timer was set.
    moved: bool,
}

impl Answer {
    /// The response with this body. `bodiless` where the request wants none, as HEAD does.
    pub(super) fn of(
        response: Response<WasiBody>,
        end: End,
        bodiless: bool,
        timer: Pin<Box<Sleep>>,
        pause: Duration,
    ) -> Response<HttpBody> {
        let none = bodiless || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = if none { Some(0) } else { announced };
        response.map(|inner| Answer { inner, end: Some(end), left, timer, pause, moved: true }.boxed_unsync())
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            // One timer for the whole response: it is set again only when it has run out.
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(Status::new(Code::DeadlineExceeded, "the service paused too long within its response"));
            }
            self.timer.as_mut().reset(Instant::now() + self.pause);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let me = &mut *self;
        match Pin::new(&mut me.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                me.moved = true;
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                me.left = me.left.map(|left| left.saturating_sub(length));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let failure = me.end.as_mut().and_then(|end| end.fate.failure());
                if let Some(end) = me.end.take() {
                    end.given_up();
                }
                let broken = || Status::new(Code::Internal, "the service broke its response off").because(error.to_string());
                Poll::Ready(Some(Err(failure.unwrap_or_else(broken))))
            }
            Poll::Ready(None) => {
                // The pipes of an instance that died look as if they had been closed.
                let failure = me.end.as_mut().and_then(|end| end.fate.failure());
                if let Some(end) = me.end.take() {
                    end.well();
                }
                Poll::Ready(failure.map(Err))
            }
            Poll::Pending => {
                let late = ready!(me.poll_pause(cx));
                if let Some(end) = me.end.take() {
                    end.given_up();
                }
                Poll::Ready(Some(Err(late)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Not before the outcome has been looked at.
        self.end.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(end) = self.end.take() else { return };
        // HTTP asks for no more than was announced.
        if self.left == Some(0) { end.well() } else { end.given_up() }
    }
}
