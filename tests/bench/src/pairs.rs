//! Pairs: the native server and microhost one right after the other, over the same connections, by
//! the same load generator. A machine's speed drifts; within a pair it hardly does.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::load::{Measured, Plan};
use crate::process::{Server, output};
use crate::program::{Isolation, Programs};
use crate::serve::Native;
use crate::statistics::Spread;

/// One call at once is answered three times as fast when the kernel puts both processes on one core as
/// when it does not, and it changes its mind every few seconds. Many short pairs see both equally.
const PIECES: usize = 4;

/// Rounds whose figures still fit in memory and a report.
const MAX_ROUNDS: usize = 1000;

/// Refuses rounds and seconds that no run should have.
pub fn check_rounds(rounds: usize, seconds: f64) -> Result<()> {
    if !(1..=MAX_ROUNDS).contains(&rounds) {
        bail!("--rounds must be 1 to {MAX_ROUNDS}");
    }
    if !(0.05..=60.0).contains(&seconds) {
        bail!("--seconds must be 0.05 to 60");
    }
    Ok(())
}

/// The rounds of a plan, and what each measures: the same seconds altogether.
pub fn rounds_of(plan: Plan, rounds: usize) -> (Plan, usize) {
    let pieces = if plan.protocol.is_unary() && plan.connections * plan.streams == 1 { PIECES } else { 1 };
    (Plan { seconds: plan.seconds / pieces as f64, ..plan }, rounds * pieces)
}

/// Two servers, and what they are asked.
pub struct Comparison {
    /// The server that is the measure.
    pub native: Native,
    /// How microhost shares its instances.
    pub isolation: Isolation,
    /// What is called, and over what.
    pub plan: Plan,
    /// The ratio to reach.
    pub goal: f64,
}

/// Two measurements of one round.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// The native server.
    pub native: Measured,
    /// microhost.
    pub microhost: Measured,
    /// microhost's rate as a part of the native server's.
    pub ratio: f64,
}

impl Pair {
    /// Both.
    pub fn both(&self) -> [&Measured; 2] {
        [&self.native, &self.microhost]
    }
}

/// All rounds of a comparison.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// The server that is the measure.
    pub native: Native,
    /// How microhost shares its instances.
    pub isolation: Isolation,
    /// What was called, and over what.
    #[serde(flatten)]
    pub plan: Plan,
    /// The rounds.
    pub rounds: Vec<Pair>,
    /// The ratios of the rounds.
    pub ratio: Spread,
    /// The ratio to reach.
    pub goal: f64,
}

impl Comparison {
    /// Runs the rounds.
    pub fn run(self, programs: &Programs, rounds: usize) -> Result<Compared> {
        let Comparison { native, isolation, plan, goal } = self;
        let (plan, rounds) = rounds_of(plan, rounds);
        let mut pairs = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let native = || measure(programs, programs.native(native), &plan).with_context(|| format!("bare {}", native.name()));
            let microhost = || measure(programs, programs.microhost(isolation), &plan).context("microhost");
            // Who is first changes, so that neither has the cooler processor every time.
            let (native, microhost) = if round % 2 == 0 {
                let native = native()?;
                (native, microhost()?)
            } else {
                let microhost = microhost()?;
                (native()?, microhost)
            };
            let ratio = microhost.rate / native.rate;
            eprintln!(
                "{plan} {isolation:?} round {}/{rounds}: {:.0} and {:.0} a second, ratio {ratio:.2}",
                round + 1,
                native.rate,
                microhost.rate
            );
            pairs.push(Pair { native, microhost, ratio });
        }
        let ratio = Spread::of(pairs.iter().map(|pair| pair.ratio));
        Ok(Compared { native, isolation, plan, rounds: pairs, ratio, goal })
    }
}

/// Starts a server, has the load generator measure it, and stops it.
pub fn measure(programs: &Programs, server: Command, plan: &Plan) -> Result<Measured> {
    let server = Server::start(server)?;
    let mut load = programs.bench();
    load.arg("load").args(plan.arguments()).args(["--at", &server.address.to_string(), "--pid", &server.pid().to_string()]);
    let measured = output(load);
    // A server that ended explains the load generator's failure better than that does itself.
    server.stop()?;
    serde_json::from_slice(&measured?).context("the load generator's report is not understood")
}
