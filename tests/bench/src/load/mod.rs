//! The load generator: one thread, raw sockets, and no more protocol than the call needs, in a process
//! of its own. What it saves, the servers have; what it costs is told apart from what they cost.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mio::{Events, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::usage::{Usage, machine_busy};
use connection::Connection;
pub use histogram::Histogram;
use streams::Direction;

mod connection;
mod frames;
mod histogram;
mod hpack;
pub mod http1;
mod http2;
mod streams;

/// Sockets that are handled between two looks at the clock.
const EVENTS: usize = 256;
/// The part of a measurement's time that is spent on calls before it, which are not measured.
const WARM_UP: f64 = 0.25;
/// The least and the most of that, in seconds.
const WARM_UP_SECONDS: (f64, f64) = (0.1, 1.0);
/// The longest message of a stream: the servers take 4 MiB with its envelope.
pub const MAX_MESSAGE: i64 = 3 << 20;
/// How long a server may be silent on every connection.
const SILENCE: Duration = Duration::from_secs(10);

/// What is called, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// JSON over HTTP/1.1.
    Json,
    /// A page by GET over HTTP/1.1.
    Get,
    /// Unary gRPC over HTTP/2.
    Grpc,
    /// gRPC whose server streams.
    Produce,
    /// gRPC whose client streams.
    Consume,
    /// gRPC whose client streams, and whose server streams the same messages back.
    Echo,
}

impl Protocol {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Protocol::Json => "json",
            Protocol::Get => "get",
            Protocol::Grpc => "grpc",
            Protocol::Produce => "produce",
            Protocol::Consume => "consume",
            Protocol::Echo => "echo",
        }
    }

    /// Whether a call is one message each way, sent once the last one was answered.
    pub fn is_unary(self) -> bool {
        matches!(self, Protocol::Json | Protocol::Get | Protocol::Grpc)
    }
}

/// One measurement.
#[derive(Args, Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// What is called.
    #[arg(long)]
    pub protocol: Protocol,
    /// Connections.
    #[arg(long)]
    pub connections: usize,
    /// Calls at once on each connection.
    #[arg(long, default_value_t = 1)]
    pub streams: usize,
    /// Bytes of each message of a stream.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=MAX_MESSAGE))]
    pub size: u32,
    /// Seconds that are measured.
    #[arg(long)]
    pub seconds: f64,
}

impl Plan {
    /// The plan as arguments of `bench load`.
    pub fn arguments(&self) -> Vec<String> {
        let Plan { protocol, connections, streams, size, seconds } = self;
        [
            ("protocol", protocol.name().to_owned()),
            ("connections", connections.to_string()),
            ("streams", streams.to_string()),
            ("size", size.to_string()),
            ("seconds", seconds.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}x{}", self.protocol.name(), self.connections, self.streams)?;
        if self.protocol.is_unary() { Ok(()) } else { write!(f, ", {} bytes", self.size) }
    }
}

/// A measurement of a server that runs.
#[derive(Args)]
pub struct Load {
    #[command(flatten)]
    plan: Plan,
    /// Where the server listens.
    #[arg(long)]
    at: SocketAddr,
    /// Its process id.
    #[arg(long)]
    pid: u32,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Calls that ended, rightly; one wrong answer fails the measurement.
    pub calls: u64,
    /// Messages a second that came, or were sent where only the client sends many. A unary call is one.
    pub rate: f64,
    /// Time of the median call, in microseconds.
    pub p50: f64,
    /// Time within which 99 of 100 calls ended, in microseconds.
    pub p99: f64,
    /// Time of the longest call, in microseconds.
    pub longest: f64,
    /// CPU time of the server for a message, in microseconds.
    pub cpu: f64,
    /// CPU time of the load generator for a message, in microseconds.
    pub load_cpu: f64,
    /// The part of the time in which the load generator was busy, of the one core that it can use.
    pub load_busy: f64,
    /// Cores that other processes kept busy, on average: above zero, the figures are not those of a quiet
    /// machine.
    pub others: f64,
    /// Resident memory of the server at the end, in bytes.
    pub resident: u64,
    /// The part of it that is not pages of files.
    pub anonymous: u64,
}

/// What a connection says and understands.
trait Client {
    /// Says what opens a connection, first calls included.
    fn open(&mut self, now: Instant, out: &mut Vec<u8>);

    /// Takes the first whole message off `input`, records a call that it ends, and says what follows.
    /// Returns how many bytes were taken: zero when the message is not whole. Fails on a wrong reply.
    fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<usize>;

    /// Says what may be said without an answer, a piece of it; asked for more once that is written. A
    /// client that only answers has nothing.
    fn say(&mut self, _out: &mut Vec<u8>, _tally: &mut Tally) {}
}

/// What came of a measurement's calls.
struct Tally {
    /// The times of those that ended.
    calls: Histogram,
    /// Messages; a unary call is one. Parts of large ones count as such, or many that are under way at
    /// once would be counted all together or not at all.
    messages: f64,
}

impl Tally {
    fn new() -> Tally {
        Tally { calls: Histogram::new(), messages: 0.0 }
    }

    /// Records a unary call.
    fn record(&mut self, time: Duration) {
        self.calls.record(time);
        self.messages += 1.0;
    }

