//! What a run found: the tables for people, and everything as JSON.

use std::fmt;

use serde::Serialize;

use super::start::{Start, Starts};
use crate::load::{Measured, Protocol};
use crate::machine::{Machine, mebibytes, warn_of_others};
use crate::pairs::{Compared, Pair};
use crate::program::Isolation;
use crate::statistics::Spread;
use crate::table::Table;

/// A run.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    rounds: usize,
    seconds: f64,
    /// The comparisons.
    pub calls: Vec<Compared>,
    /// The starts, if they were measured.
    pub start: Option<Start>,
}

impl Report {
    /// An empty one.
    pub fn new(rounds: usize, seconds: f64) -> Report {
        Report { machine: Machine::this(), rounds, seconds, calls: Vec::new(), start: None }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "medians of {} rounds of {} s; one call at once: more and shorter; a ratio is taken of each pair: median (min to max)",
            self.rounds, self.seconds
        )?;
        warn_of_others(f, self.calls.iter().flat_map(|compared| &compared.rounds).flat_map(Pair::both))?;
        let shared = |protocol| {
            self.calls.iter().filter(move |compared| compared.isolation == Isolation::Shared && compared.plan.protocol == protocol)
        };
        calls(f, "JSON over HTTP/1.1", shared(Protocol::Json))?;
        calls(f, "unary gRPC over HTTP/2", shared(Protocol::Grpc))?;
        let fresh = self.calls.iter().filter(|compared| compared.isolation == Isolation::Request);
        calls(f, "JSON over HTTP/1.1, a fresh instance for each call", fresh)?;
        self.start.as_ref().map_or(Ok(()), |start| starts(f, start))
    }
}

const CALLS: [&str; 10] =
    ["connections x calls", "server", "calls/s", "p50 µs", "p99 µs", "CPU µs/call", "load's", "RSS MiB", "ratio", "goal"];

fn calls<'a>(f: &mut fmt::Formatter, title: &str, all: impl Iterator<Item = &'a Compared>) -> fmt::Result {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return Ok(());
    }
    let mut table = Table::new(title, &CALLS);
    for compared in all {
        let row = |name: String, server: &str, of: fn(&Pair) -> &Measured, ratio: String, goal: String| {
            let median = |value: fn(&Measured) -> f64| Spread::of(compared.rounds.iter().map(|pair| value(of(pair)))).median;
            vec![
                name,
                server.to_owned(),
                format!("{:.0}", median(|one| one.rate)),
                format!("{:.0}", median(|one| one.p50)),
                format!("{:.0}", median(|one| one.p99)),
                format!("{:.1}", median(|one| one.cpu)),
                format!("{:.1}", median(|one| one.load_cpu)),
                mebibytes(median(|one| one.resident as f64)),
                ratio,
                goal,
            ]
        };
        let native = format!("bare {}", compared.native.name());
        let name = format!("{} x {}", compared.plan.connections, compared.plan.streams);
        let Spread { median, min, max } = compared.ratio;
        let verdict = if median >= compared.goal { "reached" } else { "missed" };
        table.row(row(name, &native, |pair| &pair.native, String::new(), String::new()));
        table.row(row(
            String::new(),
            "microhost",
            |pair| &pair.microhost,
            format!("{median:.2} ({min:.2} to {max:.2})"),
            format!("{:.2} {verdict}", compared.goal),
        ));
    }
    write!(f, "{table}")
}

fn starts(f: &mut fmt::Formatter, start: &Start) -> fmt::Result {
    let mut table = Table::new(
        "start to first answer, and memory after it",
        &["server", "", "ms", "min", "max", "RSS MiB", "not of files", "ratio", "goal"],
    );
    let mut row = |name: &str, how: &str, starts: &Starts, ratio: String, goal: String| {
        let Spread { median, min, max } = starts.millis;
        let millis = [median, min, max].map(|millis| format!("{millis:.1}"));
        let memory = [starts.resident, starts.anonymous].map(|spread| mebibytes(spread.median));
        let cells = [name.to_owned(), how.to_owned()].into_iter().chain(millis).chain(memory).chain([ratio, goal]);
        table.row(cells.collect());
    };
    let Spread { median, min, max } = start.ratio;
    let verdict = if median <= start.goal { "reached" } else { "missed" };
    row("bare hyper", "", &start.hyper, String::new(), String::new());
    row("microhost", "compiling", &start.cold, String::new(), String::new());
    row(
        "microhost",
        "cached",
        &start.cached,
        format!("{median:.1} ({min:.1} to {max:.1})"),
        format!("at most {:.0} {verdict}", start.goal),
    );
    write!(f, "{table}")
}
