//! What the end-to-end tests stand on: the real program in a process of its own, and clients that
//! share no code with it.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
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

/// Ports that are nobody's, for servers that are told theirs, or that come back at the one that they had.
/// They lie below those that Linux gives out by itself (32768 and up), so that no connection of another test
/// takes one in between.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of loopback that nothing listens on, and that no other call of this process has told.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes that run beside one another begin at places of their own.
    let first = std::process::id().wrapping_mul(2_654_435_761) % u32::from(count);
    let free = |_| {
        let step = u32::from(NEXT.fetch_add(1, Relaxed));
        let port = PORTS.start + u16::try_from((first + step) % u32::from(count)).expect("it is below the count");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    };
    (0..count).find_map(free).expect("a free port")
}