    fn clear(&mut self) {
        self.calls.clear();
        self.messages = 0.0;
    }
}

/// Measures, and writes what it measured to stdout as JSON.
pub fn run(load: &Load) -> Result<()> {
    println!("{}", serde_json::to_string(&measure(load)?)?);
    Ok(())
}

fn measure(load: &Load) -> Result<Measured> {
    let (at, plan) = (load.at, &load.plan);
    let streams = |direction| drive(load, || streams::Streams::new(at, direction, plan.streams, plan.size as usize));
    match plan.protocol {
        Protocol::Json | Protocol::Get if plan.streams != 1 => {
            bail!("HTTP/1.1 has one call at a time on a connection: --streams must be 1")
        }
        Protocol::Json => drive(load, || http1::Http1::new(http1::request(at), http1::check)),
        Protocol::Get => drive(load, || http1::Http1::new(http1::page(at), http1::check_page)),
        Protocol::Grpc => drive(load, || http2::Http2::new(at, plan.streams)),
        Protocol::Produce => streams(Direction::Produce),
        Protocol::Consume => streams(Direction::Consume),
        Protocol::Echo => streams(Direction::Echo),
    }
}

fn drive<C: Client>(load: &Load, client: impl Fn() -> C) -> Result<Measured> {
    let mut poll = Poll::new().context("cannot poll")?;
    let mut tally = Tally::new();
    let mut scratch = Vec::new();
    let mut connections = Vec::with_capacity(load.plan.connections);
    for token in 0..load.plan.connections {
        connections.push(Connection::open(load.at, client(), &poll, Token(token), &mut tally)?);
    }
    // Sockets that were left with something to read, for others to have their turn: nobody tells of
    // them again.
    let mut unread: Vec<usize> = Vec::with_capacity(load.plan.connections);
    let mut work = |until: Instant, tally: &mut Tally| -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let wait = if unread.is_empty() { left.min(SILENCE) } else { Duration::ZERO };
            match poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.context("cannot poll")?,
            }
            if events.is_empty() && unread.is_empty() && left > SILENCE {
                bail!("the server was silent for {} s on every connection", SILENCE.as_secs());
            }
            for event in &events {
                let place = event.token().0;
                if !unread.contains(&place) {
                    unread.push(place);
                }
            }
            let mut failed = Ok(());
            unread.retain(|&place| match connections[place].ready(&mut scratch, tally) {
                Ok(more) => more,
                Err(error) => {
                    failed = Err(error);
                    false
                }
            });
            failed?;
        }
    };

    let (least, most) = WARM_UP_SECONDS;
    let warm_up = Duration::from_secs_f64((load.plan.seconds * WARM_UP).clamp(least, most));
    let patience = Instant::now() + SILENCE;
    // The first of many large messages that come side by side takes its time.
    while tally.messages == 0.0 && Instant::now() < patience {
        work(Instant::now() + warm_up, &mut tally)?;
    }
    tally.clear();
    let busy = machine_busy()?;
    let (server, own, start) = (Usage::of(load.pid)?, Usage::of(std::process::id())?, Instant::now());
    work(start + Duration::from_secs_f64(load.plan.seconds), &mut tally)?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), Usage::of(load.pid)?);
    let own_after = Usage::of(std::process::id())?;
    let (server_cpu, own_cpu) = (after.cpu - server.cpu, own_after.cpu - own.cpu);
    // The three are read one after the other, and each is counted in hundredths of a second.
    let others = (machine_busy()? - busy - server_cpu - own_cpu).max(0.0) / seconds;

    let messages = tally.messages;
    if messages == 0.0 {
        bail!("not one call was answered, and not one message passed, in {seconds:.1} s");
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let each = |seconds: f64| seconds * 1e6 / messages;
    Ok(Measured {
        calls: tally.calls.total(),
        rate: messages / seconds,
        p50: micros(tally.calls.quantile(0.5)),
        p99: micros(tally.calls.quantile(0.99)),
        longest: micros(tally.calls.longest()),
        cpu: each(server_cpu),
        load_cpu: each(own_cpu),
        load_busy: own_cpu / seconds,
        others,
        resident: after.resident,
        anonymous: after.anonymous,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{self, Native};

    #[test]
    fn each_protocol_is_measured_against_its_native_server() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        for (native, protocol, streams, size) in [
            (Native::Hyper, Protocol::Json, 1, 1),
            (Native::Hyper, Protocol::Get, 1, 1),
            (Native::Tonic, Protocol::Grpc, 3, 1),
            (Native::Tonic, Protocol::Produce, 3, 16),
            (Native::Tonic, Protocol::Consume, 3, 16),
            (Native::Tonic, Protocol::Echo, 3, 16),
            (Native::TonicDirect, Protocol::Produce, 3, 16),
            (Native::Tonic, Protocol::Produce, 1, 1 << 20),
            (Native::Tonic, Protocol::Consume, 1, 1 << 20),
            (Native::Tonic, Protocol::Echo, 1, 1 << 20),
        ] {
            let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
            let at = listener.local_addr().expect("it listens");
            let server = runtime.spawn(serve::on(listener, native));
            let plan = Plan { protocol, connections: 4, streams, size, seconds: 0.1 };
            let measured = measure(&Load { plan, at, pid: std::process::id() }).expect("every reply is right");
            assert!(measured.rate > 0.0 && measured.p50 <= measured.p99, "{plan}: {measured:?}");
            server.abort();
        }
    }
}
