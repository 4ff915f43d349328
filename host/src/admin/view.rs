//! What the admin API tells, as its JSON says it: written by the host, read by the commands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{Trial, Versions};
use crate::registry::{Node, View};

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostView {
    /// What commands call it: its name in the settings, or its process id.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// The version of microhost.
    pub version: String,
    /// Where it serves; none before it does.
    pub url: Option<String>,
    /// `starting`, `ready` or `draining`.
    pub phase: String,
    /// When it started (RFC 3339).
    pub started: String,
    /// The names of its services.
    pub services: Vec<String>,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It takes calls.
    Serving,
    /// It takes calls, and lacks a service that it imports and that may come late.
    Waiting,
    /// It takes calls, and is not well: others are called in its place where there are any.
    Unwell,
    /// It could not be started.
    Failed,
}

impl State {
    /// The state's name, as the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            State::Serving => "serving",
            State::Waiting => "waiting",
            State::Unwell => "unwell",
            State::Failed => "failed",
        }
    }
}

/// How a service is, in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// Its name in the settings.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// How it is.
    pub state: State,
    /// Why it is not serving, or what it waits for.
    pub why: Option<String>,
    /// When this version of it started (RFC 3339); none where it did not.
    pub since: Option<String>,
    /// The version that is tried with a share of its calls.
    #[serde(default)]
    pub canary: Option<Trial>,
    /// Instances alive.
    pub instances: i64,
    /// Calls that ended.
    pub calls: u64,
    /// Those of them that ended as the service's or the host's fault.
    pub errors: u64,
    /// Calls under way.
    pub under_way: i64,
}

/// How a host and its services are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// `starting`, `ready` or `draining`.
    pub phase: String,
    /// What of the host itself does not answer: a lane, or a disk.
    pub trouble: Option<String>,
    /// Its services.
    pub services: Vec<ServiceHealth>,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHealth {
    /// Its name in the settings.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// How it is.
    pub state: State,
    /// Why it is not serving, or what it waits for.
    pub why: Option<String>,
    /// Since when it is not well; else when this version of it started (RFC 3339). None where it did not.
    pub since: Option<String>,
    /// The version that is tried with a share of its calls.
    #[serde(default)]
    pub canary: Option<Trial>,
}

/// The hosts of a cluster, as one of them knows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// The id of the one that tells; none where it tells nobody of itself.
    pub own: Option<String>,
    /// What tells of hosts.
    pub registries: Vec<RegistryView>,
    /// Where the one that tells says that it is, the best first, and what came of trying it.
    #[serde(default)]
    pub addresses: Vec<AddressView>,
    /// The hosts, by id; the one that tells is among them where a registry told of it.
    pub nodes: Vec<Node>,
}

impl ClusterView {
    /// All that is known of others, by what registries tell.
    pub fn of(own: Option<String>, view: &View) -> ClusterView {
        let registries = view.registries().into_iter().map(|known| {
            let (lost_for, why) = known.stale.map(|(age, why)| (age.as_secs_f64(), why)).unzip();
            RegistryView { name: known.registry, nodes: known.nodes, lost_for, why }
        });
        let nodes = view.nodes().by_id.values().map(|node| (**node).clone()).collect();
        ClusterView { own, registries: registries.collect(), addresses: Vec::new(), nodes }
    }
}

/// An address of a host, as that host itself sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressView {
    /// The address.
    pub address: String,
    /// Whether others are told of it.
    pub told: bool,
    /// Why the host does not reach itself there; none where it does, or has not tried yet.
    pub why: Option<String>,
}

/// What tells of hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryView {
    /// Its name: `mDNS`, `nats://127.0.0.1:4222`.
    pub name: String,
    /// How many hosts it told of.
    pub nodes: usize,
    /// Since when it cannot be reached, in seconds; none where it is there.
    pub lost_for: Option<f64>,
    /// Why it cannot be.
    pub why: Option<String>,
}

