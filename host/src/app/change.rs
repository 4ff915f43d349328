//! The right to change which version of a service runs: one change of it at a time, each with room for
//! the version that goes; and why a change is refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::versions::{Line, Turn};
use super::{Host, Running};
use crate::settings::{Share, nearest};
use crate::wasm::difference::Difference;
use crate::wasm::start::StartError;

/// A swap that was not made. The version that ran goes on as if nothing had been asked.
#[derive(Debug, thiserror::Error)]
#[error("{service} was not swapped{}: {why}", .serving.map_or_else(String::new, |version| format!(", version {version} goes on serving")))]
pub struct SwapError {
    /// The service.
    pub service: String,
    /// The version that serves.
    pub serving: Option<u32>,
    /// Why.
    pub why: Why,
}

/// Why a swap is not made.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// There is no such service.
    #[error("no service has this name{hint}; there are {known}")]
    Unknown {
        /// `, did you mean …?`, or nothing.
        hint: String,
        /// The names there are.
        known: String,
    },
    /// Another swap of it is under way.
    #[error("another swap of it is under way; wait for its end")]
    Busy,
    /// A version is being tried.
    #[error(
        "version {version} is being tried with {share} of the calls; promote it with `microhost swap {service} --promote`, or take it back with `microhost rollback {service}`"
    )]
    Trying {
        /// The service.
        service: String,
        /// The version that is tried.
        version: u32,
        /// Its share.
        share: Share,
    },
    /// The version that is tried is not to be called.
    #[error("version {version}, which is tried, is not well: {why}\nwait until it is, or take it back with `microhost rollback {service}`")]
    TrialUnwell {
        /// The service.
        service: String,
        /// The version that is tried.
        version: u32,
        /// Why it is not well.
        why: String,
    },
    /// There is nothing to promote.
    #[error("no version of it is being tried")]
    NoTrial,
    /// There is nothing to go back to.
    #[error("no version came before this one")]
    NoPrevious,
    /// The new component cannot be loaded, or not be served beside the other services.
    #[error("{0:#}")]
    Component(anyhow::Error),
    /// The new component cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It lacks what callers had.
    #[error("callers would lose what they had; --force swaps all the same:\n{}", .0.to_string().trim_end())]
    Incompatible(Difference),
    /// Services of this host were linked with what it lacks.
    #[error("other services of this host need what it does not offer:\n{}\nswap or stop them first{}", .callers.join("\n"), others(.difference))]
    Needed {
        /// Those services, each with what it lacks.
        callers: Vec<String>,
        /// What is different in it.
        difference: Box<Difference>,
    },
    /// It needs what it was not granted.
    #[error("it needs what the service is not granted:\n{}{}", .needs.join("\n"), others(.difference))]
    Grants {
        /// What it needs, each with what grants it.
        needs: Vec<String>,
        /// What is different in it.
        difference: Box<Difference>,
    },
    /// It came up and is not well.
    #[error("it failed while it warmed up: {why}\n`microhost logs {service}` tells more")]
    Unwell {
        /// The service.
        service: String,
        /// What it said, or how it failed.
        why: String,
    },
}

/// What is different, below what has been told; nothing where nothing is.
fn others(difference: &Difference) -> String {
    if difference.is_empty() { String::new() } else { format!("\nwhat is different in it:\n{}", difference.to_string().trim_end()) }
}

/// A change of the version that runs, under way.
pub(super) struct Change {
    pub(super) serving: Arc<Running>,
    pub(super) line: Arc<Line>,
    /// For the version that goes.
    room: OwnedSemaphorePermit,
    /// Others are refused meanwhile.
    turn: Turn,
}

impl Change {
    pub(super) fn service(&self) -> &str {
        &self.serving.load.name
    }

    pub(super) fn refuse(&self, why: impl Into<Why>) -> SwapError {
        SwapError { service: self.service().to_owned(), serving: Some(self.serving.version), why: why.into() }
    }

    /// Ends the change: the version that goes ends its calls, and others may change what runs.
    pub(super) fn retire(self, gone: Arc<Running>, grace: Duration) {
        let Change { line, room, turn, .. } = self;
        let draining = line.draining(gone, grace);
        tokio::spawn(async move {
            draining.await;
            drop(room);
        });
        drop(turn);
    }
}

impl Host {
    /// The right to change which version of a service runs. Waits while many versions of it drain.
    pub(super) async fn change(&self, service: &str) -> Result<Change, SwapError> {
        let refuse = |serving, why| SwapError { service: service.to_owned(), serving, why };
        // Before the line, so that names which nobody has leave nothing behind.
        let serving = self.serving(service).ok_or_else(|| refuse(None, unknown(service, &self.running())))?;
        let line = self.line(service);
        let turn = line.turn().ok_or_else(|| refuse(Some(serving.version), Why::Busy))?;
        let room = line.room().await;
        // Another change may have ended just before this one had its turn.
        let serving = self.serving(service).unwrap_or(serving);
        Ok(Change { serving, line, room, turn })
    }
}

/// What whoever names a service is told that is not there.
fn unknown(service: &str, running: &[Arc<Running>]) -> Why {
    let names: Vec<&str> = running.iter().map(|running| running.load.name.as_str()).collect();
    let hint = nearest(service, names.iter().copied()).map_or(String::new(), |near| format!(", did you mean {near}?"));
    Why::Unknown { hint, known: names.join(", ") }
}
