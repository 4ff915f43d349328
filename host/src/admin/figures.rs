//! The figures of services and their calls, read when somebody asks.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::Overview;
use super::rows::{SERVICE_COUNTERS, SERVICE_GAUGES, SERVICE_SECONDS, seconds};
use super::view::{CallFigures, ServiceFigures, Stats};
use crate::stats::{EndpointStats, LATENCY_BOUNDS_US, ServiceStats};
use crate::status::Code;

/// What the names of all figures begin with in Prometheus' text.
const PREFIX: &str = "microhost_";

/// The figures now: of one service, or of all.
pub(super) fn stats(overview: &Overview, only: Option<&str>) -> Stats {
    let services = overview.services.load();
    let wanted = services.iter().filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
    let services = wanted.map(|(name, stats)| {
        let (calls, endpoints) = calls(overview, name);
        ServiceFigures { name: name.clone(), calls, figures: of_service(stats), endpoints }
    });
    Stats { at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(), services: services.collect() }
}

/// The calls of a service: all together, and by endpoint.
pub(super) fn calls(overview: &Overview, name: &str) -> (CallFigures, BTreeMap<String, CallFigures>) {
    let (mut all, mut endpoints) = (Sum::default(), BTreeMap::new());
    let mut add = |name: String, stats: &EndpointStats| {
        all.add(stats);
        let mut one = Sum::default();
        one.add(stats);
        endpoints.insert(name, one.figures());
    };
    for route in overview.router.of(name) {
        add(format!("{}/{}", route.endpoint.service, route.endpoint.method), &route.stats);
    }
    if let Some(served) = overview.router.http_of(name) {
        add(served.route.to_string(), &served.stats);
    }
    (all.figures(), endpoints)
}

fn of_service(stats: &ServiceStats) -> BTreeMap<String, f64> {
    let name = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let gauges = SERVICE_GAUGES.iter().map(|(row, _, figure)| (name(row), figure(stats).load(Relaxed) as f64));
    let counters = SERVICE_COUNTERS.iter().map(|(row, _, figure)| (name(row), figure(stats).load(Relaxed) as f64));
    let times = SERVICE_SECONDS.iter().map(|(row, _, figure)| (name(row), seconds(figure(stats).load(Relaxed))));
    gauges.chain(counters).chain(times).collect()
}

/// Whether a call that ended so tells against the service or the host, and not against its caller.
fn is_fault(code: Code) -> bool {
    code != Code::Ok && code.http().is_server_error()
}

/// The figures of several endpoints added up.
#[derive(Default)]
struct Sum {
    figures: CallFigures,
    buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
}

impl Sum {
    fn add(&mut self, stats: &EndpointStats) {
        for (code, count) in Code::all().map(|code| (code, stats.count(code))).filter(|(_, count)| *count > 0) {
            self.figures.ended += count;
            self.figures.errors += if is_fault(code) { count } else { 0 };
            *self.figures.codes.entry(code.name().to_owned()).or_default() += count;
        }
        self.figures.under_way += stats.in_flight.load(Relaxed);
        self.figures.received += stats.received.load(Relaxed);
        self.figures.sent += stats.sent.load(Relaxed);
        for (sum, count) in self.buckets.iter_mut().zip(stats.latency.buckets()) {
            *sum += count;
        }
    }

    fn figures(self) -> CallFigures {
        CallFigures { p50_us: quantile(&self.buckets, 0.5), p99_us: quantile(&self.buckets, 0.99), ..self.figures }
    }
}

/// The time in which this part of all calls ended, as if they lay evenly within their bucket. Of the
/// last bucket, which has no end, it is the beginning. `None` where there was no call.
fn quantile(buckets: &[u64], part: f64) -> Option<u64> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = (total as f64 * part).max(1.0);
    let mut before = 0;
    for (place, count) in buckets.iter().enumerate() {
        if *count > 0 && (before + count) as f64 >= rank {
            let from = place.checked_sub(1).map_or(0, |below| LATENCY_BOUNDS_US[below]);
            let to = LATENCY_BOUNDS_US.get(place).copied().unwrap_or(from);
            let within = (rank - before as f64) / *count as f64;
            return Some(from + ((to - from) as f64 * within) as u64);
        }
        before += count;
    }
    LATENCY_BOUNDS_US.last().copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn quantiles_lie_within_the_bucket_that_holds_them() {
        let stats = EndpointStats::default();
        for _ in 0..98 {
            stats.ended(Code::Ok, Duration::from_micros(70));
        }
        stats.ended(Code::Internal, Duration::from_millis(400));
        stats.ended(Code::NotFound, Duration::from_millis(400));
        let mut sum = Sum::default();
        sum.add(&stats);
        let figures = sum.figures();
        assert_eq!((figures.ended, figures.errors), (100, 1));
        let (p50, p99) = (figures.p50_us.expect("calls"), figures.p99_us.expect("calls"));
        assert!((50..=100).contains(&p50) && (250_000..=500_000).contains(&p99), "{p50} {p99}");
    }

    #[test]
    fn without_calls_there_is_no_quantile_and_beyond_all_bounds_there_is_the_last() {
        let mut buckets = [0; LATENCY_BOUNDS_US.len() + 1];
        assert_eq!(quantile(&buckets, 0.5), None);
        buckets[LATENCY_BOUNDS_US.len()] = 3;
        assert_eq!(quantile(&buckets, 0.5), LATENCY_BOUNDS_US.last().copied());
    }
}
