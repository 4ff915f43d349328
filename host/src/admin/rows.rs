//! What is counted of a service, a row each: its name in Prometheus' text, and what it means.

use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::stats::ServiceStats;

pub(super) type CounterRow<T> = (&'static str, &'static str, fn(&T) -> &AtomicU64);
pub(super) type GaugeRow<T> = (&'static str, &'static str, fn(&T) -> &AtomicI64);

pub(super) const SERVICE_GAUGES: &[GaugeRow<ServiceStats>] = &[
    ("microhost_instances", "Instances alive.", |s| &s.instances),
    ("microhost_streams", "Calls with streams under way.", |s| &s.streams),
    ("microhost_queued_calls", "Calls that wait for a place in an instance.", |s| &s.queued),
    ("microhost_instance_memory_bytes", "Linear memory of all instances.", |s| &s.memory_bytes),
    ("microhost_host_memory_bytes", "What the host holds for the service.", |s| &s.host_memory_bytes),
    ("microhost_service_calls", "Calls without streams under way, those that wait included.", |s| &s.calls),
    ("microhost_disk_bytes", "What is in the folders that the service may write to.", |s| &s.disk_bytes),
    ("microhost_disk_files", "Files, folders and links in the folders that the service may write to.", |s| &s.disk_files),
    ("microhost_outgoing_connections", "Connections for wasi:http open.", |s| &s.connections),
];

pub(super) const SERVICE_COUNTERS: &[CounterRow<ServiceStats>] = &[
    ("microhost_instances_started", "Instances ever made.", |s| &s.instances_started),
    ("microhost_traps", "Instances ended by a trap.", |s| &s.traps),
    ("microhost_shed_calls", "Calls refused because the queue was full.", |s| &s.shed),
    ("microhost_refused_by_limits", "Times that something was refused because of a limit of the service.", |s| &s.refused),
    ("microhost_log_lines", "Log lines written.", |s| &s.log_lines),
    ("microhost_log_bytes", "Bytes of the log lines written.", |s| &s.log_bytes),
    ("microhost_log_lines_dropped", "Log lines dropped because the service logged too much.", |s| &s.log_lines_dropped),
];

/// Counted in microseconds and shown in seconds.
pub(super) const SERVICE_SECONDS: &[CounterRow<ServiceStats>] = &[
    ("microhost_guest_cpu_seconds", "Time that guest code computed.", |s| &s.cpu_us),
    ("microhost_guest_throttled_seconds", "Time that instances were held back by the limit cpu-share.", |s| &s.throttled_us),
];

pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
