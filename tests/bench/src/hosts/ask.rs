//! A client that makes calls in a process of its own: tonic's at one address, or microhost's way to other
//! hosts, which looks each call's callee up, chooses a host, and would try another one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use http::HeaderMap;
use http::uri::PathAndQuery;
use microhost::lanes::Lanes;
use microhost::middleware::cluster::{Cluster, Parts};
use microhost::registry::{Address, Interface, Kind, Memory, Method, Node, Registry, Service, USUAL_WEIGHT, View};
use microhost::remote::{Bounds, Remote};
use microhost::rpc::{Caller, Channel, Codec, Form, Request, Router};
use microhost::settings::Calls;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::IntoRequest;
use tonic::client::Grpc;
use tonic::transport::{Channel as Transport, Endpoint};
use tonic_prost::ProstCodec;

use crate::load::Histogram;
use crate::message::{Message, PATH, SERVICE};
use crate::usage::Usage;

/// The part of the time that is spent on calls before those that are measured.
const WARM_UP: f64 = 0.25;
/// Seconds more of that for each host that is known, until there are connections to all: a listener takes
/// only so many at once, and those that it does not take are tried again a second later.
const CONNECTING: f64 = 0.003;
/// How long each call may take, as every call of a service has a bound.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long the client may take to know of all hosts.
const PATIENCE: Duration = Duration::from_secs(10);
/// The hosts stand at addresses 127.0.0.1 and up.
const MOST_HOSTS: i64 = 60_000;

/// Whose client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// tonic's, by one connection to one address.
    Tonic,
    /// tonic's, by a connection to each host.
    Balanced,
    /// microhost's.
    Microhost,
}

/// One measurement.
#[derive(Args, Clone, Copy, Debug)]
pub struct Ask {
    /// Whose client asks
    #[arg(long)]
    pub side: Side,
    /// The port at which the servers listen, on all of loopback
    #[arg(long)]
    pub port: u16,
    /// The server's process id
    #[arg(long)]
    pub pid: u32,
    /// Hosts that are known to offer what is called
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_HOSTS))]
    pub known: u32,
    /// Calls at once
    #[arg(long, default_value_t = 1)]
    pub calls: usize,
    /// Seconds that are measured
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
}

