//! Whether the host is ready, and each of its services: one state behind the HTTP pages and
//! `grpc.health.v1`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
}

impl Snapshot {
    /// Whether new calls are welcome.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
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

    /// Says at once that services serve, and forgets those that go.
    pub fn replace<'a>(&self, gone: impl Iterator<Item = &'a str>, serving: impl Iterator<Item = &'a str>) {
        self.change(|snapshot| {
            for service in gone {
                snapshot.services.remove(service);
            }
            snapshot.services.extend(serving.map(|service| (service.to_owned(), true)));
        });
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
}
