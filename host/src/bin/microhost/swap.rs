//! `microhost swap`: another version of a service, while it runs.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::Method;
use microhost::admin::change::{SwapOrder, Swapped, TurnOrder, Verdict, WatchOrder};
use microhost::settings::{Grants, Share, parse_duration};
use serde::Serialize;

use crate::door::{self, HostArgs, segment};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::paint::visible;
use crate::source;

/// Swap a running service for another version of it
///
/// The new version comes up beside the running one, and takes its calls over at one moment. What the
/// running one has begun, it ends. A version that lacks what callers had, needs what is not granted,
/// traps at its start or says that it is not well is refused, and nothing changes.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost swap greeter target/greeter.wasm
  microhost swap orders ./orders --canary 10%      a tenth of the calls at first
  microhost swap orders --promote                  all of them
  microhost swap orders ./orders --max-error-rate 5% --watch 1m
  microhost rollback orders                        back to the version before")]
pub struct Swap {
    /// The service, by its name in the settings
    service: String,

    /// The new version: a component, or a project's folder, which is built first
    #[arg(value_name = "COMPONENT", required_unless_present = "promote", conflicts_with = "promote")]
    path: Option<PathBuf>,

    /// Give all calls to the version that has a share of them
    #[arg(long, conflicts_with_all = ["canary", "force", "grant", "max_error_rate"])]
    promote: bool,

    /// Give the new version this share of the calls at first, such as 10%
    #[arg(long, value_name = "SHARE")]
    canary: Option<Share>,

    /// How long calls and streams of the old version have to end
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    grace: Duration,

    /// Swap even where callers from outside lose what they had
    #[arg(long)]
    force: bool,

    /// Allow the new version more: calls=SERVICE, http=HOST, env=NAME=VALUE, dir=FOLDER::GUEST[:rw], …
    #[arg(long, value_name = "GRANT", value_parser = grant)]
    grant: Vec<String>,

    /// Take the new version back if more of its calls fail than this share, such as 5%
    #[arg(long, value_name = "SHARE")]
    max_error_rate: Option<Share>,

    /// How long to watch for that
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, requires = "max_error_rate")]
    watch: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    host: HostArgs,
}

/// A grant as the host takes it, with a whole path: the host's folder is another.
fn grant(text: &str) -> Result<String, String> {
    Grants::default().add(text)?;
    match text.strip_prefix("dir=").and_then(|rest| rest.split_once("::")) {
        None => Ok(text.to_owned()),
        Some((folder, guest)) => {
            let folder = std::path::absolute(folder).map_err(|error| format!("{folder}: {error}"))?;
            Ok(format!("dir={}::{guest}", folder.display()))
        }
    }
}

impl Swap {
    /// Has the host swap, and tells what is different.
    pub fn execute(self) -> Outcome {
        let service = segment(&self.service);
        let grace_ms = Some(millis(self.grace));
        let Some(path) = &self.path else {
            return change(self.host, &format!("services/{service}/promote"), &TurnOrder { grace_ms }, self.json);
        };
        let order = SwapOrder {
            component: whole(&source::component(path)?)?,
            grants: self.grant,
            canary: self.canary,
            grace_ms,
            force: self.force,
            watch: self.max_error_rate.map(|max_error_rate| WatchOrder { max_error_rate, time_ms: millis(self.watch) }),
        };
        if order.watch.is_some() {
            output::tell(format!("watching its calls for {:?} once it has them", self.watch));
        }
        change(self.host, &format!("services/{service}/swap"), &order, self.json)
    }
}

fn whole(path: &Path) -> Outcome<PathBuf> {
    path.canonicalize().map_err(|error| Failure::new(Exit::Refused, format!("cannot read {}", path.display())).because(&error))
}

/// A time as the API takes it.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Asks for a change of version, and tells what came of it.
pub fn change(host: HostArgs, path: &str, order: &impl Serialize, json: bool) -> Outcome {
    door::run(async {
        let body = serde_json::to_vec(order).map_err(|error| Failure::new(Exit::Failed, "the order cannot be written").because(&error))?;
        let swapped: Swapped = host.client().await?.send(Method::POST, path, body.into()).await?;
        if json {
            output::print_json(&swapped)?
        } else {
            output::print(text(&swapped))?
        }
        match &swapped.verdict {
            Some(Verdict::TakenBack { calls }) => Err(Failure::new(
                Exit::Failed,
                format!("version {} of {} was taken back: {} of {} calls failed", swapped.to, swapped.service, calls.failed, calls.ended),
            )
            .note(format!("version {} serves again", swapped.from))
            .advise(format!("microhost logs {}", swapped.service))),
            Some(Verdict::Stuck { calls, why }) => Err(Failure::new(
                Exit::Failed,
                format!("{} of {} calls of version {} failed, and it could not be taken back", calls.failed, calls.ended, swapped.to),
            )
            .note(why)),
            _ => Ok(()),
        }
    })
}

/// Writing to a string cannot fail, so no result of it is looked at.
fn text(swapped: &Swapped) -> String {
    let mut text = String::new();
    let Swapped { service, from, to, canary, difference, notes, verdict } = swapped;
    for line in difference.to_string().lines() {
        let _ = writeln!(text, "{}", visible(line));
    }
    for note in notes {
        let _ = writeln!(text, "note: {}", visible(note));
    }
    let service = visible(service);
    let _ = match canary {
        Some(share) => writeln!(
            text,
            "{service}: version {to} has {share} of the calls, version {from} the others; `microhost swap {service} --promote` gives it all of them"
        ),
        None => writeln!(text, "{service}: version {to} has the calls, in place of version {from}"),
    };
    match verdict {
        Some(Verdict::Kept { calls }) => {
            let _ = writeln!(text, "{} of {} calls failed: it stays", calls.failed, calls.ended);
        }
        Some(Verdict::Overtaken) => text.push_str("another change came before the watch was over\n"),
        _ => {}
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use microhost::wasm::difference::Difference;

    use super::*;

    #[test]
    fn a_folder_is_granted_by_its_whole_path() {
        let granted = grant("dir=data::/data:rw").expect("a grant");
        let here = std::env::current_dir().expect("there is one");
        assert_eq!(granted, format!("dir={}::/data:rw", here.join("data").display()));
        assert_eq!(grant("calls=a.B"), Ok("calls=a.B".to_owned()));
        assert!(grant("cals=a.B").is_err());
    }

    #[test]
    fn a_canary_is_told_with_what_to_do_next() {
        let swapped = Swapped {
            service: "orders".into(),
            from: 1,
            to: 2,
            canary: Some("10%".parse().expect("a share")),
            difference: Difference::default(),
            notes: vec!["x is gone".into()],
            verdict: None,
        };
        let told = text(&swapped);
        assert!(told.starts_with("note: x is gone\norders: version 2 has 10% of the calls") && told.contains("--promote"), "{told}");
    }
}