impl Ask {
    /// As arguments of `bench ask`.
    pub fn arguments(&self) -> Vec<String> {
        let side = match self.side {
            Side::Tonic => "tonic",
            Side::Balanced => "balanced",
            Side::Microhost => "microhost",
        };
        [
            ("side", side.to_owned()),
            ("port", self.port.to_string()),
            ("pid", self.pid.to_string()),
            ("known", self.known.to_string()),
            ("calls", self.calls.to_string()),
            ("seconds", self.seconds.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Calls a second.
    pub rate: f64,
    /// Time of the median call, in microseconds.
    pub p50: f64,
    /// Time within which 99 of 100 calls ended, in microseconds.
    pub p99: f64,
    /// CPU time of the client for a call, in microseconds.
    pub cpu: f64,
    /// CPU time of the server for a call, in microseconds.
    pub server_cpu: f64,
}

/// Calls that were made.
struct Made {
    /// How long those took that count.
    times: Histogram,
    /// How many there were, those before them included.
    all: u64,
}

/// When calls count.
#[derive(Clone, Copy)]
struct Times {
    from: Instant,
    until: Instant,
}

impl Times {
    fn new(seconds: f64, known: u32) -> Times {
        let from = Instant::now() + Duration::from_secs_f64(seconds * WARM_UP + f64::from(known) * CONNECTING);
        Times { from, until: from + Duration::from_secs_f64(seconds) }
    }

    /// Makes one call after the other until the time is over.
    async fn fill<F: Future<Output = Result<Message>>>(self, mut call: impl FnMut(Message) -> F) -> Result<Made> {
        let (sample, mut times, mut all) = (Message::sample(), Histogram::new(), 0);
        let mut began = Instant::now();
        while began < self.until {
            let answer = call(sample.clone()).await;
            let ended = Instant::now();
            match answer {
                Ok(answer) => ensure!(answer == sample, "the answer is not what was sent"),
                // Of very many connections that are made at once, the system may drop some.
                Err(_) if began < self.from => {}
                Err(error) => return Err(error),
            }
            if began >= self.from && ended <= self.until {
                times.record(ended - began);
            }
            (began, all) = (ended, all + 1);
        }
        Ok(Made { times, all })
    }
}

/// Makes calls, and writes what it measured to stdout as JSON.
pub fn run(ask: &Ask) -> Result<()> {
    let times = Times::new(ask.seconds, ask.known);
    let used = || anyhow::Ok([Usage::of(std::process::id())?.cpu, Usage::of(ask.pid)?.cpu]);
    let before = used()?;
    let made = match ask.side {
        Side::Tonic | Side::Balanced => tonic(ask, times)?,
        Side::Microhost => microhost(ask, times)?,
    };
    let after = used()?;
    let calls = made.times.total();
    ensure!(calls > 0, "no call ended in the time that was measured");
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let [cpu, server_cpu] = std::array::from_fn(|of| (after[of] - before[of]) * 1e6 / made.all as f64);
    let (p50, p99) = (micros(made.times.quantile(0.5)), micros(made.times.quantile(0.99)));
    let asked = Asked { rate: calls as f64 / ask.seconds, p50, p99, cpu, server_cpu };
    println!("{}", serde_json::to_string(&asked)?);
    Ok(())
}

fn tonic(ask: &Ask, times: Times) -> Result<Made> {
    // What `#[tokio::main]` makes, as most clients have it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the tokio runtime")?;
    runtime.block_on(async {
        let endpoint = |number| {
            let endpoint = Endpoint::from_shared(format!("http://{}", address(number, ask.port))).context("no address")?;
            anyhow::Ok(endpoint.tcp_nodelay(true))
        };
        let channel = match ask.side {
            Side::Balanced => Transport::balance_list((0..ask.known).map(endpoint).collect::<Result<Vec<_>>>()?.into_iter()),
            _ => endpoint(0)?.connect().await.context("cannot connect to the server")?,
        };
        let tasks = (0..ask.calls).map(|_| {
            let channel = channel.clone();
            tokio::spawn(times.fill(move |message| {
                let mut client = Grpc::new(channel.clone());
                async move {
                    client.ready().await.context("the connection is gone")?;
                    let codec = ProstCodec::<Message, Message>::default();
                    Ok(client.unary(message.into_request(), PathAndQuery::from_static(PATH), codec).await?.into_inner())
                }
            }))
        });
        together(tasks.collect()).await
    })
}

fn microhost(ask: &Ask, times: Times) -> Result<Made> {
    let lanes = Lanes::start(available_parallelism().unwrap_or(NonZeroUsize::MIN)).context("cannot start the lanes")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("cannot start the tokio runtime")?;
    let measured = runtime.block_on(async {
        let view = Arc::new(View::default());
        let registry = Memory::default();
        for number in 0..ask.known {
            registry.register(Arc::new(node(number, ask.port)), Duration::from_secs(3600)).await?;
        }
        let mut changes = view.changes();
        let heard = Arc::clone(&view);
        tokio::spawn(async move { heard.follow(&registry).await });
        let known = async {
            while view.nodes().offering(SERVICE).len() < ask.known as usize {
                changes.changed().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, known).await.context("the hosts do not become known")??;
        let channel = Arc::new(Cluster::new(Parts {
            router: Arc::new(Router::default()),
            own: "bench".into(),
            zone: None,
            view,
            reach: Arc::new(Remote::new(&lanes, Bounds::default(), None)),
            settings: Calls::default(),
            stats: Arc::default(),
        }));
        let tasks = (0..ask.calls).map(|place| {
            let channel = Arc::clone(&channel);
            lanes.spawn_on(place % lanes.count(), times.fill(move |message| call(Arc::clone(&channel), message)))
        });
        together(tasks.collect()).await
    });
    lanes.stop(Duration::from_secs(1));
    measured
}

async fn call(channel: Arc<Cluster>, message: Message) -> Result<Message> {
    let request = Request {
        form: Form::Encoded(Codec::Proto),
        body: bytes::Bytes::from(message.encode_to_vec()).into(),
        headers: HeaderMap::new(),
        deadline: Some(Instant::now() + DEADLINE),
        caller: Caller::default(),
        // As a call is that may be tried again.
        idempotent: true,
        plan: None,
    };
    match channel.call(PATH, request).await {
        Ok(reply) => Ok(Message::decode(reply.body.bytes().map_err(|status| anyhow::anyhow!("{status}"))?)?),
        Err(status) => bail!("{status}"),
    }
}

async fn together(tasks: Vec<tokio::task::JoinHandle<Result<Made>>>) -> Result<Made> {
    let mut made = Made { times: Histogram::new(), all: 0 };
    for task in tasks {
        let some = task.await.context("a caller panicked")??;
        made.times.add(&some.times);
        made.all += some.all;
    }
    Ok(made)
}

/// Where one of the hosts is: all of loopback leads to the same one.
fn address(number: u32, port: u16) -> SocketAddr {
    (Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number), port).into()
}

/// What one of the hosts tells of itself.
fn node(number: u32, port: u16) -> Node {
    let method = Method { name: "Echo".into(), kind: Kind::Unary, fingerprint: None, safe: true };
    Node {
        id: format!("{number:08}"),
        name: None,
        addresses: vec![Address::Tcp { host: address(number, port).ip().to_string(), port, tls: false }],
        zone: None,
        machine: None,
        labels: BTreeMap::new(),
        revision: 1,
        services: vec![Service {
            name: "echo".into(),
            version: None,
            weight: USUAL_WEIGHT,
            ready: true,
            labels: BTreeMap::new(),
            interfaces: vec![Interface { name: SERVICE.into(), wit: None, methods: vec![method] }],
        }],
    }
}
