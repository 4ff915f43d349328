//! What the admin API takes and tells where the version of a service changes, as its JSON says it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::settings::Share;
use crate::wasm::difference::Difference;
use crate::wasm::tally::Count;

/// What a service is swapped for, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SwapOrder {
    /// The new component: an absolute path on the host's machine.
    pub component: PathBuf,
    /// What the new version is allowed beyond what the running one is: `calls=shop.payments.Payment`.
    #[serde(default)]
    pub grants: Vec<String>,
    /// The share of calls that it gets at first: `10%`. Without, all.
    #[serde(default)]
    pub canary: Option<Share>,
    /// How long the calls of the old version have to end, in milliseconds.
    #[serde(default)]
    pub grace_ms: Option<u64>,
    /// Swap even where callers from outside lose what they had.
    #[serde(default)]
    pub force: bool,
    /// When to take the new version back by itself.
    #[serde(default)]
    pub watch: Option<WatchOrder>,
}

/// When a version is taken back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchOrder {
    /// The share of its calls that may fail by the service's fault: `5%`.
    pub max_error_rate: Share,
    /// How long it is watched, in milliseconds.
    pub time_ms: u64,
}

/// How a version gives way to another that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnOrder {
    /// How long the calls of the version that goes have to end, in milliseconds.
    #[serde(default)]
    pub grace_ms: Option<u64>,
}

/// What is to be done about the version of a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Swap it for another component.
    Swap(SwapOrder),
    /// Give all calls to the version that is tried.
    Promote(TurnOrder),
    /// Take the version back that is tried, or go back to the one before.
    Rollback(TurnOrder),
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swapped {
    /// The service.
    pub service: String,
    /// The version that had the calls before.
    pub from: u32,
    /// The version that has them now.
    pub to: u32,
    /// The share of calls that it has; none where it has all.
    pub canary: Option<Share>,
    /// What is different in it.
    pub difference: Difference,
    /// What whoever swaps should know: what callers lose by force.
    pub notes: Vec<String>,
    /// What came of watching it, where that was asked for.
    pub verdict: Option<Verdict>,
}

/// What came of watching a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// The version stays.
    Kept {
        /// How its calls ended.
        calls: Count,
    },
    /// Too many calls failed, and the version before it serves again.
    TakenBack {
        /// How its calls ended.
        calls: Count,
    },
    /// Too many calls failed, and the version before it could not be had.
    Stuck {
        /// How its calls ended.
        calls: Count,
        /// Why it goes on serving.
        why: String,
    },
    /// Somebody swapped it or took it back meanwhile.
    Overtaken,
}

/// The versions of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// The one that runs, counted from 1 as they came.
    pub serving: u32,
    /// The one that a rollback brings back.
    pub previous: Option<u32>,
    /// One that is tried with a share of the calls.
    pub canary: Option<Trial>,
    /// Those that end their last calls.
    pub draining: Vec<Draining>,
    /// A swap is under way.
    pub swapping: bool,
}

/// A version that is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Its number.
    pub version: u32,
    /// Its share of the calls.
    pub share: Share,
    /// How its calls ended so far.
    pub calls: Count,
    /// Why it is not well, and so gets no calls.
    #[serde(default)]
    pub why: Option<String>,
    /// Since when it is not well (RFC 3339).
    #[serde(default)]
    pub since: Option<String>,
}

/// A version that ends its last calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// Its number.
    pub version: u32,
    /// Its instances that are left.
    pub instances: usize,
    /// For how long it has had no new calls, in seconds.
    pub seconds: f64,
}
