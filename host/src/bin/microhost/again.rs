//! Commands that look again and again.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use microhost::settings::parse_duration;
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::Outcome;
use crate::output;

/// Whether a command looks once, or how often.
#[derive(Args)]
pub struct Again {
    /// Look again and again
    #[arg(short, long)]
    watch: bool,

    /// The time between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every, requires = "watch")]
    every: Duration,
}

/// A time that leaves the host time for its services.
fn every(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < Duration::from_millis(100) { Err("expected at least 100ms".to_owned()) } else { Ok(time) }
}

impl Again {
    /// Whether it looks more than once.
    pub fn watches(&self) -> bool {
        self.watch
    }

    /// Looks once, or until it fails.
    pub async fn each(&self, mut look: impl AsyncFnMut() -> Outcome) -> Outcome {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            look().await?;
            if !self.watch {
                return Ok(());
            }
        }
    }

    /// Prints a text: in place of what the terminal shows where it is looked at again, as a part of a
    /// longer text where there is no terminal.
    pub fn print(&self, text: &str) -> Outcome {
        match (self.watch, io::stdout().is_terminal()) {
            (false, _) => output::print(text),
            (true, true) => output::print(format!("\x1b[H\x1b[2J\x1b[3J{text}")),
            (true, false) => output::print(format!("{text}\n")),
        }
    }
}
