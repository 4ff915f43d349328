//! How a service is while it runs, made known at once to all who show it or tell others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Running;
use crate::admin::{Overview, Standing};

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

/// How a version is, by what it says and by what the host found.
pub fn of(running: &Running, found: Option<String>) -> Standing {
    let said = running.service.entry().now();
    Standing { labels: said.labels.clone(), said: said.unwell.clone(), found, since: None }
}

/// Makes known from now on how a version is.
pub fn follow(runtime: &Handle, overview: &Arc<Overview>, running: &Arc<Running>) -> Followed {
    let over = Arc::new(AtomicBool::new(false));
    let (overview, running, ended) = (Arc::clone(overview), Arc::downgrade(running), Arc::clone(&over));
    let task = runtime.spawn(async move {
        let Some(mut said) = running.upgrade().map(|running| running.service.entry().watch()) else { return };
        let mut was_well = true;
        // What it said before this listened is known, or is heard with what follows.
        said.mark_changed();
        while said.changed().await.is_ok() {
            said.mark_unchanged();
            let Some(running) = running.upgrade() else { return };
            let (name, standing) = (&running.load.name, of(&running, None));
            tell(name, &standing, &mut was_well);
            overview.health.stand(name, running.service.schema().names(), standing, || ended.load(SeqCst));
        }
    });
    Followed { over, task: task.abort_handle() }
}

/// Logs that a service is not to be called any longer, or again.
fn tell(service: &str, standing: &Standing, was_well: &mut bool) {
    match (std::mem::replace(was_well, standing.is_well()), standing.why()) {
        (true, Some(why)) => tracing::warn!(service, why, "the service is not well: others are called in its place"),
        (false, None) => tracing::info!(service, "the service is well again"),
        _ => {}
    }
}
