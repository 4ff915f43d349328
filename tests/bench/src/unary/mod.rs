//! `bench unary`: one small call, microhost against bare hyper and bare tonic, and how a service
//! starts.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::load::{Plan, Protocol};
use crate::pairs::{Comparison, check_rounds};
use crate::program::{Isolation, Programs};
use crate::serve::Native;
use report::Report;

mod report;
mod start;

/// The connections over which fresh instances are measured.
const FRESH_CONNECTIONS: usize = 32;
/// The component, a package of `guests/`.
const GUEST: &str = "echo";
/// More sockets than any sane run needs, fewer than a process may open by default.
const MAX_CONNECTIONS: usize = 1000;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// JSON over HTTP/1.1 against bare hyper
    Json,
    /// Unary gRPC against bare tonic
    Grpc,
    /// JSON with an instance for each call, against bare hyper
    Isolation,
    /// Start to first answer, and memory with one idle service
    Start,
}

/// What is measured, and how long.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Calls at once: for JSON, connections with one call each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 256])]
    connections: Vec<usize>,
    /// For gRPC, the calls at once share this many connections, or as many as there are calls; 256 gives each
    /// call its own connection
    #[arg(long, default_value_t = 8)]
    grpc_connections: usize,
    /// Pairs of measurements
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
    /// The component guests/echo; without, it is built
    #[arg(long)]
    guest: Option<PathBuf>,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn check(&self) -> Result<()> {
        check_rounds(self.rounds, self.seconds)?;
        if !self.connections.iter().chain([&self.grpc_connections]).all(|count| (1..=MAX_CONNECTIONS).contains(count)) {
            bail!("connections must be 1 to {MAX_CONNECTIONS}");
        }
        Ok(())
    }

    fn json_plan(&self, connections: usize) -> Plan {
        Plan { protocol: Protocol::Json, connections, streams: 1, size: 1, seconds: self.seconds }
    }

    /// The calls at once are rounded up to what the connections share evenly.
    fn grpc_plan(&self, calls: usize) -> Plan {
        let connections = calls.min(self.grpc_connections);
        Plan { protocol: Protocol::Grpc, connections, streams: calls.div_ceil(connections), size: 1, seconds: self.seconds }
    }
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    options.check()?;
    let programs = Programs::new(options.microhost.as_deref(), options.guest.as_deref(), GUEST)?;
    let mut report = Report::new(options.rounds, options.seconds);
    if options.wants(Part::Json) {
        for &connections in &options.connections {
            let goal = if connections == 1 { 0.65 } else { 0.75 };
            let comparison = Comparison { native: Native::Hyper, isolation: Isolation::Shared, plan: options.json_plan(connections), goal };
            report.calls.push(comparison.run(&programs, options.rounds)?);
        }
    }
    if options.wants(Part::Grpc) {
        for &calls in &options.connections {
            let goal = if calls == 1 { 0.65 } else { 0.85 };
            let comparison = Comparison { native: Native::Tonic, isolation: Isolation::Shared, plan: options.grpc_plan(calls), goal };
            report.calls.push(comparison.run(&programs, options.rounds)?);
        }
    }
    if options.wants(Part::Isolation) {
        let comparison =
            Comparison { native: Native::Hyper, isolation: Isolation::Request, plan: options.json_plan(FRESH_CONNECTIONS), goal: 0.2 };
        report.calls.push(comparison.run(&programs, options.rounds)?);
    }
    if options.wants(Part::Start) {
        report.start = Some(start::run(&programs, options.rounds)?);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
