//! Commands that look at something and show it, once or again and again.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use microhost::settings::parse_duration;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::Outcome;
use crate::output;
use crate::paint::Paint;

/// How often a command looks, and for whom it prints.
#[derive(Args)]
pub struct LookArgs {
    /// Look again and again
    #[arg(short, long)]
    watch: bool,

    /// The time between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every, requires = "watch")]
    every: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A time that leaves the host time for its services.
fn every(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < Duration::from_millis(100) { Err("expected at least 100ms".to_owned()) } else { Ok(time) }
}

impl LookArgs {
    /// Whether it looks more than once.
    pub fn watches(&self) -> bool {
        self.watch
    }

    /// Looks and prints, once or until looking fails; what it saw last. `text` is what people read of a look,
    /// which may tell what is different from the one before.
    pub async fn each<T: Serialize>(
        &self,
        mut look: impl AsyncFnMut() -> Outcome<T>,
        text: impl Fn(&T, Option<&T>, Paint) -> String,
    ) -> Outcome<T> {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = None;
        loop {
            ticks.tick().await;
            let now = look().await?;
            match self.json {
                true => output::print_json(&now)?,
                false => self.print(&text(&now, before.as_ref(), Paint::for_stdout()))?,
            }
            if !self.watch {
                return Ok(now);
            }
            before = Some(now);
        }
    }

    /// Prints a text: in place of what the terminal shows where it is looked at again, as a part of a
    /// longer text where there is no terminal.
    fn print(&self, text: &str) -> Outcome {
        match (self.watch, io::stdout().is_terminal()) {
            (false, _) => output::print(text),
            (true, true) => output::print(format!("\x1b[H\x1b[2J\x1b[3J{text}")),
            (true, false) => output::print(format!("{text}\n")),
        }
    }
}
