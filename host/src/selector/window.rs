//! How the calls of the last seconds ended. Older ones say nothing of now.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::moment::{Moment, nanoseconds};

/// How far back it looks.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The parts that it forgets one by one.
const PARTS: usize = 10;

/// Bits of each of the two counts of a part; they stay at the most that fits.
const COUNT: u32 = 24;
const FULL: u64 = (1 << COUNT) - 1;

/// Counts over the last seconds; each part in one word: its time, the good, the bad.
#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; PARTS]);

/// What it has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) good: u64,
    pub(super) bad: u64,
}

impl Counts {
    pub(super) fn all(self) -> u64 {
        self.good + self.bad
    }
}

impl Window {
    /// Counts one.
    pub(super) fn count(&self, now: Moment, good: bool) {
        let part = part(now);
        let next = |word: u64| {
            let counts = if word >> (2 * COUNT) == part & 0xFFFF { word & (FULL << COUNT | FULL) } else { 0 };
            let shift = if good { COUNT } else { 0 };
            let more = if counts >> shift & FULL == FULL { 0 } else { 1 << shift };
            Some((part & 0xFFFF) << (2 * COUNT) | (counts + more))
        };
        // The closure always has a next value.
        let _ = self.0[(part % PARTS as u64) as usize].fetch_update(Relaxed, Relaxed, next);
    }

    /// What has been counted lately.
    pub(super) fn counts(&self, now: Moment) -> Counts {
        let mut counts = Counts::default();
        for word in &self.0 {
            let word = word.load(Relaxed);
            if (part(now) as u16).wrapping_sub((word >> (2 * COUNT)) as u16) < PARTS as u16 {
                counts.good += word >> COUNT & FULL;
                counts.bad += word & FULL;
            }
        }
        counts
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Relaxed));
    }
}

fn part(now: Moment) -> u64 {
    now.0 / (nanoseconds(WINDOW) / PARTS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let (window, start) = (Window::default(), Moment::now());
        for second in 0..5 {
            window.count(start + Duration::from_secs(second), second % 2 == 0);
        }
        assert_eq!(window.counts(start + Duration::from_secs(4)), Counts { good: 3, bad: 2 });
        assert_eq!(window.counts(start + WINDOW), Counts { good: 2, bad: 2 });
        assert_eq!(window.counts(start + 2 * WINDOW), Counts::default());
        // A word whose time comes round again, 65,536 parts later, has been overwritten or reads as old.
        window.count(start + 3 * WINDOW, true);
        assert_eq!(window.counts(start + 3 * WINDOW), Counts { good: 1, bad: 0 });
    }

    #[test]
    fn a_count_stays_at_the_most_that_fits() {
        let (window, now) = (Window::default(), Moment::now());
        let at = (part(now) % PARTS as u64) as usize;
        window.0[at].store((part(now) & 0xFFFF) << (2 * COUNT) | FULL << COUNT | FULL, Relaxed);
        window.count(now, true);
        window.count(now, false);
        assert_eq!(window.counts(now), Counts { good: FULL, bad: FULL });
    }
}
