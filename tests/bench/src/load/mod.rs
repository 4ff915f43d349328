//! The load generator: one thread, raw sockets, and no more protocol than the call needs, in a process
//! of its own. What it saves, the servers have; what it costs is told apart from what they cost.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::usage::{Usage, machine_busy};
use histogram::Histogram;

mod histogram;
mod hpack;
pub mod http1;
mod http2;

/// Bytes read from a socket at once.
const READ: usize = 64 << 10;
/// Sockets that are handled between two looks at the clock.
const EVENTS: usize = 256;
/// The part of a measurement's time that is spent on calls before it, which are not measured.
const WARM_UP: f64 = 0.25;
/// The least and the most of that, in seconds.
const WARM_UP_SECONDS: (f64, f64) = (0.1, 1.0);
/// How long a server may be silent on every connection.
const SILENCE: Duration = Duration::from_secs(10);

/// What is called, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// JSON over HTTP/1.1.
    Json,
    /// gRPC over HTTP/2.
    Grpc,
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
    /// Seconds that are measured.
    #[arg(long)]
    pub seconds: f64,
}

impl Plan {
    /// The plan as arguments of `bench load`.
    pub fn arguments(&self) -> Vec<String> {
        let Plan { protocol, connections, streams, seconds } = self;
        let protocol = match protocol {
            Protocol::Json => "json",
            Protocol::Grpc => "grpc",
        };
        [
            ("protocol", protocol.to_owned()),
            ("connections", connections.to_string()),
            ("streams", streams.to_string()),
            ("seconds", seconds.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
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
    /// Calls that were answered, rightly; one wrong answer fails the measurement.
    pub calls: u64,
    /// Calls a second.
    pub rate: f64,
    /// Time of the median call, in microseconds.
    pub p50: f64,
    /// Time within which 99 of 100 calls ended, in microseconds.
    pub p99: f64,
    /// Time of the longest call, in microseconds.
    pub longest: f64,
    /// CPU time of the server for a call, in microseconds.
    pub cpu: f64,
    /// CPU time of the load generator for a call, in microseconds.
    pub load_cpu: f64,
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
}

/// The calls of a measurement.
struct Tally(Histogram);

impl Tally {
    fn record(&mut self, time: Duration) {
        self.0.record(time);
    }
}

/// Measures, and writes what it measured to stdout as JSON.
pub fn run(load: &Load) -> Result<()> {
    println!("{}", serde_json::to_string(&measure(load)?)?);
    Ok(())
}

fn measure(load: &Load) -> Result<Measured> {
    let plan = &load.plan;
    match plan.protocol {
        Protocol::Json if plan.streams != 1 => bail!("HTTP/1.1 has one call at a time on a connection: --streams must be 1"),
        Protocol::Json => drive(load, || http1::Http1::new(load.at)),
        Protocol::Grpc => drive(load, || http2::Http2::new(load.at, plan.streams)),
    }
}

fn drive<C: Client>(load: &Load, client: impl Fn() -> C) -> Result<Measured> {
    let mut poll = Poll::new().context("cannot poll")?;
    let mut tally = Tally(Histogram::new());
    let mut scratch = vec![0; READ];
    let mut connections = Vec::with_capacity(load.plan.connections);
    for token in 0..load.plan.connections {
        connections.push(Connection::open(load.at, client(), &poll, Token(token))?);
    }
    let mut work = |until: Instant, tally: &mut Tally| -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match poll.poll(&mut events, Some(left.min(SILENCE))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.context("cannot poll")?,
            }
            if events.is_empty() && left > SILENCE {
                bail!("the server was silent for {} s on every connection", SILENCE.as_secs());
            }
            for event in &events {
                connections[event.token().0].ready(&mut scratch, tally)?;
            }
        }
    };

    let (least, most) = WARM_UP_SECONDS;
    work(Instant::now() + Duration::from_secs_f64((load.plan.seconds * WARM_UP).clamp(least, most)), &mut tally)?;
    tally.0.clear();
    let busy = machine_busy()?;
    let (server, own, start) = (Usage::of(load.pid)?, Usage::of(std::process::id())?, Instant::now());
    work(start + Duration::from_secs_f64(load.plan.seconds), &mut tally)?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), Usage::of(load.pid)?);
    let own_after = Usage::of(std::process::id())?;
    let (server_cpu, own_cpu) = (after.cpu - server.cpu, own_after.cpu - own.cpu);
    // The three are read one after the other, and each is counted in hundredths of a second.
    let others = (machine_busy()? - busy - server_cpu - own_cpu).max(0.0) / seconds;

    let calls = tally.0.total();
    if calls == 0 {
        bail!("not one call was answered in {seconds:.1} s");
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let each = |seconds: f64| seconds * 1e6 / calls as f64;
    Ok(Measured {
        calls,
        rate: calls as f64 / seconds,
        p50: micros(tally.0.quantile(0.5)),
        p99: micros(tally.0.quantile(0.99)),
        longest: micros(tally.0.longest()),
        cpu: each(server_cpu),
        load_cpu: each(own_cpu),
        others,
        resident: after.resident,
        anonymous: after.anonymous,
    })
}

/// A socket with what was read and is not understood yet, and what is to be written.
struct Connection<C> {
    stream: TcpStream,
    client: C,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl<C: Client> Connection<C> {
    fn open(address: SocketAddr, client: C, poll: &Poll, token: Token) -> Result<Connection<C>> {
        let stream = StdStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut connection = Connection { stream: TcpStream::from_std(stream), client, input: Vec::new(), out: Vec::new() };
        poll.registry().register(&mut connection.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        connection.client.open(Instant::now(), &mut connection.out);
        connection.write()?;
        Ok(connection)
    }

    /// Reads all there is and writes what follows from it: the socket is told of once.
    fn ready(&mut self, scratch: &mut [u8], tally: &mut Tally) -> Result<()> {
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read from the server"),
            };
            self.take(&scratch[..read], tally)?;
            // Less than was asked for: the socket is empty, and the next bytes are told of.
            if read < scratch.len() {
                break;
            }
        }
        self.write()
    }

    fn take(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<()> {
        let now = Instant::now();
        if self.input.is_empty() {
            let taken = Self::understand(&mut self.client, bytes, now, &mut self.out, tally)?;
            self.input.extend_from_slice(&bytes[taken..]);
        } else {
            self.input.extend_from_slice(bytes);
            let taken = Self::understand(&mut self.client, &self.input, now, &mut self.out, tally)?;
            self.input.drain(..taken);
        }
        Ok(())
    }

    fn understand(client: &mut C, bytes: &[u8], now: Instant, out: &mut Vec<u8>, tally: &mut Tally) -> Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match client.receive(&bytes[taken..], now, out, tally)? {
                0 => break,
                more => taken += more,
            }
        }
        Ok(taken)
    }

    fn write(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot write to the server"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{self, Native};

    #[test]
    fn each_protocol_is_measured_against_its_native_server() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        for (native, protocol, streams) in [(Native::Hyper, Protocol::Json, 1), (Native::Tonic, Protocol::Grpc, 3)] {
            let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
            let at = listener.local_addr().expect("it listens");
            let server = runtime.spawn(serve::on(listener, native));
            let plan = Plan { protocol, connections: 4, streams, seconds: 0.05 };
            let measured = measure(&Load { plan, at, pid: std::process::id() }).expect("every reply is right");
            assert!(measured.calls > 0 && measured.p50 <= measured.p99, "{measured:?}");
            server.abort();
        }
    }
}
