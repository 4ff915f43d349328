//! Computes a while and pauses a moment, over and over: never long enough to be noticed at once.

use std::hint::black_box;
use std::time::{Duration, Instant};

use microhost_sdk::time::sleep;

/// Work between two looks at the clock, far less than a millisecond.
const STEP: u64 = 10_000;

pub fn compute(ms: u32) {
    let end = Instant::now() + Duration::from_millis(ms.into());
    let mut rounds: u64 = 0;
    while Instant::now() < end {
        for _ in 0..STEP {
            rounds = black_box(rounds.wrapping_add(1));
        }
    }
}

pub async fn without_end(ms: u32) {
    loop {
        compute(ms);
        sleep(Duration::from_micros(1)).await;
    }
}
