//! The figures of [`crate::stats`] as Prometheus reads them. They are read when somebody asks, so
//! showing them costs a call nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::rows::{CounterRow, SERVICE_COUNTERS, SERVICE_GAUGES, SERVICE_SECONDS, seconds};
use super::view::CallFigures;
use super::{Overview, Standing, figures};
use crate::rpc::MethodKind;
use crate::stats::{CacheStats, CalleeStats, EdgeStats, EndpointStats, LATENCY_BOUNDS_US};
use crate::status::Code;

/// OpenMetrics 1.0, which Prometheus asks for and reads.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All figures now.
pub(super) fn text(overview: &Arc<Overview>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures(overview.clone())));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing to a string never fails");
    out
}

type SumRow = (&'static str, &'static str, fn(&CallFigures) -> u64);

/// Of all endpoints of a service together, by its name in the settings.
const SERVICE_SUMS: &[SumRow] = &[
    ("microhost_service_calls_ended", "Calls that ended, of all endpoints.", |calls| calls.ended),
    ("microhost_service_errors", "Calls that failed by the service's or the host's fault, of all endpoints.", |calls| calls.errors),
];

const CACHE_COUNTERS: &[CounterRow<CacheStats>] = &[
    ("microhost_compile_cache_hits", "Components taken from the compile cache.", |s| &s.hits),
    ("microhost_compile_cache_misses", "Components that had to be compiled.", |s| &s.misses),
    ("microhost_compile_cache_refused", "Entries refused because they were damaged or not the cache's own.", |s| &s.refused),
    ("microhost_compile_cache_evicted", "Entries removed to keep the cache within its bound.", |s| &s.evicted),
];

const CALLEE_COUNTERS: &[CounterRow<CalleeStats>] = &[
    ("microhost_remote_calls", "Calls of services that other hosts offer, however often each was tried.", |s| &s.calls),
    ("microhost_remote_retries", "Tries of calls after one that failed.", |s| &s.retries),
    ("microhost_remote_hedges", "Tries of calls beside one that had no answer yet.", |s| &s.hedges),
    ("microhost_remote_retries_over_budget", "Tries that were not made because there had been too many.", |s| &s.over_budget),
    ("microhost_remote_breakers_opened", "Times that a host was left alone for a while because its calls failed.", |s| &s.opened),
];

const EDGE_COUNTERS: &[CounterRow<EdgeStats>] = &[
    ("microhost_connections_accepted", "Connections ever accepted.", |s| &s.accepted),
    ("microhost_connections_refused", "Connections refused because there were too many.", |s| &s.refused),
];

struct Figures(Arc<Overview>);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let overview = &*self.0;
        calls(&mut encoder, &counted(overview))?;
        let services = overview.services.load();
        for (name, help, figure) in SERVICE_GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (service, stats) in services.iter() {
                metric.encode_family(&[("service", service.as_str())])?.encode_gauge(&figure(stats).load(Relaxed))?;
            }
        }
        for (name, help, figure) in SERVICE_COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (service, stats) in services.iter() {
                metric
                    .encode_family(&[("service", service.as_str())])?
                    .encode_counter::<NoLabelSet, _, u64>(&figure(stats).load(Relaxed), None)?;
            }
        }
        for (name, help, figure) in SERVICE_SECONDS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (service, stats) in services.iter() {
                let seconds = seconds(figure(stats).load(Relaxed));
                metric.encode_family(&[("service", service.as_str())])?.encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
            }
        }
        let sums: Vec<(&String, CallFigures)> = services.keys().map(|service| (service, figures::calls(overview, service).0)).collect();
        for (name, help, figure) in SERVICE_SUMS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (service, calls) in &sums {
                metric.encode_family(&[("service", service.as_str())])?.encode_counter::<NoLabelSet, _, u64>(&figure(calls), None)?;
            }
        }
        let health = overview.health.snapshot();
        let up = |(service, standing): (_, &Standing)| (service, standing.is_well());
        let failed = health.failed.iter().map(|service| (service, false));
        let services: Vec<(&String, bool)> = health.standings.iter().map(up).chain(failed).collect();
        let trials: Vec<(&String, bool)> = health.trials.iter().map(up).collect();
        for (name, help, all) in [
            ("microhost_service_up", "Whether the service runs and is well: 1, else 0.", services),
            ("microhost_canary_up", "Whether the version of the service that is tried is well: 1, else 0.", trials),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (service, up) in all {
                metric.encode_family(&[("service", service.as_str())])?.encode_gauge(&i64::from(up))?;
            }
        }
        let callees = overview.callees.all();
        for (name, help, figure) in CALLEE_COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (service, stats) in &callees {
                metric
                    .encode_family(&[("service", &**service)])?
                    .encode_counter::<NoLabelSet, _, u64>(&figure(stats).load(Relaxed), None)?;
            }
        }
        counters(&mut encoder, CACHE_COUNTERS, &overview.cache)?;
        counters(&mut encoder, EDGE_COUNTERS, &overview.edge)?;
        encoder
            .encode_descriptor("microhost_connections", "Connections open.", None, MetricType::Gauge)?
            .encode_gauge(&overview.edge.connections.load(Relaxed))?;
        if let Some(bytes) = resident_memory() {
            encoder
                .encode_descriptor("process_resident_memory_bytes", "Resident memory of the host.", None, MetricType::Gauge)?
                .encode_gauge(&bytes)?;
        }
        Ok(())
    }
}

fn counters<T>(encoder: &mut DescriptorEncoder, rows: &[CounterRow<T>], stats: &T) -> fmt::Result {
    for (name, help, figure) in rows {
        encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&figure(stats).load(Relaxed), None)?;
    }
    Ok(())
}

