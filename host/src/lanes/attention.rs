//! A lane that has just answered looks for the next call a moment longer before it sleeps.
//!
//! Waking a sleeping core costs more than a whole call. A client that calls again at once, as one
//! with a single connection does, finds the lane awake. Where looking has been in vain it is done
//! ever more rarely, so that a lane with little to do sleeps as it would without.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How long a lane looks for more.
const WINDOW: Duration = Duration::from_micros(60);

/// Looking in vain this often doubles how many answers pass before the next look.
const PATIENCE: u32 = 4;

/// The most answers that pass without a look, as a power of two.
const MOST_SKIPPED: u32 = 8;

thread_local! {
    /// When this lane answered last, while it looks for more.
    static ANSWERED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// The task that looks, while it waits for an answer.
    static LOOK: Cell<Option<Waker>> = const { Cell::new(None) };
    /// Answers that pass before the next look.
    static SKIP: Cell<u32> = const { Cell::new(0) };
}

/// Tells the lane that it has answered a call.
pub fn answered() {
    let skip = SKIP.get();
    if skip > 0 {
        SKIP.set(skip - 1);
        return;
    }
    if ANSWERED.replace(Some(Instant::now())).is_none()
        && let Some(look) = LOOK.take()
    {
        look.wake();
    }
}

/// Keeps the lane of the calling thread awake after its answers. Ends with the lane.
pub(super) async fn look() {
    let mut in_vain = 0;
    loop {
        let mut last = answer().await;
        let mut found = false;
        while last.elapsed() < WINDOW {
            // Whoever else wants this core may have it: it may be who makes the next call.
            std::thread::yield_now();
            // The lane's other tasks run first, and what has arrived meanwhile is read.
            tokio::task::yield_now().await;
            if let Some(latest) = ANSWERED.get().filter(|latest| *latest != last) {
                (last, found) = (latest, true);
            }
        }
        ANSWERED.set(None);
        in_vain = if found { 0 } else { in_vain + 1 };
        SKIP.set((1 << (in_vain / PATIENCE).min(MOST_SKIPPED)) - 1);
    }
}

/// Waits until the lane has answered a call; when it did.
async fn answer() -> Instant {
    poll_fn(|cx| match ANSWERED.get() {
        Some(at) => Poll::Ready(at),
        None => {
            LOOK.set(Some(cx.waker().clone()));
            Poll::Pending
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_lane_without_work_soon_sleeps_and_looks_ever_more_rarely() {
        tokio::spawn(look());
        for _ in 0..64 {
            answered();
            while ANSWERED.get().is_some() {
                tokio::task::yield_now().await;
            }
        }
        assert!(SKIP.get() > 0, "looking in vain has no end");
    }
}
