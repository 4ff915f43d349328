//! The host that a command is about: found by its socket among those that run here, or named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use microhost::admin::door::{self, Found};
use microhost::admin::view::HostView;
use tokio::time::timeout;

use crate::call::target::Target;
use crate::call::tls::Trust;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::paint::{Paint, visible};
use crate::table::{Cell, Table};

mod client;

pub use client::{Client, segment};

/// How long a host may take to say who it is, where there are several to choose from.
const SOON: Duration = Duration::from_secs(2);

/// Which host a command is about.
#[derive(Args)]
#[command(next_help_heading = "Host")]
pub struct HostArgs {
    /// The host: its name, its process id, its socket or its URL [default: the one that runs]
    #[arg(long, value_name = "HOST", env = "MICROHOST_HOST")]
    host: Option<String>,

    /// The host's admin token, which a URL needs
    #[arg(long, value_name = "TOKEN", env = "MICROHOST_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Trust the certificate authorities of this PEM file instead of the machine's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Trust any certificate
    #[arg(long)]
    insecure: bool,
}

/// Runs a command that talks with a host.
pub fn run<F: Future<Output = Outcome>>(work: F) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, "cannot start").because(&error))?;
    let outcome = runtime.block_on(work);
    // What looks for hosts may be waiting for one.
    runtime.shutdown_background();
    outcome
}

impl HostArgs {
    /// What names the host, if anything does.
    pub fn named(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The host that is meant.
    pub async fn client(self) -> Outcome<Client> {
        let Some(host) = self.host else { return only(door::find()).await };
        if host.contains("://") || host.starts_with("unix:") {
            let target = Target::parse("--host", &host, Trust { ca: self.ca, insecure: self.insecure })?;
            return Ok(Client::at(target, self.token));
        }
        if host.contains('/') || host.ends_with(".sock") {
            return Ok(Client::by(PathBuf::from(host)));
        }
        named(&host, door::find()).await
    }
}

/// The only host that runs.
async fn only(found: Found) -> Outcome<Client> {
    tell_refused(&found);
    match &found.sockets[..] {
        [] => Err(nobody(&found)),
        [socket] => Ok(Client::by(socket.clone())),
        several => {
            let failure = Failure::new(Exit::Usage, format!("{} hosts run here: which one?", several.len()));
            Err(listed(failure, several).await.advise(format!("--host {}", name_of(&several[0]))))
        }
    }
}

/// The host of this name or process id.
async fn named(host: &str, found: Found) -> Outcome<Client> {
    tell_refused(&found);
    let mut same: Vec<&PathBuf> = found.sockets.iter().filter(|socket| name_of(socket) == host).collect();
    if let (true, Ok(pid)) = (same.is_empty(), host.parse::<u32>()) {
        for socket in &found.sockets {
            if view(socket).await.is_some_and(|view| view.pid == pid) {
                same.push(socket);
            }
        }
    }
    match same[..] {
        [socket] => Ok(Client::by(socket.clone())),
        [] if found.sockets.is_empty() => Err(nobody(&found)),
        [] => {
            let failure = Failure::new(Exit::Refused, format!("no host is called {host:?}"));
            let near = microhost::settings::nearest(host, found.sockets.iter().map(|socket| name_of(socket)));
            let near = near.unwrap_or_else(|| name_of(&found.sockets[0])).to_owned();
            Err(listed(failure, &found.sockets).await.advise(format!("--host {near}")))
        }
        _ => {
            let failure = Failure::new(Exit::Usage, format!("several hosts are called {host:?}"));
            let failure = same.iter().fold(failure, |failure, socket| failure.note(socket.display()));
            Err(failure.advise(format!("--host {}", same[0].display())))
        }
    }
}

/// Folders that were passed over. They are somebody's mistake, or somebody's trap.
fn tell_refused(found: &Found) {
    for refused in &found.refused {
        output::tell(format!("note: {}", visible(&refused.to_string())));
    }
}

fn nobody(found: &Found) -> Failure {
    let exit = if found.refused.is_empty() { Exit::Unreachable } else { Exit::Refused };
    Failure::new(exit, "no host runs here")
        .note("none has its socket in the folder that this user's hosts share")
        .advise("start one with `microhost run`, or name one with --host SOCKET or --host URL --token TOKEN")
}

/// A failure with the hosts that there are.
async fn listed(failure: Failure, sockets: &[PathBuf]) -> Failure {
    let mut table = Table::new(&["host", "pid", "address", "services"]);
    for socket in sockets {
        let row = match view(socket).await {
            Some(view) => [name_of(socket).to_owned(), view.pid.to_string(), view.url.unwrap_or_default(), view.services.join(", ")],
            None => [name_of(socket).to_owned(), String::new(), String::new(), "does not answer".to_owned()],
        };
        table.row(row.map(Cell::text));
    }
    table.lines(Paint::none()).into_iter().fold(failure, |failure, line| failure.note(line))
}

/// What a host says of itself; `None` where it does not answer soon.
async fn view(socket: &Path) -> Option<HostView> {
    timeout(SOON, Client::by(socket.to_owned()).get::<HostView>("host")).await.ok()?.ok()
}

/// What a host is called, by its socket.
fn name_of(socket: &Path) -> &str {
    socket.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
}
