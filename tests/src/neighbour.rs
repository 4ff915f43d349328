//! A healthy service beside a hostile one: called all the while, on a connection and a thread of its own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::json;

use crate::SOON;
use crate::guests;
use crate::host::{Host, Start};
use crate::http::{Connection, Version};

const ECHO: &str = "test.echo.Echo/Echo";

/// Calls before the harm is done, to know how long they take.
const QUIET_CALLS: u64 = 500;

/// The fewest calls while it is done.
const FEWEST_CALLS: u64 = 500;

/// How much longer the slowest hundredth may take beside a hostile service.
const SLOWER: u32 = 3;

/// What is never too long: the machine has others to serve.
const FLOOR: Duration = Duration::from_millis(30);

/// A host with the echo beside a component under the name `hostile`, which has the limits of this table:
/// `cpu = "1s"`.
pub async fn beside_echo(component: &std::path::Path, limits: &str) -> Host {
    beside_echo_with(component, limits, "").await
}

/// The same with more lines of the service's table.
pub async fn beside_echo_with(component: &std::path::Path, limits: &str, rest: &str) -> Host {
    let echo = crate::settings::service("echo", &guests::guest("echo"), "");
    let hostile = crate::settings::service("hostile", component, &format!("limits = {{ {limits} }}\n{rest}"));
    Start::settings(&(echo + &hostile)).ready().await
}

/// The echo of a host, and how it fares when nobody does harm.
pub struct Neighbour<'h> {
    host: &'h Host,
    quiet: Duration,
    resident: u64,
}

/// What came of many calls in a row.
struct Calls {
    times: Vec<Duration>,
    /// The most resident memory of the host meanwhile, in bytes.
    resident: u64,
}

impl Calls {
    fn slowest_hundredth(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times[self.times.len() * 99 / 100]
    }
}

/// Calls until it is told to stop.
struct Caller {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Calls>,
}

impl Caller {
    fn start(host: &Host) -> Caller {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let call = || host.call(ECHO, &json!({ "id": "7", "text": "hello", "tags": ["a", "b"] })).into_request();
        let (address, id, request) = (host.address, host.id(), call());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = Connection::open(address, Version::One).await.expect("HTTP is spoken");
                let mut calls = Calls { times: Vec::new(), resident: resident(id) };
                while !stopped.load(Relaxed) {
                    calls.times.push(one(&mut connection, request.clone()).await);
                    calls.resident = calls.resident.max(resident(id));
                    counted.fetch_add(1, Relaxed);
                }
                calls
            })
        });
        Caller { stop, count, thread }
    }

    /// Waits until so many calls are done, and ends.
    async fn done(self, fewest: u64) -> Calls {
        let enough = async {
            while self.count.load(Relaxed) < fewest && !self.thread.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        crate::soon("calls of the neighbour", enough).await;
        self.stop.store(true, Relaxed);
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await.expect("joining does not panic");
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// One call, which has to succeed; how long it took.
async fn one(connection: &mut Connection, request: Request<Bytes>) -> Duration {
    let began = Instant::now();
    let answer = tokio::time::timeout(SOON, connection.send(request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("the neighbour was not answered within {SOON:?}")).expect("an answer");
    assert_eq!(answer.status, 200, "the neighbour's call failed: {}", answer.text());
    began.elapsed()
}

/// A process's resident memory, in bytes.
///
/// # Panics
/// If it is gone.
pub fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the host runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

impl Host {
    /// Its echo, called for a while first.
    pub async fn neighbour(&self) -> Neighbour<'_> {
        let mut calls = Caller::start(self).done(QUIET_CALLS).await;
        Neighbour { host: self, quiet: calls.slowest_hundredth(), resident: calls.resident }
    }
}

impl Neighbour<'_> {
    /// Calls the echo for as long as the harm takes, and a while longer if that is short. Every call
    /// has to succeed, in a time that is not much longer than before; and the host is not to take more
    /// than so many bytes of memory in addition.
    ///
    /// # Panics
    /// If one of that is not so.
    pub async fn withstands<T>(&self, harm: impl Future<Output = T>, memory: u64) -> T {
        let caller = Caller::start(self.host);
        let done = harm.await;
        let mut calls = caller.done(FEWEST_CALLS).await;
        let (slow, most) = (calls.slowest_hundredth(), (self.quiet * SLOWER).max(FLOOR));
        let longest = calls.times.last().copied().unwrap_or_default();
        let count = calls.times.len();
        println!("{count} calls beside, slowest hundredth {slow:?}, longest {longest:?}; quiet {:?}", self.quiet);
        assert!(slow <= most, "of {count} calls the slowest hundredth took {slow:?}, longest {longest:?}; quiet {:?}", self.quiet);
        let grown = calls.resident.saturating_sub(self.resident);
        println!("memory grew by {} KiB", grown / 1024);
        assert!(grown <= memory, "the host's memory grew by {grown} bytes, more than {memory}");
        done
    }
}
