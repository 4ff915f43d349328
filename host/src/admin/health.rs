//! Whether the host is ready, and each of its services: one state behind the HTTP pages and
//! `grpc.health.v1`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

/// Where a host is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not every service is loaded yet.
    #[default]
    Starting,
    /// It serves.
    Ready,
    /// It finishes what runs and takes nothing new.
    Draining,
}

impl Phase {
    /// The phase's name: `starting`, `ready`, `draining`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }
}

/// How a service that runs is, beside what its settings say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Labels that it gave itself.
    pub labels: BTreeMap<String, String>,
    /// Why it is not to be called, as it says itself.
    pub said: Option<String>,
    /// Why it is not to be called, as it was found to be when the host asked it.
    pub found: Option<String>,
    /// Since when it is not to be called.
    pub since: Option<SystemTime>,
}

impl Standing {
    /// Whether it is to be called.
    pub fn is_well(&self) -> bool {
        self.said.is_none() && self.found.is_none()
    }

    /// Whether another one says the same.
    fn says(&self, other: &Standing) -> bool {
        (&self.labels, &self.said, &self.found) == (&other.labels, &other.said, &other.found)
    }

    /// Why it is not to be called.
    pub fn why(&self) -> Option<String> {
        match (&self.said, &self.found) {
            (None, None) => None,
            (Some(said), None) => Some(format!("it says: {said}")),
            (None, Some(found)) => Some(found.clone()),
            (Some(said), Some(found)) => Some(format!("it says: {said}; {found}")),
        }
    }
}

/// The state at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The host's phase.
    pub phase: Phase,
    /// By full name, whether the service serves.
    pub services: BTreeMap<String, bool>,
    /// By their names in the settings, the services that were asked for and could not be started. The
    /// host is ready without them: its other services do what they are for.
    pub failed: BTreeSet<String>,
    /// By their names in the settings, how the services are that run.
    pub standings: BTreeMap<String, Standing>,
    /// By the names of their services in the settings, how the versions are that are tried beside those.
    pub trials: BTreeMap<String, Standing>,
}

impl Snapshot {
    fn stand<'a>(&mut self, name: &str, names: impl Iterator<Item = &'a str>, standing: Standing) {
        let well = standing.is_well();
        self.services.extend(names.map(|service| (service.to_owned(), well)));
        note(&mut self.standings, name, standing);
    }

    /// Whether new calls are welcome.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// The services, by their names in the settings, that run and are not to be called.
    pub fn unwell(&self) -> impl Iterator<Item = &str> {
        self.standings.iter().filter(|(_, standing)| !standing.is_well()).map(|(name, _)| name.as_str())
    }

    /// Whether a service serves; the empty name is the host as a whole. `None` for a name that is
    /// not known.
    pub fn serving(&self, service: &str) -> Option<bool> {
        if service.is_empty() {
            return Some(self.is_ready());
        }
        self.services.get(service).map(|serving| *serving && self.phase != Phase::Draining)
    }
}

/// Notes how something is: not well since when it first was not.
fn note(standings: &mut BTreeMap<String, Standing>, name: &str, standing: Standing) {
    let before = standings.get(name).and_then(|before| before.since);
    let since = if standing.is_well() { None } else { before.or_else(|| Some(SystemTime::now())) };
    standings.insert(name.to_owned(), Standing { since, ..standing });
}

/// The state, shared and watched.
pub struct Health(watch::Sender<Arc<Snapshot>>);

impl Default for Health {
    fn default() -> Health {
        Health(watch::Sender::new(Arc::default()))
    }
}

