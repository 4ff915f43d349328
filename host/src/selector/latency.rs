//! How long a target takes: an average that forgets, and that is quicker to believe the bad than the good.
//!
//! Source: "peak EWMA" of Finagle (`com.twitter.finagle.loadbalancer.PeakEwma`), which Linkerd and tower
//! took over: a latency above the average replaces it at once, one below it moves it by how long ago the
//! last one was, and in silence the average sinks, so that who was slow once is asked again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::moment::{Moment, nanoseconds};

/// How long it takes to forget all but a third (1/e) of the past. Finagle's and Linkerd's.
const DECAY: Duration = Duration::from_secs(10);

/// The unit of the time of the last latency, as a power of two of nanoseconds: about a millisecond.
const TICK: u32 = 20;

/// An average latency, in one word: above, when it was; below, how long, as nanoseconds in floating
/// point. Zero as long as nothing has been measured.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

impl Latency {
    /// What is expected now, in nanoseconds; `None` if nothing has been measured.
    pub(super) fn at(&self, now: Moment) -> Option<f32> {
        let word = self.0.load(Relaxed);
        (word != 0).then(|| average(word) * kept(word, now))
    }

    /// Takes in a latency.
    pub(super) fn observe(&self, now: Moment, latency: Duration) {
        // A target that answers at once has been measured, too.
        let latency = nanoseconds(latency).max(1) as f32;
        let next = |word: u64| {
            let (average, kept) = (average(word), kept(word, now));
            let next = if latency > average { latency } else { average * kept + latency * (1.0 - kept) };
            Some(tick(now) << 32 | u64::from(next.to_bits()))
        };
        // The closure always has a next value.
        let _ = self.0.fetch_update(Relaxed, Relaxed, next);
    }

    /// Takes in that a latency is more than this, however much.
    pub(super) fn observe_more_than(&self, now: Moment, latency: Duration) {
        if self.at(now).is_none_or(|expected| nanoseconds(latency) as f32 > expected) {
            self.observe(now, latency);
        }
    }
}

fn tick(now: Moment) -> u64 {
    now.0 >> TICK & u64::from(u32::MAX)
}

fn average(word: u64) -> f32 {
    f32::from_bits(word as u32)
}

/// The part of the past that is not forgotten.
fn kept(word: u64, now: Moment) -> f32 {
    // Time wraps after 52 days. Threads read their clocks in no order: a moment before the last one is now.
    let silent = (tick(now) as u32).wrapping_sub((word >> 32) as u32) as i32;
    if silent <= 0 { 1.0 } else { (-(silent as f32) / (nanoseconds(DECAY) >> TICK) as f32).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn near(value: Option<f32>, wanted: f32) -> bool {
        value.is_some_and(|value| (value - wanted).abs() < wanted * 0.02)
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let (latency, start) = (Latency::default(), Moment::now());
        assert_eq!(latency.at(start), None);
        latency.observe(start, MS);
        latency.observe(start, 100 * MS);
        assert!(near(latency.at(start), 100e6));
        latency.observe(start + MS, MS);
        assert!(near(latency.at(start + MS), 100e6));
        let later = start + DECAY;
        latency.observe(later, MS);
        assert!(near(latency.at(later), 100e6 / std::f32::consts::E + 1e6 * (1.0 - 1.0 / std::f32::consts::E)));
    }

    #[test]
    fn in_silence_what_was_slow_becomes_worth_another_try() {
        let (latency, start) = (Latency::default(), Moment::now());
        latency.observe(start, 1000 * MS);
        assert!(latency.at(start + 6 * DECAY).is_some_and(|now| now < 3e6));
    }

    #[test]
    fn a_call_that_was_given_up_tells_no_more_than_how_long_it_took() {
        let (latency, start) = (Latency::default(), Moment::now());
        latency.observe(start, 10 * MS);
        latency.observe_more_than(start, MS);
        assert!(near(latency.at(start), 10e6));
        latency.observe_more_than(start, 20 * MS);
        assert!(near(latency.at(start), 20e6));
    }
}
