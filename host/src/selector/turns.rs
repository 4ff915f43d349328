//! Whose turn it is. Kept over changes of the list: one that changes often would else begin with its first
//! target each time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::mix::{GOLDEN, mix, seed};
use super::moment::Moment;
use super::window::WINDOW;

/// A count of the choices so far, and what is made of it. On a line of its own in the processor's caches:
/// every choice writes it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counter {
    count: AtomicU64,
    seed: u64,
}

/// A choice's number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) number: u64,
    seed: u64,
}

impl Counter {
    fn new() -> Counter {
        Counter { count: AtomicU64::new(0), seed: seed() }
    }

    /// The next one: nobody else gets it.
    pub(super) fn next(&self) -> Turn {
        Turn { number: self.count.fetch_add(1, Relaxed), seed: self.seed }
    }
}

impl Turn {
    /// A number such that those of many turns are spread evenly, and of a few ones too.
    pub(super) fn spread(self) -> u64 {
        self.number.wrapping_mul(GOLDEN).wrapping_add(self.seed)
    }

    /// One of many numbers of this turn that have nothing to do with each other.
    pub(super) fn chance(self, which: u64) -> u64 {
        mix(mix(self.number ^ self.seed).wrapping_add(which))
    }
}

/// All that is counted for one list, whatever becomes of it.
#[derive(Debug)]
pub(super) struct Turns {
    /// Choices among those that come first, and among the others.
    pub(super) first: Counter,
    pub(super) rest: Counter,
    /// Choices between these two.
    pub(super) spilled: Counter,
    /// When targets are to be compared again.
    compare: AtomicU64,
}

impl Turns {
    pub(super) fn new() -> Turns {
        let compare = AtomicU64::new((Moment::now() + WINDOW).0);
        Turns { first: Counter::new(), rest: Counter::new(), spilled: Counter::new(), compare }
    }

    /// Whether targets are to be compared now; true for one of all that ask.
    pub(super) fn compares(&self, now: Moment) -> bool {
        let due = self.compare.load(Relaxed);
        now.0 >= due && self.compare.compare_exchange(due, (now + WINDOW).0, Relaxed, Relaxed).is_ok()
    }
}
