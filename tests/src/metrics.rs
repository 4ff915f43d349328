//! The host's metrics, read as Prometheus reads them.

use crate::SOON;
use crate::host::Host;

/// Calls that ended, by `service`, `endpoint` and `code`.
pub const CALLS: &str = "microhost_calls_total";
/// Calls under way, by `service` and `endpoint`.
pub const IN_FLIGHT: &str = "microhost_calls_in_flight";
/// Instances alive.
pub const INSTANCES: &str = "microhost_instances";
/// Instances ever made.
pub const STARTED: &str = "microhost_instances_started_total";
/// Instances that a trap ended.
pub const TRAPS: &str = "microhost_traps_total";
/// What the host holds for services.
pub const HOST_MEMORY: &str = "microhost_host_memory_bytes";
/// What is in the folders that services may write to.
pub const DISK: &str = "microhost_disk_bytes";
/// Files, folders and links in these.
pub const FILES: &str = "microhost_disk_files";
/// Bytes of log lines.
pub const LOG_BYTES: &str = "microhost_log_bytes_total";
/// Time that guest code computed.
pub const CPU: &str = "microhost_guest_cpu_seconds_total";
/// Calls that wait for a place.
pub const QUEUED: &str = "microhost_queued_calls";
/// Calls with streams under way.
pub const STREAMS: &str = "microhost_streams";
/// Calls refused because the queue was full.
pub const SHED: &str = "microhost_shed_calls_total";
/// Linear memory of all instances.
pub const MEMORY: &str = "microhost_instance_memory_bytes";
/// Log lines that were too many.
pub const DROPPED: &str = "microhost_log_lines_dropped_total";
/// Components that the compile cache had.
pub const HITS: &str = "microhost_compile_cache_hits_total";
/// Components that had to be compiled.
pub const MISSES: &str = "microhost_compile_cache_misses_total";
/// Cache entries that were not to be trusted.
pub const REFUSED: &str = "microhost_compile_cache_refused_total";
/// Connections ever accepted.
pub const ACCEPTED: &str = "microhost_connections_accepted_total";
/// Resident memory of the host.
pub const RESIDENT: &str = "process_resident_memory_bytes";
/// Connections open.
pub const CONNECTIONS: &str = "microhost_connections";

/// One scrape.
#[derive(Debug)]
pub struct Metrics {
    /// The text as it came.
    pub text: String,
}

impl Metrics {
    /// The sum of all samples of this name whose labels have all of these values.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).iter().sum()
    }

    /// The samples of this name whose labels have all of these values.
    pub fn samples(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let sample = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (found, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None => ("", rest.strip_prefix(' ').map(|_| rest)?),
            };
            let wanted = |(label, value): &(&str, &str)| found.split(',').any(|pair| pair == format!("{label}=\"{value}\""));
            labels.iter().all(wanted).then(|| value.trim().parse().ok())?
        };
        self.text.lines().filter_map(sample).collect()
    }

    /// The one sample of this name and labels.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.samples(name, labels);
        assert!(!samples.is_empty(), "no metric {name} {labels:?} in:\n{}", self.text);
        samples.iter().sum()
    }
}

impl Host {
    /// Scrapes the metrics.
    pub async fn metrics(&self) -> Metrics {
        let answer = self.get("/_microhost/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics { text: answer.text() }
    }

    /// Scrapes until a metric is as wanted; the host has no other way to tell of it.
    ///
    /// # Panics
    /// If it is not in time.
    pub async fn metric_becomes(&self, name: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) -> f64 {
        let began = std::time::Instant::now();
        loop {
            let metrics = self.metrics().await;
            let value = metrics.value(name, labels);
            if wanted(value) {
                return value;
            }
            assert!(began.elapsed() < SOON, "{name} {labels:?} stays at {value}:\n{}", metrics.text);
        }
    }
}
