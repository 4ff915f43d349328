//! Hot swap: another version of a service comes up beside the running one, and takes its calls over at
//! one moment, or a share of them. Whatever fails before that leaves the running one as it was; what has
//! begun in it ends in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::change::{Change, SwapError, Why};
use super::versions::{Canary, Kept};
use super::{Host, Load, Running, Watch, steps};
use crate::admin::Standing;
use crate::admin::change::{Swapped, Verdict};
use crate::settings::{Grants, Share};
use crate::wasm::difference::Difference;

/// How long calls have to end that are under way, unless the order says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// What a service is swapped for, and how.
#[derive(Clone, Debug)]
pub struct Swap {
    /// The service, by its name in the settings.
    pub service: String,
    /// The new component: a `.wasm` file.
    pub component: PathBuf,
    /// What the settings say of the new version; the same as of the running one unless they have changed.
    pub settings: Option<Load>,
    /// What the new version is allowed beyond what the running one is.
    pub grants: Grants,
    /// The share of calls that it gets at first; without, it gets all of them.
    pub canary: Option<Share>,
    /// How long the calls of the old version have to end.
    pub grace: Duration,
    /// Swap even where callers from outside lose what they had.
    pub force: bool,
    /// When to take the new version back.
    pub watch: Option<Watch>,
}

impl Host {
    /// Swaps a service for another component, and returns when the new version has its calls, or its
    /// share of them, and has been watched if that was asked for.
    ///
    /// Dropping the future before the switch leaves the running version alone. The old version goes on
    /// ending its calls after this returns, on the runtime that this was called on.
    pub async fn swap(self: &Arc<Host>, swap: Swap) -> Result<Swapped, SwapError> {
        let Swap { service, component, settings, grants, canary: share, grace, force, watch } = swap;
        let change = self.change(&service).await?;
        if let Some(Canary { running, share, .. }) = &change.line.others().canary {
            return Err(change.refuse(Why::Trying { service: service.clone(), version: running.version, share: *share }));
        }
        let origin = change.line.origin(settings.as_ref(), &change.serving.load);
        let mut load = Load { component, ..settings.unwrap_or_else(|| change.serving.load.clone()) };
        load.grants.extend(grants);
        let loaded = self.bring(&load, force).await.map_err(|error| change.refuse(error))?;
        let (before, after) = (change.serving.service.schema(), Arc::clone(&loaded.schema));
        let difference = Difference::of(before, &after);
        // First, as it does not help here to force it.
        let mut notes = self.callers(&service, before, &after).map_err(|why| change.refuse(why))?;
        if !force && !difference.is_compatible() {
            return Err(change.refuse(Why::Incompatible(difference)));
        }
        notes.extend(steps::missing(&difference, &after, &load.grants, force).map_err(|why| change.refuse(why))?);
        if force {
            notes.extend(steps::trim(&mut load, &after));
        }
        notes.extend(self.passing(origin, &load, &loaded).await);
        let new = self.warmed(&change, Kept { version: change.line.next(), load, loaded }).await?;
        let made = Swapped { canary: share, difference, notes, ..swapped(&change.serving, &new) };
        let text = share.map(|share| share.to_string());
        tracing::info!(service, from = made.from, to = made.to, canary = text, "swapped");
        match share {
            Some(share) => self.try_out(change, Arc::clone(&new), share),
            None => {
                self.switch(&change, Arc::clone(&new)).map_err(|why| change.refuse(why))?;
                let old = Arc::clone(&change.serving);
                change.retire(old, grace);
            }
        }
        let verdict = match watch {
            Some(watch) => Some(self.watched(new, watch, grace).await),
            None => None,
        };
        Ok(Swapped { verdict, ..made })
    }

    /// Gives all calls to the version that is tried. One that is not well does not get them.
    pub async fn promote(self: &Arc<Host>, service: &str, grace: Duration) -> Result<Swapped, SwapError> {
        let change = self.change(service).await?;
        let canary = change.line.others().canary.as_ref().map(|canary| Arc::clone(&canary.running));
        let new = canary.ok_or_else(|| change.refuse(Why::NoTrial))?;
        if let Some(why) = self.overview.health.snapshot().trials.get(service).and_then(Standing::why) {
            return Err(change.refuse(Why::TrialUnwell { service: service.to_owned(), version: new.version, why }));
        }
        self.switch(&change, Arc::clone(&new)).map_err(|why| change.refuse(why))?;
        self.end_trial(service, &change.line);
        let origin = change.line.origin(None, &change.serving.load);
        let notes = self.passing(origin, &new.load, &new.loaded).await;
        let made = Swapped { notes, ..swapped(&change.serving, &new) };
        tracing::info!(service, from = made.from, to = made.to, "promoted");
        let old = Arc::clone(&change.serving);
        change.retire(old, grace);
        Ok(made)
    }

    /// Takes the version back that is tried, or, where none is, goes back to the version before.
    pub async fn rollback(self: &Arc<Host>, service: &str, grace: Duration) -> Result<Swapped, SwapError> {
        let change = self.change(service).await?;
        self.back(change, grace).await
    }

    /// Takes this version back; where it is not in use any more, there is nothing to do.
    pub(super) async fn rollback_from(self: &Arc<Host>, running: &Arc<Running>, grace: Duration) -> Result<(), SwapError> {
        let change = self.change(&running.load.name).await?;
        if self.is_in_use(running) {
            self.back(change, grace).await?;
        }
        Ok(())
    }

    async fn back(self: &Arc<Host>, change: Change, grace: Duration) -> Result<Swapped, SwapError> {
        if let Some(running) = self.end_trial(change.service(), &change.line) {
            self.join(&change);
            let made = swapped(&running, &change.serving);
            tracing::info!(service = made.service, version = running.version, "a version that was tried is taken back");
            change.retire(running, grace);
            return Ok(made);
        }
        let kept = change.line.others().previous.clone();
        let kept = kept.ok_or_else(|| change.refuse(Why::NoPrevious))?;
        let (before, after) = (change.serving.service.schema(), Arc::clone(&kept.loaded.schema));
        let mut notes = self.callers(change.service(), before, &after).map_err(|why| change.refuse(why))?;
        let origin = change.line.origin(None, &change.serving.load);
        notes.extend(self.passing(origin, &kept.load, &kept.loaded).await);
        let difference = Difference::of(before, &after);
        let old = self.warmed(&change, kept).await?;
        self.switch(&change, Arc::clone(&old)).map_err(|why| change.refuse(why))?;
        let made = Swapped { difference, notes, ..swapped(&change.serving, &old) };
        tracing::info!(service = made.service, from = made.from, to = made.to, "rolled back");
        let gone = Arc::clone(&change.serving);
        change.retire(gone, grace);
        Ok(made)
    }

    async fn watched(self: &Arc<Host>, running: Arc<Running>, watch: Watch, grace: Duration) -> Verdict {
        let line = self.line(&running.load.name);
        let watching = tokio::spawn(Arc::clone(self).watch(running, watch, grace));
        line.watched_by(watching.abort_handle());
        // It is ended where another one begins.
        watching.await.unwrap_or(Verdict::Overtaken)
    }
}

/// A change from one version to another, of which nothing else is to be told.
fn swapped(from: &Running, to: &Running) -> Swapped {
    Swapped {
        service: to.load.name.clone(),
        from: from.version,
        to: to.version,
        canary: None,
        difference: Difference::default(),
        notes: Vec::new(),
        verdict: None,
    }
}
