//! Waits, and counts what happens in its instance.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use exports::test::sleeper::sleeper::{Guest, Tally};
use microhost_sdk::time::sleep;

microhost_sdk::service!({ world: "test:sleeper/guest" });

thread_local! {
    // The hasher's keys are drawn from the host's random numbers.
    static INSTANCE: u64 = RandomState::new().hash_one(0);
    static SERVED: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<u32> = const { Cell::new(0) };
    static MOST: Cell<u32> = const { Cell::new(0) };
}

/// A call in the instance, for as long as it is in there.
struct Call;

impl Call {
    fn begin() -> Call {
        SERVED.set(SERVED.get() + 1);
        LIVE.set(LIVE.get() + 1);
        MOST.set(MOST.get().max(LIVE.get()));
        Call
    }

    fn tally(&self) -> Tally {
        Tally { instance: INSTANCE.with(|instance| *instance), served: SERVED.get(), live: LIVE.get(), most: MOST.get() }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

struct Sleeper;

impl Guest for Sleeper {
    async fn sleep(ms: u32) -> Tally {
        let call = Call::begin();
        sleep(Duration::from_millis(ms.into())).await;
        call.tally()
    }

    fn report() -> Tally {
        Call::begin().tally()
    }

    async fn hang() {
        let _call = Call::begin();
        loop {
            sleep(Duration::from_secs(3600)).await;
        }
    }
}

export!(Sleeper);
