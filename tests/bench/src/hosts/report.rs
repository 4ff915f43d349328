//! What a run found, as tables and as JSON.

use std::fmt;

use serde::Serialize;

use super::ask::Asked;
use super::{Round, Rounds};
use crate::machine::Machine;
use crate::statistics::Spread;
use crate::table::Table;

/// The part of tonic's rate to reach.
const LEAST_RATE: f64 = 0.75;
/// How many times as long as tonic's the median call may take.
const MOST_TIME: f64 = 1.25;

/// A run.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    rounds: usize,
    /// What was measured.
    pub all: Vec<Rounds>,
}

impl Report {
    /// An empty one.
    pub fn new(rounds: usize) -> Report {
        Report { machine: Machine::this(), rounds, all: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "medians of {} rounds; a ratio is taken of each round: median (min to max)", self.rounds)?;
        writeln!(f, "way: microhost's client, tonic's server; hop: microhost's client, a component in a host")?;
        writeln!(f, "all: tonic's client with a connection to each host that is known, tonic's server")?;
        let mut ratios = Table::new(
            "a hop between hosts, of what tonic's client and server have at one address",
            &["hosts", "at once", "rate, all", "rate, way", "rate, hop", "goal", "p50, all", "p50, way", "p50, hop", "goal"],
        );
        let mut figures = Table::new(
            "calls a second, and µs: median, 99 of 100, CPU of client and of server for a call",
            &[
                "hosts", "at once", "tonic", "p50", "p99", "cpu", "cpu", "all", "p50", "p99", "cpu", "cpu", "way", "p50", "p99", "cpu",
                "cpu", "hop", "p50", "p99", "cpu", "cpu",
            ],
        );
        for Rounds { calls, known, rounds } in &self.all {
            let ratio = |of: fn(&Round) -> f64| Spread::of(rounds.iter().map(of));
            let (rate, time) = (ratio(|round| round.hop.rate / round.tonic.rate), ratio(|round| round.hop.p50 / round.tonic.p50));
            ratios.row(vec![
                known.to_string(),
                calls.to_string(),
                text(ratio(|round| round.all.rate / round.tonic.rate)),
                text(ratio(|round| round.way.rate / round.tonic.rate)),
                text(rate),
                goal(rate.median >= LEAST_RATE, format!("at least {LEAST_RATE}")),
                text(ratio(|round| round.all.p50 / round.tonic.p50)),
                text(ratio(|round| round.way.p50 / round.tonic.p50)),
                text(time),
                goal(time.median <= MOST_TIME, format!("at most {MOST_TIME}")),
            ]);
            let mut row = vec![known.to_string(), calls.to_string()];
            for side in [|round: &Round| round.tonic, |round: &Round| round.all, |round: &Round| round.way, |round: &Round| round.hop] {
                let median = |of: fn(Asked) -> f64| Spread::of(rounds.iter().map(|round| of(side(round)))).median;
                row.push(format!("{:.0}", median(|asked| asked.rate)));
                let times =
                    [median(|asked| asked.p50), median(|asked| asked.p99), median(|asked| asked.cpu), median(|asked| asked.server_cpu)];
                row.extend(times.map(|time| format!("{time:.1}")));
            }
            figures.row(row);
        }
        write!(f, "{ratios}{figures}")
    }
}

fn goal(reached: bool, goal: String) -> String {
    format!("{goal} {}", if reached { "reached" } else { "missed" })
}

fn text(Spread { median, min, max }: Spread) -> String {
    format!("{median:.2} ({min:.2} to {max:.2})")
}