/// What calls are counted of.
struct Row {
    service: String,
    endpoint: String,
    /// Its calls may have streams.
    streams: bool,
    stats: Arc<EndpointStats>,
}

/// The endpoints, then the routes of plain HTTP.
fn counted(overview: &Overview) -> Vec<Row> {
    let endpoints = overview.router.all().into_iter().map(|route| Row {
        service: route.endpoint.service.to_string(),
        endpoint: route.endpoint.method.to_string(),
        streams: route.endpoint.kind != Some(MethodKind::Unary),
        stats: Arc::clone(&route.stats),
    });
    let routes = overview.router.all_http().into_iter().map(|served| Row {
        service: served.service.to_string(),
        endpoint: served.route.to_string(),
        streams: false,
        stats: Arc::clone(&served.stats),
    });
    endpoints.chain(routes).collect()
}

fn calls(encoder: &mut DescriptorEncoder, routes: &[Row]) -> fmt::Result {
    let labels = |row: &Row| [("service", row.service.clone()), ("endpoint", row.endpoint.clone())];

    let mut metric = encoder.encode_descriptor("microhost_calls", "Calls that ended, by code.", None, MetricType::Counter)?;
    for route in routes {
        let [service, endpoint] = labels(route);
        // A code that never came is left out: 17 rows for every endpoint would be mostly noise.
        for (code, count) in Code::all().map(|code| (code, route.stats.count(code))).filter(|(_, count)| *count > 0) {
            let labels = [service.clone(), endpoint.clone(), ("code", code.name().to_owned())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }

    let mut metric = encoder.encode_descriptor("microhost_calls_in_flight", "Calls under way.", None, MetricType::Gauge)?;
    for route in routes {
        metric.encode_family(&labels(route))?.encode_gauge(&route.stats.in_flight.load(Relaxed))?;
    }

    let mut metric = encoder.encode_descriptor("microhost_stream_messages", "Messages of streams.", None, MetricType::Counter)?;
    for route in routes.iter().filter(|route| route.streams) {
        let stats = &route.stats;
        for (direction, count) in [("received", &stats.received), ("sent", &stats.sent)] {
            let [service, endpoint] = labels(route);
            metric
                .encode_family(&[service, endpoint, ("direction", direction.to_owned())])?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
    }

    let mut metric = encoder.encode_descriptor(
        "microhost_call_duration_seconds",
        "How long calls took, from the whole request to the whole reply.",
        None,
        MetricType::Histogram,
    )?;
    for route in routes {
        let counts = route.stats.latency.buckets();
        let bounds = LATENCY_BOUNDS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // From the same reading as the buckets, so that the count is the last bucket's.
        let count = counts.iter().sum();
        metric.encode_family(&labels(route))?.encode_histogram::<NoLabelSet>(
            seconds(route.stats.latency.sum_us()),
            count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

/// What the kernel says of this process; `None` where there is no `/proc`.
fn resident_memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: `sysconf` takes a plain number and reads nothing of ours.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rpc::{CallFuture, Endpoint, Handler, MethodKind, OpenFuture, Request, Served, StreamRequest, wrong_kind};
    use crate::stats::ServiceStats;

    struct Never;

    impl Handler for Never {
        fn call(&self, _: Request) -> CallFuture {
            Box::pin(std::future::pending())
        }

        fn open(&self, _: StreamRequest) -> OpenFuture {
            Box::pin(std::future::ready(Err(wrong_kind())))
        }
    }

    #[test]
    fn calls_are_shown_by_service_endpoint_and_code_with_their_times() {
        let overview = Arc::new(Overview::new(Arc::default(), Arc::default(), Arc::default()));
        let stats = Arc::new(EndpointStats::default());
        stats.ended(Code::Ok, Duration::from_micros(80));
        stats.ended(Code::NotFound, Duration::from_secs(60));
        let endpoint = Endpoint { service: "a.B".into(), method: "C".into(), safe: false, kind: Some(MethodKind::Unary) };
        let served = Served { endpoint, handler: Arc::new(Never), stats, max_request: 1 };
        overview.router.set("b", vec![served]).expect("free");
        overview.count_service("b", Arc::new(ServiceStats { instances: 3.into(), cpu_us: 1_500_000.into(), ..Default::default() }));
        overview.health.replace("b", [].into_iter(), ["a.B"].into_iter(), crate::admin::Standing::default());
        overview.health.miss("c", true);
        overview.callees.callee("a.B").retries.fetch_add(2, Relaxed);
        let text = text(&overview);
        for line in [
            "microhost_remote_retries_total{service=\"a.B\"} 2",
            "# TYPE microhost_calls counter",
            "microhost_calls_total{service=\"a.B\",endpoint=\"C\",code=\"ok\"} 1",
            "microhost_calls_total{service=\"a.B\",endpoint=\"C\",code=\"not_found\"} 1",
            "microhost_call_duration_seconds_bucket{le=\"0.0001\",service=\"a.B\",endpoint=\"C\"} 1",
            "microhost_call_duration_seconds_bucket{le=\"+Inf\",service=\"a.B\",endpoint=\"C\"} 2",
            "microhost_call_duration_seconds_count{service=\"a.B\",endpoint=\"C\"} 2",
            "microhost_instances{service=\"b\"} 3",
            "microhost_service_calls_ended_total{service=\"b\"} 2",
            "microhost_service_errors_total{service=\"b\"} 0",
            "microhost_guest_cpu_seconds_total{service=\"b\"} 1.5",
            "microhost_service_up{service=\"b\"} 1",
            "microhost_service_up{service=\"c\"} 0",
            "microhost_connections 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|have| have == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("code=\"internal\""), "{text}");
    }
}
