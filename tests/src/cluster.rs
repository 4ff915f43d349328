//! Names of clusters, so that the hosts of a test see no others.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A name that no other test has, on this machine and at this time.
pub fn unique(test: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{test}-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed))
}
