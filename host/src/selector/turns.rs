//! Whose turn it is. Kept over changes of the list: one that changes often would else begin with its first
//! target each time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::aperture::Apertures;
use super::mix::{GOLDEN, mix, seed};
use super::moment::Moment;
use super::window::WINDOW;

/// Turns that are spread evenly among themselves where chance decides.
const ROW: u64 = 64;

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
        // From anywhere: were it from 0, the first target would have more of many short lists.
        Counter { count: AtomicU64::new(seed() >> 1), seed: seed() }
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

    /// A number by chance, but for this: of 64 turns in a row each has one in another 64th of all numbers.
    /// So shares hold better than by chance alone, which is off by 2 % of 10,000 now and then.
    pub(super) fn even_chance(self) -> u64 {
        let row = Turn { number: self.number / ROW, seed: self.seed }.chance(1);
        // An odd factor, so that a row meets each part once.
        let part = (self.number.wrapping_mul(row | 1)).wrapping_add(row >> 32) % ROW;
        part << (u64::BITS - ROW.ilog2()) | self.chance(0) >> ROW.ilog2()
    }

    /// One of many numbers of this turn that have nothing to do with each other.
    pub(super) fn chance(self, which: u64) -> u64 {
        mix(mix(self.number ^ self.seed).wrapping_add(which))
    }
}

/// What is counted for one group.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) choices: Counter,
    /// How much of it is called, where it is long.
    pub(super) apertures: Apertures,
}

impl Tally {
    fn new() -> Tally {
        Tally { choices: Counter::new(), apertures: Apertures::default() }
    }

    /// The next choice.
    pub(super) fn next(&self) -> Turn {
        self.choices.next()
    }
}

/// All that is counted for one list, whatever becomes of it.
#[derive(Debug)]
pub(super) struct Turns {
    /// Choices among those that come first, and among the others.
    pub(super) first: Tally,
    pub(super) rest: Tally,
    /// Choices between these two, and looks from the first at the others.
    pub(super) spilled: Counter,
    pub(super) aside: Counter,
}

impl Turns {
    pub(super) fn new() -> Turns {
        Turns { first: Tally::new(), rest: Tally::new(), spilled: Counter::new(), aside: Counter::new() }
    }
}

/// When targets are to be compared again.
#[derive(Debug)]
pub(super) struct Comparison(AtomicU64);

impl Comparison {
    pub(super) fn new() -> Comparison {
        Comparison(AtomicU64::new((Moment::now() + WINDOW).0))
    }

    /// Whether they are now; true for one of all that ask.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        let due = self.0.load(Relaxed);
        now.0 >= due && self.0.compare_exchange(due, (now + WINDOW).0, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even_within_a_row_and_no_row_is_like_another() {
        let counter = Counter::new();
        let row = || (0..ROW).map(|_| counter.next().even_chance() >> 58).collect::<Vec<_>>();
        // To where a row begins.
        while counter.next().number % ROW != ROW - 1 {}
        let (one, other) = (row(), row());
        assert_ne!(one, other);
        for mut parts in [one, other] {
            parts.sort_unstable();
            assert!(parts.into_iter().eq(0..ROW));
        }
    }

    #[test]
    fn one_of_all_that_ask_compares_and_then_nobody_for_a_while() {
        let (comparison, later) = (Comparison::new(), Moment::now() + 2 * WINDOW);
        assert!(!comparison.is_due(Moment::now()));
        assert_eq!((0..10).filter(|_| comparison.is_due(later)).count(), 1);
        assert!(comparison.is_due(later + WINDOW));
    }
}