impl Health {
    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.change(|snapshot| snapshot.phase = phase);
    }

    /// Says whether a service serves; the service is known from now on.
    pub fn set(&self, service: &str, serving: bool) {
        self.change(|snapshot| snapshot.services.insert(service.to_owned(), serving));
    }

    /// Says at once how a service is, by its name in the settings and all its full names, and forgets names
    /// that go.
    pub fn replace<'a>(&self, name: &str, gone: impl Iterator<Item = &'a str>, names: impl Iterator<Item = &'a str>, standing: Standing) {
        self.change(|snapshot| {
            for service in gone {
                snapshot.services.remove(service);
            }
            snapshot.failed.remove(name);
            snapshot.stand(name, names, standing);
        });
    }

    /// Says how a service is from now on, unless `over` tells that it is not for this one to say any longer:
    /// another version has come, and has said.
    pub fn stand<'a>(&self, name: &str, names: impl Iterator<Item = &'a str>, standing: Standing, over: impl FnOnce() -> bool) {
        self.0.send_if_modified(|snapshot| {
            // Within, so that none comes between the question and the answer.
            let changed = !over() && snapshot.standings.get(name).is_none_or(|known| !known.says(&standing));
            if changed {
                Arc::make_mut(snapshot).stand(name, names, standing);
            }
            changed
        });
    }

    /// Says how the version of a service is that is tried, unless `over` tells that it is not tried any longer.
    pub fn stand_trial(&self, name: &str, standing: Standing, over: impl FnOnce() -> bool) {
        self.0.send_if_modified(|snapshot| {
            let changed = !over() && snapshot.trials.get(name).is_none_or(|known| !known.says(&standing));
            if changed {
                note(&mut Arc::make_mut(snapshot).trials, name, standing);
            }
            changed
        });
    }

    /// Forgets how the version of a service was that is not tried any longer.
    pub fn end_trial(&self, name: &str) {
        self.change(|snapshot| snapshot.trials.remove(name));
    }

    /// Forgets how a service is that does not run any longer.
    pub fn leave(&self, name: &str) {
        self.change(|snapshot| snapshot.standings.remove(name));
    }

    /// Notes that a service, by its name in the settings, could not be started, or that it runs after all.
    pub fn miss(&self, name: &str, missing: bool) {
        self.change(|snapshot| if missing { snapshot.failed.insert(name.to_owned()) } else { snapshot.failed.remove(name) });
    }

    /// Forgets a service.
    pub fn remove(&self, service: &str) {
        self.change(|snapshot| snapshot.services.remove(service));
    }

    /// The state now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.borrow().clone()
    }

    /// The state now and from now on.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) {
        self.0.send_modify(|snapshot| {
            change(Arc::make_mut(snapshot));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_host_serves_nothing() {
        let health = Health::default();
        health.set("a.B", true);
        assert_eq!((health.snapshot().serving(""), health.snapshot().serving("a.B")), (Some(false), Some(true)));
        health.enter(Phase::Ready);
        assert_eq!((health.snapshot().serving(""), health.snapshot().serving("a.B")), (Some(true), Some(true)));
        health.enter(Phase::Draining);
        assert_eq!((health.snapshot().serving(""), health.snapshot().serving("a.B")), (Some(false), Some(false)));
        assert_eq!(health.snapshot().serving("a.C"), None);
    }

    fn unwell(said: Option<&str>, found: Option<&str>) -> Standing {
        Standing { said: said.map(str::to_owned), found: found.map(str::to_owned), ..Standing::default() }
    }

    #[test]
    fn a_service_is_well_once_no_reason_is_left() {
        let health = Health::default();
        let say = |standing| health.stand("a", ["a.B", "a.C"].into_iter(), standing, || false);
        let serving = || (health.snapshot().serving("a.B"), health.snapshot().serving("a.C"));
        say(unwell(None, None));
        assert_eq!(serving(), (Some(true), Some(true)));
        say(unwell(Some("no disk"), None));
        let since = health.snapshot().standings["a"].since;
        assert!(since.is_some());
        say(unwell(Some("no disk"), Some("it does not answer")));
        assert_eq!(health.snapshot().standings["a"].why().as_deref(), Some("it says: no disk; it does not answer"));
        say(unwell(None, Some("it does not answer")));
        assert_eq!((serving(), health.snapshot().standings["a"].since), ((Some(false), Some(false)), since));
        say(unwell(None, None));
        assert_eq!((serving(), health.snapshot().unwell().count()), ((Some(true), Some(true)), 0));
    }

    #[test]
    fn how_a_version_is_that_is_tried_says_nothing_of_the_one_that_serves() {
        let health = Health::default();
        health.replace("a", [].into_iter(), ["a.B"].into_iter(), unwell(None, None));
        health.stand_trial("a", unwell(None, Some("no disk")), || false);
        let snapshot = health.snapshot();
        assert_eq!((snapshot.serving("a.B"), snapshot.unwell().count()), (Some(true), 0));
        assert!(snapshot.trials["a"].since.is_some());
        health.end_trial("a");
        health.stand_trial("a", unwell(None, Some("no disk")), || true);
        assert!(health.snapshot().trials.is_empty(), "what is over is not heard");
    }

    #[test]
    fn what_is_said_again_is_not_heard_again_and_what_is_over_is_not_heard() {
        let health = Health::default();
        health.replace("a", [].into_iter(), ["a.B"].into_iter(), unwell(Some("late"), None));
        let mut heard = health.watch();
        health.stand("a", ["a.B"].into_iter(), unwell(Some("late"), None), || false);
        health.stand("a", ["a.B"].into_iter(), unwell(None, None), || true);
        assert!(!heard.has_changed().expect("the health is there"));
        health.stand("a", ["a.B"].into_iter(), unwell(None, None), || false);
        assert!(heard.has_changed().expect("the health is there") && heard.borrow_and_update().serving("a.B") == Some(true));
    }
}
