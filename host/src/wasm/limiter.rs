//! What one instance may hold: linear memory and tables. Counted as it grows, so that a refusal
//! comes before the allocation.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::quota::Quota;
use crate::settings::Limits;

/// The most modules, memories and tables within one component.
const MAX_PARTS: usize = 200;

/// One instance's memory and tables, and their bounds.
pub struct Limiter {
    memory: usize,
    max_memory: usize,
    elements: usize,
    max_elements: usize,
    quota: Arc<Quota>,
    refused: Option<&'static str>,
}

impl Limiter {
    /// A limiter for one new instance.
    pub fn new(limits: &Limits, quota: Arc<Quota>) -> Limiter {
        Limiter { memory: 0, max_memory: limits.memory, elements: 0, max_elements: limits.table_elements, quota, refused: None }
    }

    /// The linear memory that the instance has, in bytes.
    pub fn memory(&self) -> usize {
        self.memory
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
        if !self.quota.take_memory(grown - self.memory) {
            self.refused = Some("total-memory");
            return Ok(false);
        }
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
        self.quota.return_memory(self.memory);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::stats::ServiceStats;

    #[test]
    fn memory_over_the_limit_is_refused_and_what_was_held_is_returned() {
        let stats = Arc::new(ServiceStats::default());
        let limits = Limits { memory: 100, total_memory: 150, ..Limits::default() };
        let quota = Quota::new("greedy".into(), &limits, Arc::clone(&stats));
        let mut limiter = Limiter::new(&limits, Arc::clone(&quota));
        assert!(limiter.memory_growing(0, 80, None).expect("no trap"));
        assert!(!limiter.memory_growing(0, 80, None).expect("no trap"), "a second memory counts too");
        assert_eq!(limiter.refused(), Some("memory"));
        let mut other = Limiter::new(&limits, quota);
        assert!(!other.memory_growing(0, 80, None).expect("no trap"), "a second instance counts too");
        assert_eq!(other.refused(), Some("total-memory"));
        assert_eq!(stats.memory_bytes.load(Relaxed), 80);
        drop(limiter);
        assert_eq!(stats.memory_bytes.load(Relaxed), 0);
    }
}