/// All that is known of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// How it is.
    #[serde(flatten)]
    pub service: ServiceView,
    /// The file of its component.
    pub component: String,
    /// `shared` or `request`.
    pub isolation: String,
    /// What callers can call.
    pub endpoints: Vec<EndpointView>,
    /// The messages of the endpoints that have fields.
    pub messages: Vec<MessageView>,
    /// Exported functions that cannot be served, and why.
    pub refused: Vec<RefusedView>,
    /// Where it answers plain HTTP, if it does.
    pub http: Option<String>,
    /// The services that it takes any call of, as a gateway; `*` for all that nothing else serves.
    pub gateway: Vec<String>,
    /// What it imports of other services.
    pub imports: Vec<ImportView>,
    /// What it is allowed, by kind. Values that may be secret are not told.
    pub grants: BTreeMap<String, Vec<String>>,
    /// Its limits by name, as they would be written in the settings.
    pub limits: BTreeMap<String, String>,
    /// Its versions; none where it does not run.
    pub versions: Option<Versions>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// The full name of its service: `example.greeter.Greet`.
    pub service: String,
    /// Its method: `Hello`.
    pub method: String,
    /// `unary`, `client-stream`, `server-stream` or `bidi-stream`.
    pub kind: String,
    /// Free of side effects.
    pub safe: bool,
    /// The function as WIT writes it, where it is one.
    pub signature: Option<String>,
    /// The message that goes in, by its full name.
    pub input: String,
    /// The message that comes out.
    pub output: String,
    /// What its source says about it.
    pub docs: Option<String>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// The full name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<FieldView>,
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldView {
    /// Its number in protobuf.
    pub number: u32,
    /// Its name in protobuf.
    pub name: String,
    /// Its name in JSON.
    pub json_name: String,
    /// Its type, as WIT or protobuf writes it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An exported function that is not served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedView {
    /// The export and the function.
    pub function: String,
    /// Why.
    pub why: String,
}

/// An interface of another service that a service imports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportView {
    /// As WIT writes it: `shop:payments/payment@1.2.0`.
    pub interface: String,
    /// The service's full name: `shop.payments.Payment`.
    pub service: String,
    /// The functions that are imported.
    pub functions: Vec<String>,
    /// The service of this host that offers it, by its name in the settings; none where it has yet to
    /// come.
    pub by: Option<String>,
}

/// The figures of a host at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The moment (RFC 3339, with milliseconds).
    pub at: String,
    /// The figures by service.
    pub services: Vec<ServiceFigures>,
}

/// The figures of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFigures {
    /// Its name in the settings.
    pub name: String,
    /// All its calls together.
    pub calls: CallFigures,
    /// What is counted of the service as a whole, by the names that `/_microhost/metrics` has for it
    /// without `microhost_`.
    pub figures: BTreeMap<String, f64>,
    /// Its calls by endpoint: `example.greeter.Greet/Hello`, or the route of plain HTTP.
    pub endpoints: BTreeMap<String, CallFigures>,
}

/// The figures of calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallFigures {
    /// Calls that ended.
    pub ended: u64,
    /// Those of them that ended as the service's or the host's fault.
    pub errors: u64,
    /// Calls under way.
    pub under_way: i64,
    /// Calls that ended, by the name of their status; those that never came are left out.
    pub codes: BTreeMap<String, u64>,
    /// The time in which half of the calls ended, in microseconds, as well as buckets tell it.
    pub p50_us: Option<u64>,
    /// The time in which 99 of 100 ended.
    pub p99_us: Option<u64>,
    /// Messages that callers' streams brought.
    pub received: u64,
    /// Messages that replies' streams brought.
    pub sent: u64,
}

/// What a reader of the log gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogEntry {
    /// A line.
    Line(LogLine),
    /// So many lines were left out here, as the reader was too slow.
    Lost {
        /// How many.
        lost: u64,
    },
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When (RFC 3339, with milliseconds).
    pub time: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The service that it is of, by its name in the settings; none for the host's own.
    pub service: Option<String>,
    /// Whether the service wrote it itself; else the host says it about the service.
    #[serde(default)]
    pub guest: bool,
    /// The method that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What it says.
    pub message: String,
    /// What else belongs to it, by name; what a service adds itself is under `guest`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Why the API refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// A code of gRPC in Connect's spelling: `not_found`.
    pub code: String,
    /// What is wrong, and what to do.
    pub message: String,
}
