//! Waits for very many timers at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use microhost_sdk::time::sleep;

pub async fn wait(count: u32, ms: u32) -> u32 {
    let time = Duration::from_millis(ms.into());
    let mut timers: Vec<Pin<Box<dyn Future<Output = ()>>>> = (0..count).map(|_| Box::pin(sleep(time)) as _).collect();
    // All are begun before the first is waited for.
    poll_fn(|cx| {
        timers.retain_mut(|timer| timer.as_mut().poll(cx).is_pending());
        if timers.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    count
}
