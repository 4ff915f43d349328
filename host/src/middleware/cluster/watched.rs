//! What a try shows of the node that it went to, for those who choose after it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use futures::Stream;

use super::way::{Place, Way};
use crate::rpc::{Channel, Event, Events, StreamReply};
use crate::selector::{Call, Outcome, Switched};
use crate::stats::CalleeStats;
use crate::status::Status;

/// A try that is under way on another node. Dropped before its end it says nothing of the node but that it
/// was not quick.
pub(super) struct Watch<'a> {
    way: &'a Way,
    place: &'a Arc<Place>,
    call: Call,
}

impl<'a> Watch<'a> {
    pub(super) fn begin(way: &'a Way, place: &'a Arc<Place>, call: Call) -> Watch<'a> {
        Watch { way, place, call }
    }

    /// The way to the node.
    pub(super) fn channel(&self) -> &'a dyn Channel {
        self.place.channel()
    }

    /// The try has ended, with this failure where it failed.
    pub(super) fn ended(self, failed: Option<&Status>) {
        ended(self.call, self.place, &self.way.stats, failed);
    }

    /// The reply has begun: it is under way until its last event.
    pub(super) fn follow(self, reply: StreamReply) -> StreamReply {
        let Watch { way, place, mut call } = self;
        call.answered();
        let StreamReply { headers, events } = reply;
        let watched = Watched { events, call: Some((call, Arc::clone(place), Arc::clone(&way.stats))) };
        StreamReply { headers, events: Box::pin(watched) }
    }
}

fn ended(call: Call, place: &Place, stats: &CalleeStats, failed: Option<&Status>) {
    let node = place.name();
    match call.finish(failed.map_or(Outcome::Success, Outcome::of_status)) {
        None => {}
        Some(Switched::Opened(pause)) => {
            stats.opened.fetch_add(1, Relaxed);
            let (seconds, why) = (pause.as_secs_f64(), failed.map(tracing::field::display));
            tracing::warn!(node, seconds, why, "calls to a host fail: it is left alone for a while");
        }
        Some(Switched::Closed) => tracing::info!(node, "a host that was left alone answers again"),
    }
}

/// The events of a reply, whose call is under way until they end.
struct Watched {
    events: Events,
    call: Option<(Call, Arc<Place>, Arc<CalleeStats>)>,
}

impl Stream for Watched {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let next = self.events.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Event::End(result))) = &next
            && let Some((call, place, stats)) = self.call.take()
        {
            ended(call, &place, &stats, result.as_ref().err());
        }
        next
    }
}
