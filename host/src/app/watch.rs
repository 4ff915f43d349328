//! Watches a version after it began to serve, and takes it back if too many of its calls fail.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Host, Running};
use crate::admin::change::Verdict;
use crate::settings::Share;
use crate::wasm::tally::Count;

/// How often the calls are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// With fewer calls than this the end of the time is awaited: one that fails says little.
const FEWEST_CALLS: u64 = 20;

/// When a version is taken back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The share of calls that may fail by the service's fault.
    pub max_error_rate: Share,
    /// How long it is watched.
    pub time: Duration,
}

impl Host {
    /// Watches a version that has begun to serve, all calls or a share of them.
    pub(super) async fn watch(self: Arc<Host>, running: Arc<Running>, watch: Watch, grace: Duration) -> Verdict {
        let tally = running.service.tally();
        tally.watch();
        let end = Instant::now() + watch.time;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = looks.tick().await;
            if !self.is_in_use(&running) {
                return Verdict::Overtaken;
            }
            let calls = tally.count();
            let over = now >= end;
            if (over || calls.ended >= FEWEST_CALLS) && watch.max_error_rate.is_exceeded(calls.failed, calls.ended) {
                return self.take_back(&running, calls, grace).await;
            }
            if over {
                if !self.is_tried(&running) {
                    tally.leave();
                }
                return Verdict::Kept { calls };
            }
        }
    }

    async fn take_back(self: &Arc<Host>, running: &Arc<Running>, calls: Count, grace: Duration) -> Verdict {
        let (service, version) = (running.load.name.as_str(), running.version);
        match self.rollback_from(running, grace).await {
            Ok(()) => {
                tracing::warn!(
                    service,
                    version,
                    calls = calls.ended,
                    failed = calls.failed,
                    "a version was taken back: too many of its calls failed"
                );
                Verdict::TakenBack { calls }
            }
            Err(error) => {
                tracing::error!(
                    service,
                    version,
                    calls = calls.ended,
                    failed = calls.failed,
                    "a version whose calls fail could not be taken back: {error}"
                );
                Verdict::Stuck { calls, why: error.to_string() }
            }
        }
    }

    fn is_tried(&self, running: &Arc<Running>) -> bool {
        let line = self.line(&running.load.name);
        line.others().canary.as_ref().is_some_and(|canary| Arc::ptr_eq(&canary.running, running))
    }

    /// Whether calls come to a version: all, or a share of them.
    pub(super) fn is_in_use(&self, running: &Arc<Running>) -> bool {
        self.serving(&running.load.name).is_some_and(|serving| Arc::ptr_eq(&serving, running)) || self.is_tried(running)
    }
}
