//! Many calls that compute a while, each too short to be noticed alone, would hold up the lanes as one
//! long call does. So it is noticed of the service, whose instances then leave the lanes all together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A service that computes no more than one part in so many of one core in such calls is never strained.
const LEAK: u64 = 4;

/// From here on it is.
const STRAINED: Duration = Duration::from_millis(20);

/// The strain is never more, so that the service is soon itself again: after four times as long.
const MOST: Duration = Duration::from_millis(250);

/// How much of the time calls that compute a while keep a service busy: a bucket that leaks.
#[derive(Debug)]
pub struct Strain {
    base: Instant,
    /// In nanoseconds, as of `at`.
    level: AtomicU64,
    /// In nanoseconds from `base`.
    at: AtomicU64,
}

impl Strain {
    /// No strain.
    pub fn new() -> Strain {
        Strain { base: Instant::now(), level: AtomicU64::new(0), at: AtomicU64::new(0) }
    }

    /// Notes computing of a call that computes for a while.
    pub fn add(&self, time: Duration) {
        self.add_at(self.now(), time);
    }

    /// Whether such calls have kept the service busy lately.
    pub fn is_high(&self) -> bool {
        // Most services have none, and need no clock.
        self.level.load(Relaxed) > 0 && self.is_high_at(self.now())
    }

    fn now(&self) -> u64 {
        nanos(self.base.elapsed())
    }

    // Two that add at once may lose one's part, which the next ones make up for.
    fn add_at(&self, now: u64, time: Duration) {
        let left = self.left(now);
        self.at.store(now, Relaxed);
        self.level.store(left.saturating_add(nanos(time)).min(nanos(MOST)), Relaxed);
    }

    fn is_high_at(&self, now: u64) -> bool {
        let left = self.left(now);
        if left == 0 {
            self.level.store(0, Relaxed);
        }
        left > nanos(STRAINED)
    }

    fn left(&self, now: u64) -> u64 {
        let leaked = now.saturating_sub(self.at.load(Relaxed)) / LEAK;
        self.level.load(Relaxed).saturating_sub(leaked)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_strained_by_long_calls_in_a_row_and_not_by_one_now_and_then() {
        let (busy, calm, call) = (Strain::new(), Strain::new(), Duration::from_millis(10));
        for turn in 1..10_u64 {
            busy.add_at(turn * 10_000_000, call);
            calm.add_at(turn * 1_000_000_000, call);
        }
        assert!(busy.is_high_at(90_000_000) && !calm.is_high_at(9_000_000_000));
        assert!(!busy.is_high_at(1_000_000_000), "it passes");
    }
}
