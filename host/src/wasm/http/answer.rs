//! The body of a response on its way out of an instance.
//!
//! Its end is told to the instance and to the guest, well or not; and an instance that dies in the
//! middle ends it with an error, since the bytes so far must not pass for the whole.

use std::collections::VecDeque;
use std::future::poll_fn;
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
use super::waiting::Waiting;
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
    /// What came before the response's head went out.
    held: VecDeque<Result<Frame<Bytes>, Status>>,
    /// Nothing comes after that.
    whole: bool,
}

/// Turns of the lane for which the head of a response waits, so that it goes out with the body of a
/// short one: one packet rather than three, and a length rather than chunks.
const TURNS: usize = 4;

impl Answer {
    /// The response with this body. `bodiless` where the request wants none, as HEAD does.
    pub(super) async fn of(
        response: Response<WasiBody>,
        end: End,
        bodiless: bool,
        timer: Pin<Box<Sleep>>,
        pause: Duration,
    ) -> Response<HttpBody> {
        let none = bodiless || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = if none { Some(0) } else { announced };
        let (head, inner) = response.into_parts();
        let mut answer = Answer { inner, end: Some(end), left, timer, pause, moved: true, held: VecDeque::new(), whole: false };
        if !none {
            answer.gather().await;
        }
        Response::from_parts(head, answer.boxed_unsync())
    }

    /// Waits a few turns for the first piece and for the end.
    async fn gather(&mut self) {
        for _ in 0..TURNS {
            match poll_fn(|cx| Poll::Ready(self.poll_inner(cx))).await {
                Poll::Ready(None) => {
                    self.whole = true;
                    return;
                }
                Poll::Ready(Some(frame)) => {
                    let broken = frame.is_err();
                    self.held.push_back(frame);
                    if broken {
                        return;
                    }
                }
                // The instance has its turn now.
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.moved = true;
                if let Some(end) = &self.end {
                    end.waiting.progressed();
                }
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let broken = || Status::new(Code::Internal, "the service broke its response off").because(error.to_string());
                Poll::Ready(Some(Err(self.give_up().unwrap_or_else(broken))))
            }
            Poll::Ready(None) => {
                let Some(mut end) = self.end.take() else { return Poll::Ready(None) };
                // The pipes of an instance that died look as if they had been closed.
                match end.fate.failure() {
                    Some(failure) => {
                        end.given_up();
                        Poll::Ready(Some(Err(failure)))
                    }
                    None => {
                        end.well();
                        Poll::Ready(None)
                    }
                }
            }
            Poll::Pending => {
                let late = ready!(self.poll_pause(cx));
                self.give_up();
                Poll::Ready(Some(Err(late)))
            }
        }
    }

    /// Ends the call before its time; how it failed, if it has.
    fn give_up(&mut self) -> Option<Status> {
        let mut end = self.end.take()?;
        let failure = end.fate.failure();
        end.given_up();
        failure
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
        if let Some(frame) = self.held.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if self.whole { Poll::Ready(None) } else { self.poll_inner(cx) }
    }

    fn is_end_stream(&self) -> bool {
        self.whole && self.held.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut held = 0;
        for frame in &self.held {
            match frame {
                Ok(frame) if frame.is_data() => held += frame.data_ref().map_or(0, Bytes::len) as u64,
                // Trailers come in chunks, without a length.
                _ => return SizeHint::default(),
            }
        }
        match self.left {
            _ if self.whole => SizeHint::with_exact(held),
            Some(left) => SizeHint::with_exact(left + held),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(end) = self.end.take() else { return };
        // HTTP asks for no more than was announced.
        if self.left == Some(0) { end.well() } else { end.given_up() }
    }
}
