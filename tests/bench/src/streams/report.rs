//! What a run of streams found: a table for each direction, and everything as JSON.

use std::fmt;

use serde::Serialize;

use crate::load::{Measured, Protocol};
use crate::machine::{Machine, load_was_the_limit, mebibytes, warn_of_others};
use crate::pairs::{Compared, Pair};
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
}

impl Report {
    /// An empty one.
    pub fn new(rounds: usize, seconds: f64) -> Report {
        Report { machine: Machine::this(), rounds, seconds, calls: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "medians of {} rounds of {} s; a ratio is taken of each pair: median (min to max)", self.rounds, self.seconds)?;
        warn_of_others(f, self.calls.iter().flat_map(|compared| &compared.rounds).flat_map(Pair::both))?;
        for (protocol, title) in [
            (Protocol::Produce, "from the server to the client"),
            (Protocol::Consume, "from the client to the server"),
            (Protocol::Echo, "to the server and back"),
        ] {
            direction(f, title, self.calls.iter().filter(|compared| compared.plan.protocol == protocol))?;
        }
        Ok(())
    }
}

const COLUMNS: [&str; 9] = ["bytes x streams", "server", "messages/s", "MiB/s", "CPU µs/message", "load's", "RSS MiB", "ratio", "goal"];

fn direction<'a>(f: &mut fmt::Formatter, title: &str, all: impl Iterator<Item = &'a Compared>) -> fmt::Result {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return Ok(());
    }
    let mut table = Table::new(title, &COLUMNS);
    let mut limited = false;
    for compared in all {
        let plan = &compared.plan;
        let row = |name: String, server: &str, of: fn(&Pair) -> &Measured, ratio: String, goal: String| {
            let median = |value: fn(&Measured) -> f64| Spread::of(compared.rounds.iter().map(|pair| value(of(pair)))).median;
            let rate = median(|one| one.rate);
            vec![
                name,
                server.to_owned(),
                format!("{rate:.0}"),
                mebibytes(rate * f64::from(plan.size)),
                format!("{:.2}", median(|one| one.cpu)),
                format!("{:.2}", median(|one| one.load_cpu)),
                mebibytes(median(|one| one.resident as f64)),
                ratio,
                goal,
            ]
        };
        let mark = |of: fn(&Pair) -> &Measured| if load_was_the_limit(compared.rounds.iter().map(of)) { " *" } else { "" };
        let marks = [mark(|pair| &pair.native), mark(|pair| &pair.microhost)];
        limited |= marks.iter().any(|mark| !mark.is_empty());
        let native = format!("bare {}{}", compared.native.name(), marks[0]);
        let Spread { median, min, max } = compared.ratio;
        let verdict = if median >= compared.goal { "reached" } else { "missed" };
        let name = format!("{} x {}", plan.size, plan.connections * plan.streams);
        table.row(row(name, &native, |pair| &pair.native, String::new(), String::new()));
        table.row(row(
            String::new(),
            &format!("microhost{}", marks[1]),
            |pair| &pair.microhost,
            format!("{median:.2} ({min:.2} to {max:.2})"),
            format!("{:.2} {verdict}", compared.goal),
        ));
    }
    write!(f, "{table}")?;
    if limited {
        writeln!(f, "  * the load generator had no time left: the server could do more")?;
    }
    Ok(())
}
