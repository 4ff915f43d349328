//! What the end-to-end tests stand on: the real program in a process of its own, and clients that
//! share no code with it.

use std::future::Future;
use std::time::Duration;

pub mod cluster;
pub mod command;
pub mod connect;
pub mod descriptors;
pub mod grpc;
pub mod guests;
pub mod host;
pub mod http;
pub mod log;
pub mod metrics;
pub mod nats;
pub mod neighbour;
pub mod network;
pub mod peer;
pub mod program;
pub mod raw;
pub mod running;
pub mod settings;
pub mod streams;
pub mod thread;
pub mod tools;
pub mod transcript;
pub mod volume;

/// How long a test waits for anything that should come at once. Long, because two cores may run
/// the whole suite and a compiler beside it; no test waits as long unless it fails.
pub const SOON: Duration = Duration::from_secs(30);

/// Awaits `future`, at most for [`SOON`].
///
/// # Panics
/// If it takes longer; `what` says what did not come.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: did not happen within {SOON:?}"),
    }
}
