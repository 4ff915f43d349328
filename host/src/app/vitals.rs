//! The signs of life of a host: every lane and its own runtime take up work, and the disks that it needs
//! answer. A host that gives none lets its lease run out, and others call elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio::try_join;

use super::Host;
use super::disks::Disks;
use crate::admin::Vitals;
use crate::lanes::Lanes;

/// What a host has its life of.
pub struct Signs {
    lanes: Lanes,
    runtime: Handle,
    disks: Disks,
    host: Arc<Host>,
}

impl Signs {
    /// Those of a host, which keeps what it has compiled in `cache`.
    pub fn new(lanes: &Lanes, runtime: &Handle, host: &Arc<Host>, cache: Option<PathBuf>) -> Signs {
        Signs { lanes: lanes.clone(), runtime: runtime.clone(), disks: Disks::new(cache), host: Arc::clone(host) }
    }
}

impl Vitals for Signs {
    fn alive(&self, patience: Duration) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(alive(&self.lanes, &self.runtime, patience))
    }

    fn able(&self, patience: Duration) -> BoxFuture<'_, Result<(), String>> {
        // At once, so that both together take no longer than either.
        Box::pin(async move { try_join!(self.alive(patience), self.disks.answer(self.host.folders(), patience)).map(drop) })
    }
}

async fn alive(lanes: &Lanes, own: &Handle, patience: Duration) -> Result<(), String> {
    let signs = (0..lanes.count()).map(|lane| (format!("lane {lane}"), lanes.spawn_on(lane, async {})));
    let signs = signs.chain([("the host's own runtime".to_owned(), own.spawn(async {}))]);
    let answered = signs.map(async |(part, sign)| match timeout(patience, sign).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(format!("{part} has not answered for {patience:?}")),
    });
    try_join_all(answered).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_lane_that_hangs_is_named_until_it_goes_on() {
        let lanes = Lanes::start(NonZeroUsize::new(2).expect("two is not zero")).expect("lanes start");
        let (go_on, wait) = mpsc::channel::<()>();
        let hangs = lanes.spawn_on(1, async move { wait.recv().is_err() });
        let error = alive(&lanes, &Handle::current(), Duration::from_millis(50)).await.expect_err("it hangs");
        assert!(error.contains("lane 1"), "{error}");
        drop(go_on);
        assert!(hangs.await.expect("it goes on"));
        assert_eq!(alive(&lanes, &Handle::current(), Duration::from_secs(30)).await, Ok(()));
        lanes.stop(Duration::from_secs(5));
    }
}
