//! The program's log, set up in one place: lines for people on a terminal, JSON for machines.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use microhost::admin::Journal;
use microhost::admin::journal::Listener;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::paint::Paint;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON otherwise
    Auto,
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// The filter that a level stands for. A level alone is of what the host and its services say; of
/// the libraries beneath, only what is amiss.
fn directives(level: &str) -> String {
    match level.parse::<tracing::Level>() {
        Ok(level) => format!("{},microhost={level},guest={level}", level.min(tracing::Level::WARN)),
        Err(_) => level.to_owned(),
    }
}

/// The flags of the log.
#[derive(Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// How log lines look
    #[arg(long, value_enum, default_value = "auto", env = "MICROHOST_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Format,

    /// What is logged: error, warn, info, debug or trace, or by module: `info,microhost::edge=debug`
    #[arg(long, default_value = "info", env = "MICROHOST_LOG", value_name = "LEVEL")]
    log_level: String,
}

impl LogArgs {
    /// Whether the log is for people.
    pub fn for_people(&self) -> bool {
        match self.log_format {
            Format::Auto => io::stderr().is_terminal(),
            Format::Text => true,
            Format::Json => false,
        }
    }

    /// Starts the log, on standard error. What it says is in the journal too, for the host's door.
    pub fn start(&self) -> Outcome<Arc<Journal>> {
        let filter = EnvFilter::builder().parse(directives(&self.log_level)).map_err(|error| {
            Failure::new(Exit::Usage, format!("--log-level {:?} is no level", self.log_level))
                .because(&error)
                .advise("--log-level debug, or by module: --log-level info,microhost::edge=debug")
        })?;
        // A log that nobody reads any more is no reason to die, and telling of it on the same closed
        // stream would be one.
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).log_internal_errors(false);
        let journal = Arc::new(Journal::default());
        let log = tracing_subscriber::registry().with(filter).with(Listener(Arc::clone(&journal)));
        if self.for_people() {
            log.with(lines.compact().with_target(false).with_ansi(Paint::for_stderr().is_on())).init();
        } else {
            log.with(lines.json()).init();
        }
        Ok(journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_of_the_host_and_its_services() {
        assert_eq!(directives("debug"), "WARN,microhost=DEBUG,guest=DEBUG");
        assert_eq!(directives("error"), "ERROR,microhost=ERROR,guest=ERROR");
        assert_eq!(directives("info,hyper=debug"), "info,hyper=debug");
    }
}
