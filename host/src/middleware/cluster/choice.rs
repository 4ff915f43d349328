//! Stand-in until the selector lands.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::way::Place;

#[derive(Default)]
pub(super) struct Candidates {
    targets: Vec<Target>,
    next: AtomicUsize,
}

pub(super) struct Target {
    pub(super) of: Arc<Place>,
    at: usize,
}

impl Target {
    pub(super) fn begin(&self) -> Watch<'_> {
        Watch(self)
    }
}

pub(super) struct Watch<'a>(&'a Target);

impl Watch<'_> {
    pub(super) fn ended(self, failed: Option<&crate::status::Status>) {
        if failed.is_some_and(crate::status::Status::is_unseen) {
            self.0.of.unreached();
        }
    }
}

#[derive(Default)]
pub(super) struct Tried(Vec<usize>);

impl Tried {
    pub(super) fn add(&mut self, target: &Target) {
        self.0.push(target.at);
    }
}

impl Candidates {
    pub(super) fn build(places: Vec<Arc<Place>>, _previous: Option<&Candidates>) -> Candidates {
        let targets = places.into_iter().enumerate().map(|(at, of)| Target { of, at }).collect();
        Candidates { targets, next: AtomicUsize::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn choose(&self, _key: Option<&str>, tried: &Tried) -> Option<&Target> {
        let first = self.next.fetch_add(1, Relaxed);
        let at = |step: usize| &self.targets[(first + step) % self.targets.len()];
        (0..self.targets.len()).map(at).find(|target| !tried.0.contains(&target.at)).or_else(|| self.targets.first())
    }
}
