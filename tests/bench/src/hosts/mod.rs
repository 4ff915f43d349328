//! `bench hosts`: one hop between hosts, through what is known of them, the choice of one, and all that would
//! try another one, against tonic's client at one fixed address.
//!
//! Server and client are processes of their own. The hosts that are known are addresses of loopback which
//! all lead to the same server, so that many of them need no memory of this machine that few would not.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::pairs::check_rounds;
use crate::process::{Server, output};
use crate::program::Programs;
use crate::serve::Native;
use ask::{Ask, Asked, Side};
use report::Report;

pub mod ask;
mod report;

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Rounds of measurements
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Calls at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 256])]
    calls: Vec<usize>,
    /// Hosts that are known to offer what is called
    #[arg(long, value_delimiter = ',', default_values_t = [3, 1000], value_parser = clap::value_parser!(u32).range(1..=60_000))]
    known: Vec<u32>,
    /// The microhost program; without, it is built
    #[arg(long)]
    microhost: Option<PathBuf>,
    /// The component that is called; without, it is built
    #[arg(long)]
    guest: Option<PathBuf>,
}

/// One round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// tonic's client, tonic's server.
    pub tonic: Asked,
    /// tonic's client with a connection to each host that is known, tonic's server.
    pub all: Asked,
    /// microhost's client, tonic's server: what the client side alone costs.
    pub way: Asked,
    /// microhost's client, a component in a host.
    pub hop: Asked,
}

/// All rounds of one number of calls and of hosts.
#[derive(Debug, Serialize)]
pub struct Rounds {
    /// Calls at once.
    pub calls: usize,
    /// Hosts that were known.
    pub known: u32,
    /// The rounds.
    pub rounds: Vec<Round>,
}

/// Starts a server, has a client measure it, and stops it.
fn measure(programs: &Programs, server: Command, ask: Ask) -> Result<Asked> {
    let server = Server::start(server)?;
    let mut client = programs.bench();
    client.arg("ask").args(Ask { port: server.address.port(), pid: server.pid(), ..ask }.arguments());
    let measured = output(client);
    // A server that ended explains the client's failure better than that does itself.
    server.stop()?;
    serde_json::from_slice(&measured?).context("the client's report is not understood")
}

fn round(programs: &Programs, ask: Ask, number: usize) -> Result<Round> {
    let native = || {
        let mut command = programs.native(Native::Tonic);
        command.arg("--everywhere");
        command
    };
    let tonic = || measure(programs, native(), Ask { side: Side::Tonic, ..ask }).context("tonic's client");
    let all = || measure(programs, native(), Ask { side: Side::Balanced, ..ask }).context("tonic's client of all hosts");
    let way = || measure(programs, native(), ask).context("microhost's client and tonic's server");
    let hop = || measure(programs, programs.everywhere(), ask).context("microhost's client and a host");
    // Who is first changes, so that nobody has the cooler processor every time.
    if number.is_multiple_of(2) {
        let (tonic, all, way) = (tonic()?, all()?, way()?);
        Ok(Round { tonic, all, way, hop: hop()? })
    } else {
        let (hop, way, all) = (hop()?, way()?, all()?);
        Ok(Round { tonic: tonic()?, all, way, hop })
    }
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    check_rounds(options.rounds, options.seconds)?;
    if options.calls.is_empty() || options.known.is_empty() {
        bail!("nothing is to be measured: --calls or --known is empty");
    }
    let programs = Programs::new(options.microhost.as_deref(), options.guest.as_deref(), "echo")?;
    let mut report = Report::new(options.rounds);
    for &known in &options.known {
        for &calls in &options.calls {
            let ask = Ask { side: Side::Microhost, port: 0, pid: 0, known, calls, seconds: options.seconds };
            let mut rounds = Vec::with_capacity(options.rounds);
            for number in 0..options.rounds {
                let round = round(&programs, ask, number).with_context(|| format!("{calls} calls at once, {known} hosts"))?;
                let Round { tonic, all, way, hop } = round;
                eprintln!(
                    "{calls} at once, {known} hosts: tonic {:.0}, all {:.0}, way {:.0}, hop {:.0} calls/s",
                    tonic.rate, all.rate, way.rate, hop.rate
                );
                rounds.push(round);
            }
            report.all.push(Rounds { calls, known, rounds });
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
