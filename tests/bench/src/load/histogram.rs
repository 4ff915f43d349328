//! Times of calls, kept in a fixed place whatever their number.

use std::time::Duration;

/// Steps in each doubling: a value is kept to within 1 part in 128.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Doublings above the first: up to an hour in nanoseconds.
const DOUBLINGS: usize = 36;

/// Counts by time, in steps that grow with the time.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; STEPS as usize * DOUBLINGS], total: 0, longest: Duration::ZERO }
    }

    /// Counts one call.
    pub fn record(&mut self, time: Duration) {
        let last = self.counts.len() - 1;
        self.counts[slot(time.as_nanos() as u64).min(last)] += 1;
        self.total += 1;
        self.longest = self.longest.max(time);
    }

    /// Counts what another one has counted too.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.longest) = (0, Duration::ZERO);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time within which `part` of the calls ended: 0.5 for the median.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let slot = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        slot.map_or(Duration::ZERO, |slot| Duration::from_nanos(middle(slot)))
    }
}

/// The slot of a time: the first doubling has a slot a nanosecond, each later one has `STEPS / 2`.
fn slot(nanos: u64) -> usize {
    let doubling = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEP_BITS);
    (doubling as usize) * STEPS as usize / 2 + (nanos >> doubling) as usize
}

/// The time in the middle of a slot.
fn middle(slot: usize) -> u64 {
    let half = STEPS as usize / 2;
    if slot < STEPS as usize {
        return slot as u64;
    }
    let doubling = slot / half - 1;
    let low = ((slot % half + half) as u64) << doubling;
    low + (1 << doubling) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_kept_to_within_two_percent() {
        for nanos in [0, 1, 127, 128, 129, 255, 256, 1_000, 12_345, 999_999, 1_000_000_007, 60_000_000_000] {
            let kept = middle(slot(nanos));
            assert!(kept.abs_diff(nanos) * 50 <= nanos, "{nanos} became {kept}");
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut histogram = Histogram::new();
        (1..=100).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        let near = |part, micros: f64| (histogram.quantile(part).as_secs_f64() * 1e6 / micros - 1.0).abs() < 0.02;
        assert!(near(0.5, 50.0) && near(0.99, 99.0) && near(1.0, 100.0));
        assert_eq!(histogram.longest(), Duration::from_micros(100));
    }
}
