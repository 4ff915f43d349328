//! What one instance may hold: linear memory and tables. Counted as it grows, so that a refusal
//! comes before the allocation.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::ResourceLimiter;

use crate::settings::Limits;
use crate::stats::ServiceStats;

/// The most modules, memories and tables within one component.
const MAX_PARTS: usize = 200;

/// One instance's memory and tables, and their bounds.
pub struct Limiter {
    memory: usize,
    max_memory: usize,
    elements: usize,
    max_elements: usize,
    stats: Arc<ServiceStats>,
    refused: Option<&'static str>,
}

impl Limiter {
    /// A limiter for one new instance.
    pub fn new(limits: &Limits, stats: Arc<ServiceStats>) -> Limiter {
        Limiter { memory: 0, max_memory: limits.memory, elements: 0, max_elements: limits.table_elements, stats, refused: None }
    }

    /// The limit that was refused last, if any: most guests trap soon after.
    pub fn refused(&self) -> Option<&'static str> {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.saturating_add(desired.saturating_sub(current));
        if grown > self.max_memory {
            self.refused = Some("memory");
            return Ok(false);
        }
        self.stats.memory_bytes.fetch_add(signed(grown - self.memory), Relaxed);
        self.memory = grown;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.elements.saturating_add(desired.saturating_sub(current));
        if grown > self.max_elements {
            self.refused = Some("table-elements");
            return Ok(false);
        }
        self.elements = grown;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.stats.memory_bytes.fetch_sub(signed(self.memory), Relaxed);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_over_the_limit_is_refused_and_what_was_held_is_returned() {
        let stats = Arc::new(ServiceStats::default());
        let limits = Limits { memory: 100, ..Limits::default() };
        let mut limiter = Limiter::new(&limits, Arc::clone(&stats));
        assert!(limiter.memory_growing(0, 60, None).expect("no trap"));
        assert!(!limiter.memory_growing(0, 60, None).expect("no trap"), "a second memory counts too");
        assert_eq!(limiter.refused(), Some("memory"));
        assert_eq!(stats.memory_bytes.load(Relaxed), 60);
        drop(limiter);
        assert_eq!(stats.memory_bytes.load(Relaxed), 0);
    }
}
