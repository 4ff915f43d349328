//! Computes for too long.

use std::hint::black_box;
use std::time::{Duration, Instant};

use exports::test::spin::spin::Guest;
use microhost_sdk::wit_bindgen::yield_async;

microhost_sdk::service!({ world: "test:spin/guest" });

/// Work between two looks at the clock, far less than a millisecond.
const STEP: u64 = 10_000;

fn compute(ms: u32) -> u64 {
    let end = Instant::now() + Duration::from_millis(ms.into());
    let mut rounds = 0;
    while Instant::now() < end {
        for _ in 0..STEP {
            rounds = black_box(rounds + 1);
        }
    }
    rounds
}

fn forever() {
    let mut rounds: u64 = 0;
    loop {
        rounds = black_box(rounds.wrapping_add(1));
    }
}

struct Spin;

impl Guest for Spin {
    fn forever() {
        forever()
    }

    async fn forever_async() {
        forever()
    }

    async fn polite() {
        loop {
            compute(1);
            yield_async().await;
        }
    }

    async fn wait(ms: u32) {
        microhost_sdk::time::sleep(Duration::from_millis(ms.into())).await;
    }

    fn for_(ms: u32) -> u64 {
        compute(ms)
    }

    async fn for_async(ms: u32) -> u64 {
        compute(ms)
    }
}

export!(Spin);
