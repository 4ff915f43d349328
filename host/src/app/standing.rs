//! How a service is while it runs, made known at once to all who show it or tell others: by what it says
//! itself, and by what it answers when it is asked.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::{Running, checks};
use crate::admin::{Overview, Standing};
use crate::rpc::Split;

/// The least time from one change of what a service says to the next that is told: what a guest says fast
/// is told as it is at last, and other hosts need not hear of each word.
const PACE: Duration = Duration::from_millis(50);

/// What a version has to do with the calls of its service.
pub enum Part {
    /// It serves them.
    Serving,
    /// It is tried with a share of them, while it is well.
    Tried(Arc<Split>),
}

impl Part {
    /// Makes known how a version with this part is, unless it does not have it any longer.
    fn tell(&self, overview: &Overview, running: &Running, standing: Standing, over: &AtomicBool) {
        let (name, over) = (&running.load.name, || over.load(SeqCst));
        match self {
            Part::Serving => overview.health.stand(name, running.service.schema().names(), standing, over),
            Part::Tried(split) => {
                split.hold_back(!standing.is_well());
                overview.health.stand_trial(name, standing, over);
            }
        }
    }

    /// Says in the log that a version is not to be called any longer, or again.
    fn log(&self, running: &Running, standing: &Standing, was_well: &mut bool) {
        let (service, version) = (running.load.name.as_str(), running.version);
        match (self, std::mem::replace(was_well, standing.is_well()), standing.why()) {
            (Part::Serving, true, Some(why)) => tracing::warn!(service, why, "the service is not well: others are called in its place"),
            (Part::Serving, false, None) => tracing::info!(service, "the service is well again"),
            (Part::Tried(_), true, Some(why)) => {
                tracing::warn!(service, version, why, "a version that is tried is not well: it gets no calls");
            }
            (Part::Tried(_), false, None) => tracing::info!(service, version, "a version that is tried is well again"),
            _ => {}
        }
    }
}

/// A version that is followed, until this is dropped.
pub struct Followed {
    over: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        // The task may be about to say something just now.
        self.over.store(true, SeqCst);
        self.task.abort();
    }
}

/// How a version is, by what it says and by what it was found to be.
pub fn of(running: &Running, found: Option<String>) -> Standing {
    let said = running.service.entry().now();
    Standing { labels: said.labels.clone(), said: said.unwell.clone(), found, since: None }
}

/// Makes known from now on how a version is.
pub fn follow(runtime: &Handle, overview: &Arc<Overview>, running: &Arc<Running>, part: Part) -> Followed {
    let over = Arc::new(AtomicBool::new(false));
    let (found, heard) = watch::channel(None);
    let check = running.load.health;
    let asked = running.service.tells_health() && !check.interval.is_zero();
    let asking = asked.then(|| checks::ask(Arc::downgrade(running), check, found));
    let telling = tell(Arc::clone(overview), Arc::downgrade(running), part, heard, Arc::clone(&over));
    let task = runtime.spawn(async move {
        tokio::select! {
            () = telling => {}
            // It ends with the version.
            Some(()) = futures::future::OptionFuture::from(asking) => {}
        }
    });
    Followed { over, task: task.abort_handle() }
}

/// Tells how a version is whenever that changes, until it is over.
async fn tell(
    overview: Arc<Overview>,
    running: Weak<Running>,
    part: Part,
    mut found: watch::Receiver<Option<String>>,
    over: Arc<AtomicBool>,
) {
    let Some(mut said) = running.upgrade().map(|running| running.service.entry().watch()) else { return };
    let mut was_well = true;
    loop {
        said.mark_unchanged();
        let now = found.borrow_and_update().clone();
        {
            let Some(running) = running.upgrade() else { return };
            let standing = of(&running, now);
            part.log(&running, &standing, &mut was_well);
            part.tell(&overview, &running, standing, &over);
        }
        let next = Instant::now() + PACE;
        tokio::select! {
            changed = said.changed() => if changed.is_err() { return },
            // Nobody asks a service that cannot say.
            Ok(()) = found.changed() => {}
        }
        sleep_until(next).await;
    }
}
