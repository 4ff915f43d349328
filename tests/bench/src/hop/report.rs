//! What a run found: a table of calls and one of streams, and everything as JSON.

use std::fmt;

use serde::Serialize;

use super::{Round, Rounds, Work};
use crate::machine::Machine;
use crate::statistics::Spread;
use crate::table::Table;

/// How many times as long as a bare call into a guest a hop may take.
const MOST_OF_BARE: f64 = 2.5;
/// How many times as long as a hop tonic has to take.
const LEAST_OF_TONIC: f64 = 5.0;

/// A run.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    rounds: usize,
    /// What was measured.
    pub works: Vec<Rounds>,
}

impl Report {
    /// An empty one.
    pub fn new(rounds: usize) -> Report {
        Report { machine: Machine::this(), rounds, works: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "medians of {} rounds; a ratio is taken of each round: median (min to max)", self.rounds)?;
        let calls = |work: &Rounds| matches!(work.work, Work::Calls { .. });
        table(f, "calls of another service, µs each", self.works.iter().filter(|work| calls(work)), true)?;
        table(f, "streams between services, µs a message", self.works.iter().filter(|work| !calls(work)), false)
    }
}

fn table<'a>(f: &mut fmt::Formatter, title: &str, works: impl Iterator<Item = &'a Rounds>, has_goals: bool) -> fmt::Result {
    let mut works = works.peekable();
    if works.peek().is_none() {
        return Ok(());
    }
    let mut table = Table::new(title, &["", "", "bare", "two guests", "hop", "tonic", "hop of bare", "goal", "tonic of hop", "goal"]);
    for Rounds { work, rounds } in works {
        let median = |of: fn(&Round) -> f64| format!("{:.2}", Spread::of(rounds.iter().map(of)).median / 1e3);
        let (of_bare, of_tonic) = (ratio(rounds, |round| round.hop / round.bare), ratio(rounds, |round| round.tonic / round.hop));
        let goal = |reached: bool, goal: String| match (has_goals, reached) {
            (false, _) => String::new(),
            (true, true) => format!("{goal} reached"),
            (true, false) => format!("{goal} missed"),
        };
        table.row(vec![
            work.to_string(),
            String::new(),
            median(|round| round.bare),
            pair(rounds),
            median(|round| round.hop),
            median(|round| round.tonic),
            text(of_bare),
            goal(of_bare.median <= MOST_OF_BARE, format!("at most {MOST_OF_BARE:.1}")),
            text(of_tonic),
            goal(of_tonic.median >= LEAST_OF_TONIC, format!("at least {LEAST_OF_TONIC:.0}")),
        ]);
    }
    write!(f, "{table}")
}

/// The median of what is known of two guests.
fn pair(rounds: &[Round]) -> String {
    let known: Vec<f64> = rounds.iter().filter_map(|round| round.pair).collect();
    if known.is_empty() { String::new() } else { format!("{:.2}", Spread::of(known.into_iter()).median / 1e3) }
}

fn ratio(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Spread {
    Spread::of(rounds.iter().map(of))
}

fn text(Spread { median, min, max }: Spread) -> String {
    format!("{median:.2} ({min:.2} to {max:.2})")
}
