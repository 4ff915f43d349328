//! What a run found: the tables for people, and everything as JSON.

use std::fmt;

use serde::Serialize;

use super::{Calls, Started, Starts};
use crate::machine::Machine;
use crate::statistics::Spread;
use crate::table::Table;
use crate::usage::Held;

/// Bytes that an idle service may hold over the code that is mapped from the cache.
const MOST_HELD: f64 = 150_000.0;
/// How many times as long as a call with a fresh instance the first call of a service may take.
const MOST_FIRST: f64 = 3.0;

/// A run.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    /// Bytes of each component.
    component: u64,
    starts: Vec<Starts>,
    calls: Calls,
    /// Bytes that one service adds, of each kind.
    per_service: Held,
}

impl Report {
    /// Of starts with one service first and with the most last.
    pub fn new(component: u64, starts: Vec<Starts>, calls: Calls) -> Report {
        let (one, all) = (&starts[0], &starts[starts.len() - 1]);
        let more = (all.services - one.services).max(1) as u64;
        let each = |kind: fn(&Held) -> u64| median(&all.cached, kind).saturating_sub(median(&one.cached, kind)) / more;
        let per_service = Held {
            anonymous: each(|held| held.anonymous),
            shared: each(|held| held.shared),
            files: each(|held| held.files),
            page_tables: each(|held| held.page_tables),
        };
        Report { machine: Machine::this(), component, starts, calls, per_service }
    }
}

fn median(starts: &[Started], kind: fn(&Held) -> u64) -> u64 {
    Spread::of(starts.iter().map(|start| kind(&start.held) as f64)).median as u64
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "missed" }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "each service is a component of its own, of {:.0} kB; medians", self.component as f64 / 1e3)?;
        let columns = ["services", "cache", "ready after s", "ms a service", "not of files MB", "of files MB", "page tables MB"];
        let mut table = Table::new("start, and memory while all are idle", &columns);
        for Starts { services, compiling, cached } in &self.starts {
            for (how, starts) in [("empty", compiling.as_slice()), ("filled", cached)] {
                if starts.is_empty() {
                    continue;
                }
                let seconds = Spread::of(starts.iter().map(|start| start.seconds)).median;
                let megabytes = |kind| format!("{:.1}", median(starts, kind) as f64 / 1e6);
                table.row(vec![
                    services.to_string(),
                    how.to_owned(),
                    format!("{seconds:.2}"),
                    format!("{:.2}", seconds * 1e3 / *services as f64),
                    megabytes(|held| held.anonymous + held.shared),
                    megabytes(|held| held.files),
                    megabytes(|held| held.page_tables),
                ]);
            }
        }
        write!(f, "{table}")?;
        let Held { anonymous, shared, files, page_tables } = self.per_service;
        let own = (anonymous + shared) as f64;
        let mut table = Table::new("what one idle service adds", &["kB, not of files", "goal", "of files", "page tables"]);
        let goal = format!("at most {:.0} {}", MOST_HELD / 1e3, verdict(own <= MOST_HELD));
        table.row(vec![
            format!("{:.1}", own / 1e3),
            goal,
            format!("{:.1}", files as f64 / 1e3),
            format!("{:.1}", page_tables as f64 / 1e3),
        ]);
        write!(f, "{table}")?;
        let Calls { warm, fresh, first } = &self.calls;
        let mut table = Table::new("one call at once over one connection", &["call", "goal", "µs", "min", "max"]);
        let mut row = |name: &str, goal: String, Spread { median, min, max }: &Spread| {
            table.row([name.to_owned(), goal].into_iter().chain([median, min, max].map(|micros| format!("{micros:.0}"))).collect());
        };
        row("warm", String::new(), warm);
        row("warm, with an instantiation", String::new(), fresh);
        let times = first.median / fresh.median;
        row("the first of a service", format!("{times:.1} times that, at most {MOST_FIRST:.0} {}", verdict(times <= MOST_FIRST)), first);
        write!(f, "{table}")
    }
}
