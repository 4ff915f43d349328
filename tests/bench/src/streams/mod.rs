//! `bench streams`: messages of calls with streams, microhost against bare tonic, in every direction,
//! small ones by their number and large ones by their bytes.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::load::{MAX_MESSAGE, Plan, Protocol};
use crate::pairs::{Comparison, check_rounds};
use crate::program::{Isolation, Programs};
use crate::serve::Native;
use report::Report;

mod report;

/// The component, a package of `guests/`.
const GUEST: &str = "streams";
/// From this size on it is bytes that count, not messages.
const LARGE: u32 = 64 << 10;
/// The ratios to reach, for small messages and for large ones.
const GOALS: (f64, f64) = (0.6, 0.7);
/// More calls than servers take at once by default.
const MAX_STREAMS: usize = 1000;

/// What is measured, and how long.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Bytes of each message
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1 << 10, LARGE, 1 << 20], value_parser = clap::value_parser!(u32).range(1..=MAX_MESSAGE))]
    sizes: Vec<u32>,
    /// Streams at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    streams: Vec<usize>,
    /// The streams at once share this many connections, or as many as there are streams
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Pairs of measurements
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only these directions: produce (from the server), consume (to the server), echo (both)
    #[arg(long, value_delimiter = ',', default_values_t = ["produce".to_owned(), "consume".to_owned(), "echo".to_owned()], value_parser = ["produce", "consume", "echo"])]
    only: Vec<String>,
    /// Measure against a tonic whose streams are made where they are sent, without a task and a channel
    #[arg(long)]
    direct: bool,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
    /// The component guests/streams; without, it is built
    #[arg(long)]
    guest: Option<PathBuf>,
}

impl Options {
    fn check(&self) -> Result<()> {
        check_rounds(self.rounds, self.seconds)?;
        if !self.streams.iter().chain([&self.connections]).all(|count| (1..=MAX_STREAMS).contains(count)) {
            bail!("streams and connections must be 1 to {MAX_STREAMS}");
        }
        Ok(())
    }

    /// The streams are rounded up to what the connections share evenly.
    fn plan(&self, protocol: Protocol, size: u32, streams: usize) -> Plan {
        let connections = streams.min(self.connections);
        Plan { protocol, connections, streams: streams.div_ceil(connections), size, seconds: self.seconds }
    }
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    options.check()?;
    let programs = Programs::new(options.microhost.as_deref(), options.guest.as_deref(), GUEST)?;
    let native = if options.direct { Native::TonicDirect } else { Native::Tonic };
    let mut report = Report::new(options.rounds, options.seconds);
    let protocols = [("produce", Protocol::Produce), ("consume", Protocol::Consume), ("echo", Protocol::Echo)];
    for (_, protocol) in protocols.into_iter().filter(|(name, _)| options.only.iter().any(|only| only == name)) {
        for &size in &options.sizes {
            for &streams in &options.streams {
                let goal = if size < LARGE { GOALS.0 } else { GOALS.1 };
                let plan = options.plan(protocol, size, streams);
                let comparison = Comparison { native, isolation: Isolation::Shared, plan, goal };
                report.calls.push(comparison.run(&programs, options.rounds)?);
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
