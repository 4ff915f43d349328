//! `microhost services`: what a host runs, a line a service.

use std::time::{Duration, SystemTime};

use clap::Args;
use microhost::admin::view::{ServiceView, State};

use crate::door::{self, HostArgs};
use crate::failure::Outcome;
use crate::output::{self, Paint, visible};
use crate::table::{Cell, Table};

/// List the services of a running host
///
/// Those that could not be started are listed too, with the reason.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost services
  microhost services --host shop                       one of several hosts
  microhost services --host https://shop.example.com   with the token in MICROHOST_TOKEN
  microhost services --json | jq -r '.[] | select(.state == \"failed\") | .name'")]
pub struct Services {
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    host: HostArgs,
}

impl Services {
    /// Prints the list.
    pub fn execute(self) -> Outcome {
        door::run(async {
            let services: Vec<ServiceView> = self.host.client().await?.get("services").await?;
            if self.json { output::print_json(&services) } else { output::print(text(&services, Paint::for_stdout())) }
        })
    }
}

fn text(services: &[ServiceView], paint: Paint) -> String {
    if services.is_empty() {
        return "the host runs no service".to_owned();
    }
    let mut table = Table::new(&["name", "version", "state", "instances", "calls", "errors", "now", "age"]);
    for service in services {
        table.row([
            Cell::text(&service.name).strong(),
            Cell::text(service.version.as_deref().unwrap_or("-")),
            state(service.state),
            Cell::number(service.instances),
            Cell::number(service.calls),
            Cell::number(service.errors).bad_if(service.errors > 0),
            Cell::number(service.under_way),
            Cell::number(service.since.as_deref().and_then(age).unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    let mut lines = table.lines(paint);
    for service in services {
        if let Some(why) = &service.why {
            let why: Vec<String> = why.lines().map(visible).collect();
            lines.push(format!("\n{}: {}", paint.strong(&visible(&service.name)), why.join("\n  ")));
        }
    }
    lines.join("\n")
}

/// A state in its colour.
pub fn state(state: State) -> Cell {
    let cell = Cell::text(state.name());
    match state {
        State::Serving => cell.good(),
        State::Waiting => cell.odd(),
        State::Failed => cell.bad(),
    }
}

/// How long ago a moment was, in its two largest units: `3h 12m`.
pub fn age(since: &str) -> Option<String> {
    let since = humantime::parse_rfc3339(since).ok()?;
    // A clock that was set back makes nothing older than new.
    let age = SystemTime::now().duration_since(since).unwrap_or_default();
    let whole = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    Some(whole.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_failed_is_listed_with_its_reason() {
        let service = |name: &str, state, why: Option<&str>| ServiceView {
            name: name.into(),
            version: Some("1.2.0".into()),
            state,
            why: why.map(str::to_owned),
            since: None,
            instances: 1,
            calls: 20,
            errors: 0,
            under_way: 2,
        };
        let all = [service("orders", State::Serving, None), service("stock", State::Failed, Some("no such file"))];
        let text = text(&all, Paint::none());
        let expected = "\
NAME    VERSION  STATE    INSTANCES  CALLS  ERRORS  NOW  AGE
orders  1.2.0    serving          1     20       0    2    -
stock   1.2.0    failed           1     20       0    2    -

stock: no such file";
        assert_eq!(text, expected);
    }
}
