//! A target that fails is left alone for a while, and then tried with few calls: it gets time to come
//! back, and callers do not wait for what will fail.
//!
//! Source: M. Nygard, "Release It!", circuit breaker. The pauses are those of Linkerd's failure accrual:
//! a second at first, twice as long each time, with jitter.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::mix::{mix, part_of};
use super::moment::{Moment, nanoseconds};
use super::rules::BreakerRules;
use super::window::Counts;

/// By what right a call goes to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Nothing is wrong with it.
    Free,
    /// It was, and few calls may find out whether it still is.
    Probe,
    /// There is no better one.
    Forced,
}

/// What a call may be told at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Closed,
    HalfOpen,
    Open,
}

/// What the end of a call has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// The target is left alone for so long.
    Opened(Duration),
    /// It is back.
    Closed,
}

/// The state of one target. In an electrician's terms: closed, calls go through.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Until when it is open, and half-open after that; 0 while it is closed.
    until: AtomicU64,
    /// Failures in a row.
    streak: AtomicU32,
    /// How often it has opened since it was last well for long.
    trips: AtomicU32,
    /// Probes under way, and those that have succeeded.
    probing: AtomicU32,
    passed: AtomicU32,
    /// When it was last closed.
    closed: AtomicU64,
}

impl Breaker {
    pub(super) fn door(&self, now: Moment, rules: &BreakerRules) -> Door {
        match self.until.load(Relaxed) {
            0 => Door::Closed,
            until if now.0 >= until && self.probing.load(Relaxed) < rules.probes => Door::HalfOpen,
            _ => Door::Open,
        }
    }

