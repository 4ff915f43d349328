//! What this host has seen of a target: kept by it alone, by atomics, for as long as the target is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::breaker::{self, Breaker, Door, Pass, Switched};
use super::latency::Latency;
use super::moment::Moment;
use super::outcome::Outcome;
use super::rules::{BreakerRules, OutlierRules};
use super::window::{Counts, WINDOW, Window};

/// How much heavier a load has to be for a difference: less is noise.
const NOISE: f32 = 1.25;

/// How many times as slow, and how much slower, a target has to be for another one to get a call that is
/// its by weight or zone.
const FAR_SLOWER: f32 = 4.0;
const FAR_LATER: f32 = 5e6;

/// The same for calls in flight: more than so many, and so many times as many as the other has.
const CROWDED: u64 = 32;
const FAR_MORE: u64 = 4;

/// What is seen of a target.
#[derive(Debug)]
pub(super) struct Gauge {
    rules: BreakerRules,
    in_flight: AtomicU32,
    latency: Latency,
    ended: Window,
    /// Calls that it had too much to do for, and the last such moment.
    shed: Window,
    last_shed: AtomicU64,
    breaker: Breaker,
    /// Until when it is left alone because it is worse than the others, and how often it was.
    ejected: AtomicU64,
    ejections: AtomicU32,
}

/// How a target is, for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Calls that are under way.
    pub in_flight: u32,
    /// What is expected of a call now; `None` if none has been measured.
    pub latency: Option<Duration>,
    /// Calls of the last ten seconds that it answered.
    pub successes: u64,
    /// Those that failed for it.
    pub failures: u64,
    /// Those that it had too much to do for.
    pub overloads: u64,
    /// Whether it is chosen.
    pub standing: Standing,
}

/// Whether a target is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As its weight says.
    Good,
    /// Few calls find out whether it is back.
    Probed,
    /// Not, since it fails.
    Open,
    /// Not, since it fails far more often than others.
    Ejected,
}

impl Gauge {
    pub(super) fn new(rules: BreakerRules) -> Gauge {
        Gauge {
            rules,
            in_flight: AtomicU32::default(),
            latency: Latency::default(),
            ended: Window::default(),
            shed: Window::default(),
            last_shed: AtomicU64::default(),
            breaker: Breaker::default(),
            ejected: AtomicU64::default(),
            ejections: AtomicU32::default(),
        }
    }

