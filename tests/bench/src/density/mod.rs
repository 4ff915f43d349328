//! `bench density`: a thousand services in one host. How long it starts, what an idle service holds, and
//! how long the first call of one takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::caller::Caller;
use crate::process::Server;
use crate::program::Programs;
use crate::statistics::Spread;
use crate::usage::Held;
use cells::Cells;
use report::Report;

mod cells;
mod report;

/// The component, a package of `guests/`.
const GUEST: &str = "cell";
/// How long a host may take to compile and start all of them.
const START: Duration = Duration::from_secs(1800);
/// Services each of whose calls has a fresh instance.
const FRESH: usize = 50;
/// Services whose first call is timed.
const FIRST: usize = 200;
/// The fewest services of which both can be had.
const FEWEST: usize = 2 * (FRESH + FIRST);
/// Calls of a service before one is timed as warm.
const WARM_AFTER: usize = 5;

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Services in one host
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Starts with a filled compile cache, of each number of services
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
    /// The component guests/cell; without, it is built
    #[arg(long)]
    guest: Option<PathBuf>,
}

/// A host with so many idle services.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Started {
    /// Seconds until it was ready.
    pub seconds: f64,
    /// What it held then.
    pub held: Held,
}

/// The starts of a host with so many services.
#[derive(Debug, Serialize)]
pub struct Starts {
    /// How many.
    pub services: usize,
    /// With nothing in the compile cache; only of the most services, whose start fills it.
    pub compiling: Option<Started>,
    /// With all in the cache.
    pub cached: Vec<Started>,
}

/// Calls one after the other over one connection, in microseconds.
#[derive(Debug, Serialize)]
pub struct Calls {
    /// Of services that had an instance.
    pub warm: Spread,
    /// Of services that give every call an instance of its own, and had some before: a warm call and an
    /// instantiation.
    pub fresh: Spread,
    /// The first of services that had none yet.
    pub first: Spread,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    if !(FEWEST..=cells::MOST).contains(&options.services) || !(1..=100).contains(&options.rounds) {
        bail!("--services must be {FEWEST} to {}, --rounds 1 to 100", cells::MOST);
    }
    let programs = Programs::new(options.microhost.as_deref(), options.guest.as_deref(), GUEST)?;
    let cells = Cells::write(programs.guest(), options.services)?;
    let cache = programs.empty_cache()?;
    let start = |services: usize| -> Result<Server> {
        let settings = cells.settings(services, FRESH.min(services / 2))?;
        Server::start_within(programs.settings(&settings, cache.path()), START)
    };
    eprintln!("compiling {} components", options.services);
    let compiling = Some(one(start(options.services)?)?);
    let mut starts = Vec::new();
    for services in [1, options.services / 10, options.services] {
        let cached = (0..options.rounds).map(|_| one(start(services)?)).collect::<Result<Vec<_>>>()?;
        eprintln!("{services} services: ready after {:.2} s", Spread::of(cached.iter().map(|start| start.seconds)).median);
        starts.push(Starts { services, compiling: compiling.filter(|_| services == options.services), cached });
    }
    let server = start(options.services)?;
    let calls = calls(&server).context("calls of idle services")?;
    server.stop()?;
    let report = Report::new(size(programs.guest())?, starts, calls);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn size(file: &Path) -> Result<u64> {
    Ok(file.metadata().with_context(|| format!("cannot read {}", file.display()))?.len())
}

/// What a start took, and what the host then held.
fn one(server: Server) -> Result<Started> {
    let started = Started { seconds: server.ready.as_secs_f64(), held: Held::of(server.pid())? };
    server.stop()?;
    Ok(started)
}

/// Times calls of a host whose services have had none.
fn calls(server: &Server) -> Result<Calls> {
    let mut caller = Caller::connect(server.address)?;
    let mut time = |service: usize| -> Result<f64> {
        let (took, answer) = caller.call(&cells::path(service), r#"{"name":"you"}"#)?;
        if answer != br#"{"value":"Hello, you"}"# {
            bail!("the answer is {}", String::from_utf8_lossy(&answer));
        }
        Ok(took.as_secs_f64() * 1e6)
    };
    let (mut warm, mut fresh, mut first) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that all see the same machine; the very first call of a host is nobody's.
    time(0)?;
    for turn in 0..FIRST {
        let service = FRESH + turn;
        first.push(time(service)?);
        for _ in 0..WARM_AFTER {
            time(service)?;
        }
        warm.push(time(service)?);
        let service = turn % FRESH;
        time(service)?;
        fresh.push(time(service)?);
    }
    Ok(Calls { warm: Spread::of(warm), fresh: Spread::of(fresh), first: Spread::of(first) })
}
