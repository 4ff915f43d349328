//! What a run of pages found: a table for each component, and everything as JSON.

use std::fmt;

use serde::Serialize;

use super::{Round, Rounds};
use crate::load::Measured;
use crate::machine::{Machine, mebibytes, warn_of_others};
use crate::statistics::Spread;
use crate::table::Table;

/// The multiple of `wasmtime serve` to reach.
const GOAL: f64 = 2.0;

/// A run.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    rounds: usize,
    seconds: f64,
    /// What was measured, by connections.
    pub pages: Vec<Rounds>,
}

impl Report {
    /// An empty one.
    pub fn new(rounds: usize, seconds: f64) -> Report {
        Report { machine: Machine::this(), rounds, seconds, pages: Vec::new() }
    }
}

const COLUMNS: [&str; 10] =
    ["connections", "server", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "load's", "RSS MiB", "microhost is, times", "goal"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "medians of {} rounds of {} s; one call at once: more and shorter; a ratio is taken of each round: median (min to max)",
            self.rounds, self.seconds
        )?;
        warn_of_others(f, self.pages.iter().flat_map(|rounds| &rounds.rounds).flat_map(Round::all))?;
        for of_guest in self.pages.chunk_by(|one, next| one.guest == next.guest) {
            table(f, of_guest)?;
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter, of_guest: &[Rounds]) -> fmt::Result {
    let mut table = Table::new(of_guest.first().map_or("", |rounds| &rounds.guest), &COLUMNS);
    for Rounds { connections, rounds, .. } in of_guest {
        let hyper: Vec<&Measured> = rounds.iter().map(|round| &round.hyper).collect();
        let microhost: Vec<&Measured> = rounds.iter().map(|round| &round.microhost).collect();
        let wasmtime: Vec<&Measured> = rounds.iter().filter_map(|round| round.wasmtime.as_ref()).collect();
        let times = |others: &[&Measured]| Spread::of(microhost.iter().zip(others).map(|(own, other)| own.rate / other.rate));
        table.row(row(connections.to_string(), "bare hyper", &hyper, text(times(&hyper)), String::new()));
        if wasmtime.len() == rounds.len() {
            let times = times(&wasmtime);
            let verdict = if times.median >= GOAL { "reached" } else { "missed" };
            table.row(row(String::new(), "wasmtime serve", &wasmtime, text(times), format!("{GOAL:.2} {verdict}")));
        }
        table.row(row(String::new(), "microhost", &microhost, String::new(), String::new()));
    }
    write!(f, "{table}")
}

fn text(Spread { median, min, max }: Spread) -> String {
    format!("{median:.2} ({min:.2} to {max:.2})")
}

fn row(name: String, server: &str, all: &[&Measured], times: String, goal: String) -> Vec<String> {
    let median = |value: fn(&Measured) -> f64| Spread::of(all.iter().map(|one| value(one))).median;
    vec![
        name,
        server.to_owned(),
        format!("{:.0}", median(|one| one.rate)),
        format!("{:.0}", median(|one| one.p50)),
        format!("{:.0}", median(|one| one.p99)),
        format!("{:.1}", median(|one| one.cpu)),
        format!("{:.1}", median(|one| one.load_cpu)),
        mebibytes(median(|one| one.resident as f64)),
        times,
        goal,
    ]
}
