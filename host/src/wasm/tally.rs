//! How the calls of one version end, counted only while somebody wants to know: whether it is to be
//! taken back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::status::Code;

/// Counts calls that have ended.
#[derive(Debug, Default)]
pub struct Tally {
    watched: AtomicBool,
    ended: AtomicU64,
    failed: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Calls that ended, however they did.
    pub ended: u64,
    /// Those that failed by the service's fault: with a code that is a server's error in HTTP.
    pub failed: u64,
}

impl Tally {
    /// Counts from now on.
    pub fn watch(&self) {
        self.watched.store(true, Relaxed);
    }

    /// Counts no more.
    pub fn leave(&self) {
        self.watched.store(false, Relaxed);
    }

    /// A call ended with this code.
    pub fn ended(&self, code: Code) {
        self.ended_with(|| code != Code::Ok && code.http().is_server_error());
    }

    /// A call ended; whether it failed is looked at only where it is counted.
    pub fn ended_with(&self, failed: impl FnOnce() -> bool) {
        if self.watched.load(Relaxed) {
            self.ended.fetch_add(1, Relaxed);
            self.failed.fetch_add(u64::from(failed()), Relaxed);
        }
    }

    /// What was counted so far.
    pub fn count(&self) -> Count {
        // In this order: there are never more failures than ends.
        let failed = self.failed.load(Relaxed);
        Count { ended: self.ended.load(Relaxed).max(failed), failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_is_to_blame_for_is_counted_while_somebody_watches() {
        let tally = Tally::default();
        tally.ended(Code::Internal);
        tally.watch();
        for code in [Code::Ok, Code::NotFound, Code::InvalidArgument, Code::Internal, Code::Unavailable] {
            tally.ended(code);
        }
        assert_eq!(tally.count(), Count { ended: 5, failed: 2 });
        tally.leave();
        tally.ended(Code::Ok);
        assert_eq!(tally.count().ended, 5);
    }
}