    /// Whether it goes by these rules.
    pub(super) fn is_of(&self, rules: &BreakerRules) -> bool {
        self.rules == *rules
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed).into()
    }

    pub(super) fn standing(&self, now: Moment) -> Standing {
        if self.is_ejected(now) {
            return Standing::Ejected;
        }
        match self.breaker.door(now, &self.rules) {
            Door::Closed => Standing::Good,
            Door::HalfOpen => Standing::Probed,
            Door::Open => Standing::Open,
        }
    }

    pub(super) fn figures(&self, now: Moment) -> Figures {
        let Counts { good, bad } = self.ended.counts(now);
        Figures {
            in_flight: self.in_flight.load(Relaxed),
            latency: self.latency.at(now).map(|nanoseconds| Duration::from_nanos(nanoseconds as u64)),
            successes: good,
            failures: bad,
            overloads: self.shed.counts(now).bad,
            standing: self.standing(now),
        }
    }

    pub(super) fn pass(&self, now: Moment) -> Option<Pass> {
        if self.is_ejected(now) { None } else { self.breaker.pass(now, &self.rules) }
    }

    pub(super) fn release(&self, pass: Pass) {
        self.breaker.release(pass);
    }

    /// Calls that it has, and those that it lately had too much to do for.
    fn busy(&self, now: Moment) -> f32 {
        let shed_lately = now.since(Moment(self.last_shed.load(Relaxed))) < WINDOW;
        let shed = if shed_lately { self.shed.counts(now).bad } else { 0 };
        (self.in_flight() + shed) as f32
    }

    /// Whether it has clearly less to do than another one, of the same weight: by latency × (calls in
    /// flight + 1). Where one has not been measured, its calls alone count, so that it is tried.
    pub(super) fn is_lighter(&self, other: &Gauge, now: Moment) -> bool {
        let (own, others) = match (self.latency.at(now), other.latency.at(now)) {
            (Some(own), Some(others)) => (own, others),
            _ => (1.0, 1.0),
        };
        own * (self.busy(now) + 1.0) * NOISE < others * (other.busy(now) + 1.0)
    }

    /// Whether it has fewer calls than another one, of the same weight.
    pub(super) fn is_freer(&self, other: &Gauge, now: Moment) -> bool {
        self.busy(now) < other.busy(now)
    }

    /// Whether a call that is its by weight or zone had better go to another one: because it is slower by
    /// far, or has more calls by far. Less is not enough, or shares would not hold.
    pub(super) fn gives_way(&self, weight: u32, other: &Gauge, others_weight: u32, now: Moment) -> bool {
        let slower = match (self.latency.at(now), other.latency.at(now)) {
            (Some(own), Some(others)) => own > others * FAR_SLOWER && own - others > FAR_LATER,
            _ => false,
        };
        let (own, others) = (self.in_flight(), other.in_flight() + 1);
        slower || (own > CROWDED && own * u64::from(others_weight) > FAR_MORE * others * u64::from(weight))
    }

    /// The share of calls that it answered lately, if there were enough.
    pub(super) fn success_rate(&self, now: Moment, calls: u32) -> Option<f64> {
        let counts = self.ended.counts(now);
        (counts.all() >= u64::from(calls)).then(|| counts.good as f64 / counts.all() as f64)
    }

    pub(super) fn is_ejected(&self, now: Moment) -> bool {
        let until = self.ejected.load(Relaxed);
        until != 0 && now.0 < until
    }

    /// Leaves it alone for a while, each time for longer.
    pub(super) fn eject(&self, now: Moment, rules: &OutlierRules) -> Duration {
        let last = self.ejected.load(Relaxed);
        if now.since(Moment(last)) > rules.longest_pause {
            self.ejections.store(0, Relaxed);
        }
        let pause = breaker::pause(self.ejections.fetch_add(1, Relaxed), rules.pause, rules.longest_pause, now.0);
        self.ended.clear();
        self.ejected.store((now + pause).0, Relaxed);
        pause
    }

    fn ended(&self, outcome: Outcome, pass: Pass, now: Moment) -> Option<Switched> {
        match outcome {
            Outcome::Success => {
                self.ended.count(now, true);
                self.breaker.succeeded(pass, now, &self.rules)
            }
            Outcome::Failure => {
                self.ended.count(now, false);
                let switched = self.breaker.failed(pass, now, &self.rules, || self.ended.counts(now));
                if matches!(switched, Some(Switched::Opened(_))) {
                    // Or it would open again for what it did before.
                    self.ended.clear();
                }
                switched
            }
            Outcome::Overload => {
                self.shed.count(now, false);
                self.last_shed.store(now.0, Relaxed);
                None
            }
            Outcome::Nothing => None,
        }
    }
}

/// A call that is under way. Dropped before its end it was neither a success nor a failure.
#[derive(Debug)]
#[must_use = "a call that is dropped at once is not in flight"]
pub struct Call {
    gauge: Arc<Gauge>,
    /// Calls to all targets together, where they are counted.
    all: Option<Arc<AtomicUsize>>,
    pass: Pass,
    began: Moment,
    /// Its latency has been taken.
    answered: bool,
}

impl Call {
    pub(super) fn begin(gauge: &Arc<Gauge>, all: Option<&Arc<AtomicUsize>>, pass: Pass, now: Moment) -> Call {
        gauge.in_flight.fetch_add(1, Relaxed);
        if let Some(all) = all {
            all.fetch_add(1, Relaxed);
        }
        Call { gauge: Arc::clone(gauge), all: all.cloned(), pass, began: now, answered: false }
    }

    /// Notes that the target has begun to answer. Without, a call takes as long as until its end, which
    /// says nothing of a stream.
    pub fn answered(&mut self) {
        self.answered_at(Moment::now());
    }

    /// The same, at a moment that is known already.
    pub fn answered_at(&mut self, now: Moment) {
        if !std::mem::replace(&mut self.answered, true) {
            self.gauge.latency.observe(now, now.since(self.began));
        }
    }

    /// Ends it, and tells what that has changed for its target.
    pub fn finish(self, outcome: Outcome) -> Option<Switched> {
        self.finish_at(outcome, Moment::now())
    }

    /// The same, at a moment that is known already.
    pub fn finish_at(mut self, outcome: Outcome, now: Moment) -> Option<Switched> {
        match outcome {
            Outcome::Success => self.answered_at(now),
            // Who refuses is quick; it must not look fast for it.
            _ => self.took_more_than(now),
        }
        self.gauge.ended(outcome, self.pass, now)
    }

    fn took_more_than(&mut self, now: Moment) {
        if !std::mem::replace(&mut self.answered, true) {
            self.gauge.latency.observe_more_than(now, now.since(self.began));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered {
            self.took_more_than(Moment::now());
        }
        self.gauge.in_flight.fetch_sub(1, Relaxed);
        self.gauge.release(self.pass);
        if let Some(all) = &self.all {
            all.fetch_sub(1, Relaxed);
        }
    }
}