    /// Lets a call through, if it may go. A probe has to be [released](Breaker::release).
    pub(super) fn pass(&self, now: Moment, rules: &BreakerRules) -> Option<Pass> {
        match self.until.load(Relaxed) {
            0 => Some(Pass::Free),
            until if now.0 < until => None,
            _ => {
                let more = |probing| (probing < rules.probes).then_some(probing + 1);
                self.probing.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Pass::Probe)
            }
        }
    }

    pub(super) fn release(&self, pass: Pass) {
        if pass == Pass::Probe {
            self.probing.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn succeeded(&self, pass: Pass, now: Moment, rules: &BreakerRules) -> Option<Switched> {
        let until = self.until.load(Relaxed);
        if until == 0 {
            // Written only where it changes something: the line stays with all cores.
            if self.streak.load(Relaxed) != 0 {
                self.streak.store(0, Relaxed);
            }
            return None;
        }
        // What began before it opened says nothing of now.
        let counts = match pass {
            Pass::Free => false,
            Pass::Probe => now.0 >= until,
            Pass::Forced => true,
        };
        if !counts || self.passed.fetch_add(1, Relaxed) + 1 < rules.probes {
            return None;
        }
        self.until.compare_exchange(until, 0, Relaxed, Relaxed).ok()?;
        self.closed.store(now.0, Relaxed);
        self.streak.store(0, Relaxed);
        Some(Switched::Closed)
    }

    /// `lately` counts this failure too.
    pub(super) fn failed(&self, pass: Pass, now: Moment, rules: &BreakerRules, lately: impl FnOnce() -> Counts) -> Option<Switched> {
        let until = self.until.load(Relaxed);
        if until != 0 {
            // Again only by those that it was tried with: others began when nothing was known of it.
            return if pass != Pass::Free && now.0 >= until { self.open(until, now, rules) } else { None };
        }
        let streak = self.streak.fetch_add(1, Relaxed).saturating_add(1);
        let too_many = || {
            let lately = lately();
            lately.all() >= u64::from(rules.calls) && rules.share.is_exceeded(lately.bad, lately.all())
        };
        if (rules.failures > 0 && streak >= rules.failures) || too_many() { self.open(0, now, rules) } else { None }
    }

    fn open(&self, from: u64, now: Moment, rules: &BreakerRules) -> Option<Switched> {
        let healthy_for = now.since(Moment(self.closed.load(Relaxed)));
        if from == 0 && healthy_for > rules.longest_pause {
            self.trips.store(0, Relaxed);
        }
        let pause = pause(self.trips.load(Relaxed), rules.pause, rules.longest_pause, now.0);
        // Of several that fail at once, one opens it.
        self.until.compare_exchange(from, (now + pause).0.max(1), Relaxed, Relaxed).ok()?;
        self.trips.fetch_add(1, Relaxed);
        self.passed.store(0, Relaxed);
        self.streak.store(0, Relaxed);
        Some(Switched::Opened(pause))
    }
}

/// A pause that doubles each time up to the longest, and half as long again by chance, so that not all
/// callers come back at once.
pub(super) fn pause(times: u32, first: Duration, longest: Duration, chance: u64) -> Duration {
    let pause = first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest);
    (pause + Duration::from_nanos(part_of(nanoseconds(pause) / 2, mix(chance)))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Balance, Share};

    fn rules() -> BreakerRules {
        BreakerRules::of(&Balance::default().breaker)
    }

    fn fail(breaker: &Breaker, now: Moment) -> Option<Switched> {
        let pass = breaker.pass(now, &rules()).expect("calls go through");
        breaker.release(pass);
        breaker.failed(pass, now, &rules(), Counts::default)
    }

    fn opened(breaker: &Breaker, now: Moment) -> Duration {
        for _ in 1..rules().failures {
            assert_eq!(fail(breaker, now), None);
        }
        match fail(breaker, now) {
            Some(Switched::Opened(pause)) => pause,
            other => panic!("not opened: {other:?}"),
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let (breaker, now) = (Breaker::default(), Moment::now());
        for _ in 0..100 {
            (1..rules().failures).for_each(|_| assert_eq!(fail(&breaker, now), None));
            breaker.succeeded(Pass::Free, now, &rules());
        }
        let pause = opened(&breaker, now);
        assert!(pause >= rules().pause && pause <= rules().pause * 3 / 2, "{pause:?}");
        assert_eq!(breaker.pass(now, &rules()), None);
    }

    #[test]
    fn a_share_of_failures_opens_it_once_there_are_enough_calls() {
        let share = |good, bad| {
            let breaker = Breaker::default();
            breaker.failed(Pass::Free, Moment::now(), &rules(), || Counts { good, bad }).is_some()
        };
        assert!(!share(3, 9) && !share(50, 50) && share(49, 51));
        let never = BreakerRules { failures: 0, share: Share::ALL, ..rules() };
        let breaker = Breaker::default();
        assert!((0..1000).all(|n| breaker.failed(Pass::Free, Moment::now(), &never, || Counts { good: 0, bad: n }).is_none()));
    }

    #[test]
    fn after_the_pause_few_calls_try_it_and_their_success_closes_it() {
        let (breaker, now) = (Breaker::default(), Moment::now());
        let later = now + opened(&breaker, now);
        let probes: Vec<_> = (0..rules().probes).map(|_| breaker.pass(later, &rules())).collect();
        assert!(probes.iter().all(|pass| *pass == Some(Pass::Probe)));
        assert_eq!((breaker.pass(later, &rules()), breaker.door(later, &rules())), (None, Door::Open));
        for _ in 1..rules().probes {
            breaker.release(Pass::Probe);
            assert_eq!(breaker.succeeded(Pass::Probe, later, &rules()), None);
        }
        breaker.release(Pass::Probe);
        assert_eq!(breaker.succeeded(Pass::Probe, later, &rules()), Some(Switched::Closed));
        assert_eq!(breaker.pass(later, &rules()), Some(Pass::Free));
    }

    #[test]
    fn each_failed_try_makes_the_pause_longer_up_to_a_bound() {
        let (breaker, mut now) = (Breaker::default(), Moment::now());
        let mut pauses = vec![opened(&breaker, now)];
        for _ in 0..40 {
            now = now + *pauses.last().expect("one at least");
            match fail(&breaker, now) {
                Some(Switched::Opened(pause)) => pauses.push(pause),
                other => panic!("not opened again: {other:?}"),
            }
        }
        assert!(pauses[1] >= 2 * rules().pause && pauses[2] >= 4 * rules().pause, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= rules().longest_pause) && pauses[40] == rules().longest_pause);
    }

    #[test]
    fn one_that_was_well_for_long_begins_with_short_pauses_again() {
        let (breaker, now) = (Breaker::default(), Moment::now());
        let mut later = now + opened(&breaker, now);
        for _ in 0..3 {
            later = later
                + match fail(&breaker, later) {
                    Some(Switched::Opened(pause)) => pause,
                    other => panic!("not opened again: {other:?}"),
                };
        }
        let closed = (0..rules().probes).find_map(|_| breaker.succeeded(Pass::Probe, later, &rules()));
        assert_eq!(closed, Some(Switched::Closed));
        let well = later + rules().longest_pause + Duration::from_secs(1);
        assert!(opened(&breaker, well) < 2 * rules().pause);
    }

    #[test]
    fn calls_from_before_it_opened_neither_close_it_nor_make_its_pause_longer() {
        let (breaker, now) = (Breaker::default(), Moment::now());
        let later = now + opened(&breaker, now);
        for moment in [now, later] {
            assert_eq!(breaker.succeeded(Pass::Free, moment, &rules()), None);
            assert_eq!(breaker.failed(Pass::Free, moment, &rules(), Counts::default), None);
        }
        assert_eq!(breaker.door(later, &rules()), Door::HalfOpen);
    }
}
