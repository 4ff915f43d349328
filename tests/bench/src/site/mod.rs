//! `bench http`: a page from a component of `wasi:http`, by microhost and by `wasmtime serve`, and the
//! same page from bare hyper.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::load::{Measured, Plan, Protocol};
use crate::pairs::{check_rounds, measure, rounds_of};
use crate::program::{Isolation, Programs};
use crate::serve::Native;
use report::Report;

mod report;

/// The components, packages of `guests/`, and the edition of `wasi:http` that they are written for.
const GUESTS: [(&str, &str); 2] = [("hello", "0.3"), ("page", "0.2")];
/// More sockets than any sane run needs, fewer than a process may open by default.
const MAX_CONNECTIONS: usize = 1000;
/// How to come by what is measured against.
const NO_WASMTIME: &str = "wasmtime is not on the PATH, so `wasmtime serve` is left out; to install it: \
    cargo install --locked wasmtime-cli@48, or a release from https://github.com/bytecodealliance/wasmtime/releases; \
    --wasmtime PATH names one elsewhere";

/// What is measured, and how long.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Connections, with one call each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 256])]
    connections: Vec<usize>,
    /// Rounds of measurements
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
    /// A component that answers GET / with "Hello, WASI!"; without, guests/site and guests/page are built
    #[arg(long)]
    guest: Option<PathBuf>,
    /// The wasmtime program; without, the one on the PATH
    #[arg(long)]
    wasmtime: Option<PathBuf>,
}

/// One round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Bare hyper.
    pub hyper: Measured,
    /// `wasmtime serve`, where it is installed.
    pub wasmtime: Option<Measured>,
    /// microhost.
    pub microhost: Measured,
}

impl Round {
    /// All that was measured.
    pub fn all(&self) -> impl Iterator<Item = &Measured> {
        [&self.hyper, &self.microhost].into_iter().chain(&self.wasmtime)
    }
}

/// All rounds of a component over so many connections.
#[derive(Debug, Serialize)]
pub struct Rounds {
    /// The component.
    pub guest: String,
    /// Connections.
    pub connections: usize,
    /// The rounds.
    pub rounds: Vec<Round>,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    check_rounds(options.rounds, options.seconds)?;
    if !options.connections.iter().all(|count| (1..=MAX_CONNECTIONS).contains(count)) {
        bail!("connections must be 1 to {MAX_CONNECTIONS}");
    }
    let wasmtime = match &options.wasmtime {
        Some(named) => Some(named.canonicalize().with_context(|| format!("no file {}", named.display()))?),
        None => on_path("wasmtime"),
    };
    if wasmtime.is_none() {
        eprintln!("{NO_WASMTIME}");
    }
    let mut report = Report::new(options.rounds, options.seconds);
    let guests: Vec<(String, Programs)> = match &options.guest {
        Some(guest) => vec![(guest.display().to_string(), Programs::new(options.microhost.as_deref(), Some(guest), "guest")?)],
        None => GUESTS
            .iter()
            .map(|(package, edition)| {
                let programs = Programs::new(options.microhost.as_deref(), None, package)?;
                Ok((format!("wasi:http {edition}, guests/{package}"), programs))
            })
            .collect::<Result<_>>()?,
    };
    for (guest, programs) in &guests {
        for &connections in &options.connections {
            let plan = Plan { protocol: Protocol::Get, connections, streams: 1, size: 1, seconds: options.seconds };
            let (plan, count) = rounds_of(plan, options.rounds);
            let mut rounds = Vec::with_capacity(count);
            for number in 0..count {
                let round = round(programs, wasmtime.as_deref(), &plan, number).with_context(|| guest.clone())?;
                let rate = |measured: Option<&Measured>| measured.map_or("none".to_owned(), |measured| format!("{:.0}", measured.rate));
                eprintln!(
                    "{guest}, {plan} round {}/{count}: hyper {}, wasmtime serve {}, microhost {} a second",
                    number + 1,
                    rate(Some(&round.hyper)),
                    rate(round.wasmtime.as_ref()),
                    rate(Some(&round.microhost))
                );
                rounds.push(round);
            }
            report.pages.push(Rounds { guest: guest.clone(), connections, rounds });
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
        if wasmtime.is_none() {
            println!("\n{NO_WASMTIME}");
        }
    }
    Ok(())
}

/// Measures each server; who is first changes, so that none has the cooler processor every time.
fn round(programs: &Programs, wasmtime: Option<&Path>, plan: &Plan, number: usize) -> Result<Round> {
    let hyper = || measure(programs, programs.native(Native::Hyper), plan).context("bare hyper");
    let microhost = || measure(programs, programs.microhost(Isolation::Shared), plan).context("microhost");
    let serve = || wasmtime.map(|program| measure(programs, programs.wasmtime(program), plan).context("wasmtime serve")).transpose();
    if number.is_multiple_of(2) {
        let (hyper, wasmtime) = (hyper()?, serve()?);
        Ok(Round { hyper, wasmtime, microhost: microhost()? })
    } else {
        let (microhost, wasmtime) = (microhost()?, serve()?);
        Ok(Round { hyper: hyper()?, wasmtime, microhost })
    }
}

/// A program on the PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
