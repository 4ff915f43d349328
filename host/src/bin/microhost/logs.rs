//! `microhost logs`: what the services of a host have said, and what they say.

use clap::{Args, ValueEnum};
use microhost::admin::view::{LogEntry, LogLine};

use crate::door::{self, HostArgs, segment};
use crate::failure::Outcome;
use crate::output;
use crate::paint::{Paint, visible};

/// Show what a running host and its services log
///
/// The host keeps the last lines of each service, as far as its own --log-level lets them through.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost logs                         the last lines of all services and of the host
  microhost logs -f orders               those of one service, and new ones as they come
  microhost logs --level warn -n 500     warnings and errors
  microhost logs -f --json | jq -r .message")]
pub struct Logs {
    /// The service, by its name in the settings; all and the host itself without
    service: Option<String>,

    /// Print new lines as they come, until Ctrl-C or the host's end
    #[arg(short, long)]
    follow: bool,

    /// How many of the last lines to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,

    /// Lines of this level and graver ones
    #[arg(long, value_enum, default_value = "trace")]
    level: Level,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    host: HostArgs,
}

/// `--level`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl Logs {
    /// Prints the lines.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let mut path = format!("logs?level={}&lines={}&follow={}", self.level.name(), self.lines, self.follow);
            if let Some(service) = &self.service {
                path.push_str(&format!("&service={}", segment(service)));
            }
            let mut lines = self.host.client().await?.lines(&path).await?;
            let paint = Paint::for_stdout();
            while let Some(entry) = lines.next::<LogEntry>().await? {
                match (self.json, &entry) {
                    // On one line each, on a terminal too: it is a list without an end.
                    (true, entry) => output::print_json_line(entry)?,
                    (false, LogEntry::Line(line)) => output::print(text(line, self.service.is_none(), paint))?,
                    (false, LogEntry::Lost { lost }) => {
                        output::print(paint.odd(&format!("… {lost} lines are left out: they came faster than they were read")))?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// A line for people: time, level, service, method, message, fields.
fn text(line: &LogLine, of_all: bool, paint: Paint) -> String {
    let level = format!("{:>5}", line.level.to_uppercase());
    let level = match line.level.as_str() {
        "error" => paint.bad(&level),
        "warn" => paint.odd(&level),
        "info" => paint.good(&level),
        _ => paint.faint(&level),
    };
    let mut text = format!("{} {level}", paint.faint(&visible(&line.time)));
    let service = if of_all { line.service.as_deref().or(Some("(host)")) } else { None };
    let whose: Vec<String> = [service, line.method.as_deref()].into_iter().flatten().map(visible).collect();
    if !whose.is_empty() {
        text.push_str(&format!(" {}:", paint.strong(&whose.join(" "))));
    }
    text.push_str(&format!(" {}", visible(&line.message)));
    for (name, value) in &line.fields {
        let field = if name == "guest" { visible(value) } else { format!("{}={}", visible(name), visible(value)) };
        text.push_str(&format!(" {}", paint.faint(&field)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_says_whose_it_is_and_cannot_steer_the_terminal() {
        let line = LogLine {
            time: "2026-01-01T00:00:00.000Z".into(),
            level: "warn".into(),
            service: Some("orders".into()),
            guest: true,
            method: Some("Place".into()),
            message: "low\u{1b}[2J\nstock".into(),
            fields: BTreeMap::from([("guest".to_owned(), "a=b".to_owned()), ("seconds".to_owned(), "2".to_owned())]),
        };
        let told = "2026-01-01T00:00:00.000Z  WARN orders Place: low\\u{1b}[2J\\u{a}stock a=b seconds=2";
        assert_eq!(text(&line, true, Paint::none()), told);
        assert_eq!(text(&line, false, Paint::none()), told.replace("orders ", ""));
    }
}
