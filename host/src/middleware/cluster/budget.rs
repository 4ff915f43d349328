//! What may be tried again: a share of the calls that there were, so that a callee that fails is not
//! buried under the tries of those who still hope.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::settings::Retrying;

/// For how many seconds a call counts.
///
/// Source: Finagle's "RetryBudget" and linkerd's "retry budget": tries of ten seconds, 20 % of the calls
/// and ten a second.
const WINDOW: u64 = 10;

/// What happened in the seconds of the window: the number of a second, from when the budget began, in the
/// upper half, and a count in the lower one.
#[derive(Debug, Default)]
struct Seconds([AtomicU64; WINDOW as usize]);

impl Seconds {
    fn count(&self, second: u64) {
        let place = &self.0[(second % WINDOW) as usize];
        let next = |stored: u64| if stored >> 32 == second { stored.saturating_add(1) } else { second << 32 | 1 };
        // Whoever is late by a whole window counts for the second that is there by now: too much, never
        // too little.
        let _ = place
            .fetch_update(Relaxed, Relaxed, |stored| Some(if stored >> 32 > second { stored.saturating_add(1) } else { next(stored) }));
    }

    fn sum(&self, second: u64) -> u64 {
        let recent = |stored: &u64| second.saturating_sub(stored >> 32) < WINDOW;
        self.0.iter().map(|place| place.load(Relaxed)).filter(recent).map(|stored| stored & u64::from(u32::MAX)).sum()
    }
}

/// What of one service's calls may be tried again. Nothing waits for anything here.
#[derive(Debug)]
pub(super) struct Budget {
    began: Instant,
    calls: Seconds,
    again: Seconds,
    retrying: Retrying,
}

impl Budget {
    pub(super) fn new(retrying: Retrying, now: Instant) -> Budget {
        Budget { began: now, calls: Seconds::default(), again: Seconds::default(), retrying }
    }

    fn second(&self, now: Instant) -> u64 {
        // Not 0, which is what stands in a place that nothing was counted in.
        now.saturating_duration_since(self.began).as_secs() + WINDOW
    }

    /// Notes a call, whatever comes of it.
    pub(super) fn called(&self, now: Instant) {
        self.calls.count(self.second(now));
    }

    /// Takes the right to try a call again, if there is one left.
    ///
    /// Of callers that ask at the very same time one or two may get it beyond the share: it is a bound on
    /// load and no quota.
    pub(super) fn take(&self, now: Instant) -> bool {
        let second = self.second(now);
        let most = self.retrying.share.of(self.calls.sum(second)) + u64::from(self.retrying.per_second) * WINDOW;
        let left = self.again.sum(second) < most;
        if left {
            self.again.count(second);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::Share;

    fn budget(percent: u8, per_second: u32) -> (Budget, Instant) {
        let now = Instant::now();
        (Budget::new(Retrying { share: Share::percent(percent), per_second, local_first: true }, now), now)
    }

    fn taken(budget: &Budget, now: Instant) -> usize {
        std::iter::repeat_with(|| budget.take(now)).take_while(|taken| *taken).take(10_000).count()
    }

    #[test]
    fn a_share_of_the_calls_may_be_tried_again_and_a_few_beside() {
        let (budget, now) = budget(20, 10);
        (0..1000).for_each(|_| budget.called(now));
        assert_eq!(taken(&budget, now), 200 + 100);
    }

    #[test]
    fn what_was_taken_comes_back_when_its_window_is_over() {
        let (budget, now) = budget(0, 1);
        assert_eq!(taken(&budget, now), 10);
        assert_eq!(taken(&budget, now + Duration::from_secs(9)), 0);
        assert_eq!(taken(&budget, now + Duration::from_secs(10)), 10);
    }

    #[test]
    fn calls_count_for_a_window_and_no_longer() {
        let (budget, now) = budget(50, 0);
        for second in 0..20 {
            budget.called(now + Duration::from_secs(second));
        }
        assert_eq!(taken(&budget, now + Duration::from_secs(19)), 5);
        assert_eq!(taken(&budget, now + Duration::from_secs(100)), 0);
    }

    #[test]
    fn without_a_budget_nothing_is_tried_again() {
        let (budget, now) = budget(0, 0);
        budget.called(now);
        assert_eq!(taken(&budget, now), 0);
    }
}
