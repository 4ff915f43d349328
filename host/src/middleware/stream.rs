//! The server chain of a call with streams: the call is under way until its last event, or until its
//! events are dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use futures::Stream;
use http::HeaderMap;

use super::{Measured, log_failure};
use crate::lanes;
use crate::rpc::{Event, Events, Route, StreamReply, StreamRequest};
use crate::stats::EndpointStats;
use crate::status::{Code, Status};

/// A reply that has begun, as it leaves the chain.
pub struct Opened {
    /// Metadata to send before the first message.
    pub headers: HeaderMap,
    /// What follows.
    pub events: Progress,
}

/// Has a call with streams served. Dropping the future, or the events that follow, cancels the call.
pub async fn open(route: Route, request: StreamRequest) -> Result<Opened, Status> {
    // First, so that what the steps below refuse is counted too.
    let mut measured = Measured::begin(route.stats.clone());
    match route.handler.open(request).await {
        Ok(StreamReply { headers, events }) => Ok(Opened { headers, events: Progress { events, sent: 0, measured, route } }),
        Err(status) => {
            measured.code = status.code();
            log_failure(&route, &status);
            Err(status)
        }
    }
}

/// The events of a reply, counted as they pass.
pub struct Progress {
    events: Events,
    /// Messages that passed and are not counted yet: counting each would cost more than passing it.
    sent: u64,
    measured: Measured<Arc<EndpointStats>>,
    route: Route,
}

impl Progress {
    /// Ends the call as failed, for a reason that its handler did not give.
    pub fn fail(mut self, status: &Status) {
        self.ended(Some(status));
    }

    fn ended(&mut self, failure: Option<&Status>) {
        self.measured.code = failure.map_or(Code::Ok, Status::code);
        if let Some(status) = failure {
            log_failure(&self.route, status);
        }
    }

    fn count(&mut self) {
        if self.sent > 0 {
            self.measured.stats.sent.fetch_add(std::mem::take(&mut self.sent), Relaxed);
            // A caller that waits for a message may have one to send.
            lanes::answered();
        }
    }
}

impl Stream for Progress {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let next = self.events.as_mut().poll_next(cx);
        match &next {
            Poll::Ready(Some(Event::Message(message))) => self.sent += message.count() as u64,
            Poll::Ready(Some(Event::End(result))) => self.ended(result.as_ref().err()),
            Poll::Ready(None) => {}
            Poll::Pending => self.count(),
        }
        next
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.count();
    }
}
