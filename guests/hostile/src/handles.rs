//! Takes handles of the host's and keeps them.

use std::mem::forget;

use wasip2::clocks::monotonic_clock::subscribe_duration;

use crate::wit_stream;

const HOUR: u64 = 3_600_000_000_000;

pub fn pollables(count: u32) -> u32 {
    for _ in 0..count {
        forget(subscribe_duration(HOUR));
    }
    count
}

pub fn streams(count: u32) -> u32 {
    for _ in 0..count {
        forget(wit_stream::new::<u32>());
    }
    count
}
