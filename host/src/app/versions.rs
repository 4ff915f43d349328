//! The versions of one service beside the one that runs: the one before it, one that is tried, and
//! those that still have calls to end.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::standing::Followed;
use super::{Host, Load, Running};
use crate::admin::Standing;
use crate::admin::change::{Draining, Trial, Versions};
use crate::settings::Share;
use crate::wasm::load::Loaded;

/// Versions of one service that drain at once; who would add one waits. Each holds instances and code.
const MAX_DRAINING: usize = 8;

/// The right to change which version of a service runs: one at a time.
pub(super) type Turn = OwnedSemaphorePermit;

/// The versions of a service beside the one that runs.
pub(super) struct Line {
    /// One permit: the right to change.
    turn: Arc<Semaphore>,
    room: Arc<Semaphore>,
    others: Mutex<Others>,
}

/// The other versions.
#[derive(Default)]
pub(super) struct Others {
    /// The highest number that was given; 0 stands for the first version.
    newest: u32,
    /// The one before, for a way back.
    pub(super) previous: Option<Kept>,
    /// One that is tried.
    pub(super) canary: Option<Canary>,
    draining: Vec<(Arc<Running>, SystemTime)>,
    watch: Option<AbortHandle>,
    /// What a host that is started again begins with.
    origin: Option<Load>,
}

/// A version that does not run and could at once.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) version: u32,
    pub(super) load: Load,
    pub(super) loaded: Loaded,
}

impl Kept {
    pub(super) fn of(running: &Running) -> Kept {
        Kept { version: running.version, load: running.load.clone(), loaded: running.loaded.clone() }
    }
}

/// A version that is tried.
pub(super) struct Canary {
    pub(super) running: Arc<Running>,
    pub(super) share: Share,
    /// What makes known how it is.
    pub(super) _followed: Followed,
}

impl Default for Line {
    fn default() -> Line {
        Line { turn: Arc::new(Semaphore::new(1)), room: Arc::new(Semaphore::new(MAX_DRAINING)), others: Mutex::default() }
    }
}

impl Line {
    /// The right to change which version runs; `None` while another has it.
    pub(super) fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.turn).try_acquire_owned().ok()
    }

    /// Room for one more version that drains, waited for.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed")
    }

    pub(super) fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().expect("no holder panics")
    }

    /// The number of the next version.
    pub(super) fn next(&self) -> u32 {
        let mut others = self.others();
        others.newest = others.newest.max(1) + 1;
        others.newest
    }

    /// What a host that is started again begins with: the settings, where they have been read anew, else
    /// what it began with this time, which is what runs when this is asked first.
    pub(super) fn origin(&self, settings: Option<&Load>, serving: &Load) -> Load {
        let mut others = self.others();
        if let Some(settings) = settings {
            others.origin = Some(settings.clone());
        }
        others.origin.get_or_insert_with(|| serving.clone()).clone()
    }

    /// Watches a version from now on, and no other.
    pub(super) fn watched_by(&self, watch: AbortHandle) {
        if let Some(before) = self.others().watch.replace(watch) {
            before.abort();
        }
    }

    /// Notes a version that has no way to it any more; it ends its calls as the future runs, and is
    /// forgotten then.
    pub(super) fn draining(self: &Arc<Line>, running: Arc<Running>, grace: Duration) -> impl Future<Output = ()> + use<> {
        self.others().draining.push((Arc::clone(&running), SystemTime::now()));
        let line = Arc::clone(self);
        async move {
            let cut = running.service.drain(grace).await;
            let (service, version) = (running.load.name.as_str(), running.version);
            match cut {
                0 => tracing::info!(service, version, "a version has ended its calls and is gone"),
                cut => tracing::warn!(service, version, calls = cut, "a version is gone with calls that took longer than the grace"),
            }
            line.others().draining.retain(|(other, _)| !Arc::ptr_eq(other, &running));
            // Giving its memory back takes a while. A failure means that the host ends, and all goes.
            let _ = tokio::task::spawn_blocking(move || drop(running)).await;
        }
    }

    /// Ends all of them.
    pub(super) fn close(&self) {
        if let Some(watch) = &self.others().watch {
            watch.abort();
        }
        for running in self.beside() {
            running.service.close();
        }
    }

    /// The versions beside the one that serves that may have calls.
    pub(super) fn beside(&self) -> Vec<Arc<Running>> {
        let others = self.others();
        let draining = others.draining.iter().map(|(running, _)| running);
        draining.chain(others.canary.iter().map(|canary| &canary.running)).cloned().collect()
    }
}

impl Host {
    /// The versions of a service; `None` where there is no such service.
    pub fn versions(&self, service: &str) -> Option<Versions> {
        let serving = self.serving(service)?.version;
        let line = self.line(service);
        let swapping = line.turn.available_permits() == 0;
        let others = line.others();
        let canary = others.canary.as_ref().map(|canary| self.trial(canary));
        let draining = others.draining.iter().map(|(running, since)| Draining {
            version: running.version,
            instances: running.service.instances(),
            seconds: since.elapsed().unwrap_or_default().as_secs_f64(),
        });
        Some(Versions {
            serving,
            previous: others.previous.as_ref().map(|kept| kept.version),
            canary,
            draining: draining.collect(),
            swapping,
        })
    }

    /// The version of a service that is tried, if one is.
    pub(super) fn tried(&self, service: &str) -> Option<Trial> {
        self.line(service).others().canary.as_ref().map(|canary| self.trial(canary))
    }

    fn trial(&self, Canary { running, share, .. }: &Canary) -> Trial {
        let health = self.overview.health.snapshot();
        let standing = health.trials.get(&running.load.name);
        Trial {
            version: running.version,
            share: *share,
            calls: running.service.tally().count(),
            why: standing.and_then(Standing::why),
            since: standing.and_then(|standing| standing.since).map(|since| humantime::format_rfc3339_seconds(since).to_string()),
        }
    }

    /// Takes the version of a service out of trial, if one is tried. Where calls go is not changed by that.
    pub(super) fn end_trial(&self, service: &str, line: &Line) -> Option<Arc<Running>> {
        let Canary { running, .. } = line.others().canary.take()?;
        self.overview.health.end_trial(service);
        Some(running)
    }
}
