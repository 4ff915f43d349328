//! What is counted. Plain atomics, so that counting costs a call next to nothing; how they are
//! shown is the surfaces' affair.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::status::Code;

/// The histogram's upper bounds, in microseconds; a last bucket has no bound.
pub const LATENCY_BOUNDS_US: [u64; 16] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// How long things took: a count a bucket, and the sum.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// The count of each bucket, not cumulative; the last has no upper bound.
    pub fn buckets(&self) -> [u64; LATENCY_BOUNDS_US.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].load(Relaxed))
    }

    /// The sum of all durations, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Relaxed)
    }
}

/// What is counted of one endpoint.
#[derive(Debug, Default)]
pub struct EndpointStats {
    ended: [AtomicU64; 17],
    /// Messages that callers' streams brought.
    pub received: AtomicU64,
    /// Messages that replies' streams brought.
    pub sent: AtomicU64,
    /// How long the calls took, from the whole request, or from the head of one with streams, to the
    /// whole reply.
    pub latency: Histogram,
    /// Calls now under way.
    pub in_flight: AtomicI64,
}

impl EndpointStats {
    /// Counts the end of a call.
    pub fn ended(&self, code: Code, took: Duration) {
        self.ended[usize::from(code.number())].fetch_add(1, Relaxed);
        self.latency.observe(took);
    }

    /// The calls that ended with this code.
    pub fn count(&self, code: Code) -> u64 {
        self.ended[usize::from(code.number())].load(Relaxed)
    }
}

/// What is counted of one service: its instances and what they hold. What has a limit is counted in the
/// unit of the limit, over all instances.
#[derive(Debug, Default)]
pub struct ServiceStats {
    /// Instances alive, those that finish their last calls included.
    pub instances: AtomicI64,
    /// Instances ever made.
    pub instances_started: AtomicU64,
    /// Instances ended by a trap.
    pub traps: AtomicU64,
    /// Calls without streams now under way, those that wait included.
    pub calls: AtomicI64,
    /// Calls waiting for a place in an instance.
    pub queued: AtomicI64,
    /// Calls with streams now under way, those that wait included.
    pub streams: AtomicI64,
    /// Calls refused because the queue was full.
    pub shed: AtomicU64,
    /// Times that something was refused because the service had reached a limit over all its instances.
    pub refused: AtomicU64,
    /// Linear memory of all instances, in bytes.
    pub memory_bytes: AtomicI64,
    /// What the host holds for the service, in bytes: arguments of calls, and replies of streams that wait
    /// for their readers.
    pub host_memory_bytes: AtomicI64,
    /// What is in the folders that the service may write to, in bytes.
    pub disk_bytes: AtomicI64,
    /// Names of files, folders and links in these.
    pub disk_files: AtomicI64,
    /// Connections for `wasi:http` now open.
    pub connections: AtomicI64,
    /// Log lines written.
    pub log_lines: AtomicU64,
    /// Bytes of the log lines written, as the service wrote them.
    pub log_bytes: AtomicU64,
    /// Log lines dropped because the service logged too much.
    pub log_lines_dropped: AtomicU64,
    /// Time that guest code computed, in microseconds, to a tick's accuracy.
    pub cpu_us: AtomicU64,
    /// Time that instances were held back by the limit `cpu-share`, in microseconds.
    pub throttled_us: AtomicU64,
}

/// What is counted of the compile cache.
#[derive(Debug, Default)]
pub struct CacheStats {
    /// Components taken from the cache.
    pub hits: AtomicU64,
    /// Components that had to be compiled.
    pub misses: AtomicU64,
    /// Entries refused because they were damaged or not the cache's own.
    pub refused: AtomicU64,
    /// Entries removed to keep the cache within its bound.
    pub evicted: AtomicU64,
}

/// What is counted of the listener.
#[derive(Debug, Default)]
pub struct EdgeStats {
    /// Connections now open.
    pub connections: AtomicI64,
    /// Connections ever accepted.
    pub accepted: AtomicU64,
    /// Connections refused because there were too many.
    pub refused: AtomicU64,
}

/// What is counted of the calls that services of this host make of one service that runs elsewhere too.
#[derive(Debug, Default)]
pub struct CalleeStats {
    /// Calls, however often each was tried.
    pub calls: AtomicU64,
    /// Tries after one that failed.
    pub retries: AtomicU64,
    /// Tries beside one that had no answer yet.
    pub hedges: AtomicU64,
    /// Tries that were not made because there had been too many.
    pub over_budget: AtomicU64,
    /// Times that a host was left alone for a while because its calls failed.
    pub opened: AtomicU64,
}

/// The most services that calls are counted of one by one.
pub const MAX_CALLEES: usize = 10_000;

/// What stands for all services beyond [`MAX_CALLEES`].
const OTHER_CALLEES: &str = "other";

/// What is counted of the services that were called on other hosts, by their full names.
#[derive(Debug, Default)]
pub struct CalleesStats(Mutex<BTreeMap<Arc<str>, Arc<CalleeStats>>>);

impl CalleesStats {
    /// The counters of a service, the same ones each time.
    pub fn callee(&self, service: &str) -> Arc<CalleeStats> {
        let mut all = self.0.lock().expect("no holder panics");
        let name = if all.len() < MAX_CALLEES || all.contains_key(service) { service } else { OTHER_CALLEES };
        match all.get(name) {
            Some(stats) => Arc::clone(stats),
            None => Arc::clone(all.entry(name.into()).or_default()),
        }
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<CalleeStats>)> {
        let all = self.0.lock().expect("no holder panics");
        all.iter().map(|(service, stats)| (Arc::clone(service), Arc::clone(stats))).collect()
    }
}
