//! What the two sides of a call tell each other where HTTP/1 does not: that the caller went away, and
//! what it still writes when its reply has ended.
//!
//! HTTP/1 has no other way to say "enough" than to close, and closing while bytes arrive resets the
//! connection before the caller has read the reply. So a little of them is taken in.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use http::Version;
use http::header::EXPECT;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::edge::request::{SKIP_TIME, SKIPPED};

/// The link between the messages and the events of one call.
#[derive(Clone)]
pub(super) struct Link(Arc<Sides>);

struct Sides {
    /// Whether the caller waits to be told to go on, and so writes nothing unless it is read.
    waits: bool,
    gone: AtomicBool,
    outward: AtomicWaker,
    left: Mutex<Option<Incoming>>,
}

impl Link {
    /// The link of a call, where its version of HTTP needs one.
    pub(super) fn of(request: &http::request::Parts) -> Option<Link> {
        let waits = request.headers.contains_key(EXPECT);
        let sides = || Sides { waits, gone: AtomicBool::default(), outward: AtomicWaker::new(), left: Mutex::default() };
        // HTTP/2 resets what it does not want.
        (request.version != Version::HTTP_2).then(|| Link(Arc::new(sides())))
    }

    /// Says that the caller went away.
    pub(super) fn lose(&self) {
        self.0.gone.store(true, SeqCst);
        self.0.outward.wake();
    }

    /// Whether the caller went away; the task is woken when it does.
    pub(super) fn poll_lost(&self, cx: &mut Context<'_>) -> bool {
        self.0.outward.register(cx.waker());
        self.0.gone.load(SeqCst)
    }

    /// Leaves a body that nobody reads any longer.
    pub(super) fn leave(&self, body: Incoming) {
        if self.0.waits || body.size_hint().lower() > SKIPPED {
            return;
        }
        *self.0.left.lock().expect("no holder panics") = Some(body);
    }

    /// The skipping of what was left, if anything was.
    pub(super) fn skip(&self) -> Option<Skip> {
        let body = self.0.left.lock().expect("no holder panics").take()?;
        Some(Skip { body, skipped: 0, time: Box::pin(sleep(SKIP_TIME)) })
    }
}

/// Takes in the rest of a body, within bounds.
pub(super) struct Skip {
    body: Incoming,
    skipped: u64,
    time: Pin<Box<Sleep>>,
}

impl Skip {
    /// Ready when there is no more to take in.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.time.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(Ok(frame)) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            self.skipped += frame.data_ref().map_or(0, |data| data.len() as u64);
            if self.skipped > SKIPPED {
                break;
            }
        }
        Poll::Ready(())
    }
}
