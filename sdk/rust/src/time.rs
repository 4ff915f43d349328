//! Waiting.

use std::time::Duration;

/// Waits without holding up the other calls of the instance, as `std::thread::sleep` would.
///
/// ```
/// # async fn poll() {
/// microhost_sdk::time::sleep(std::time::Duration::from_millis(50)).await;
/// # }
/// ```
pub async fn sleep(duration: Duration) {
    #[cfg(target_family = "wasm")]
    crate::bindings::wasi::clocks::monotonic_clock::wait_for(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).await;
    // In a test of the service's own there is nobody else to hold up.
    #[cfg(not(target_family = "wasm"))]
    std::thread::sleep(duration);
}
