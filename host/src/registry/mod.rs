//! Which hosts there are, and what they serve: one contract, and a file for each way of finding out.
//!
//! A registry tells; it is never asked on the way of a call. Whatever it tells is kept in a [`View`], and
//! calls go by that: one that is slow, down or talks nonsense stops no call, since the nodes that were
//! known last stay known.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use crate::settings::{Address, AddressError, LEASE};

mod addresses;
mod board;
#[cfg(test)]
pub(crate) mod conformance;
mod dial;
pub mod fetch;
mod file;
mod machine;
pub mod mdns;
mod memory;
mod nats;
mod others;
mod outlook;
mod peers;
mod said;
mod view;
mod ways;

pub use addresses::MAX_ADDRESSES;
pub use file::{Addresses, File};
pub use machine::machine;
pub use memory::Memory;
pub use nats::Nats;
pub use others::{MAX_TOLD, Others};
pub use outlook::{Outlook, Seen, Sight};
pub use peers::{NotOurs, Peers, Standing};
pub use said::{Entry, Said};
pub use view::{Known, Nodes, Offer, View};

/// A host, as it tells others of itself. JSON where it is written down; who reads it ignores fields
/// that it does not know, so that newer hosts can say more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Tells hosts apart, and runs of the same host too: random, made at each start.
    pub id: String,
    /// What people call it; see the setting `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it takes calls, the best first. Others take the first one that they can use, and those of
    /// its own [`machine`](Node::machine) its sockets before that. One that is not understood is passed over
    /// when a node is read, and a node without any is known and not called.
    #[serde(default, deserialize_with = "addresses::understood")]
    pub addresses: Vec<Address>,
    /// What stands for its machine, where it takes calls by sockets of it; see [`machine()`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Where it stands: a data centre, a rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What else it says of itself, for whoever chooses among nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Rises with each change of what it tells.
    pub revision: u64,
    /// What it serves, by name.
    #[serde(default)]
    pub services: Vec<Service>,
}

impl Node {
    /// What people call it: its name, else the beginning of its id, which is enough to tell a few apart.
    pub fn called(&self) -> &str {
        const ENOUGH: usize = 8;
        self.name.as_deref().unwrap_or_else(|| self.id.get(..ENOUGH).unwrap_or(&self.id))
    }
}

/// A service of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in the settings of its host: `payments`.
    pub name: String,
    /// Its version, by semver where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many calls it is to get, beside others with the same weight; none for 0.
    #[serde(default = "usual_weight")]
    pub weight: u32,
    /// Takes calls now. One that does not is known, and not chosen.
    #[serde(default)]
    pub ready: bool,
    /// What it says of itself, beside the labels of its node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What callers can call.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
}

/// The weight of a service that is given none.
pub const USUAL_WEIGHT: u32 = 100;

fn usual_weight() -> u32 {
    USUAL_WEIGHT
}

/// One service as callers name it, with its methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its full name: `shop.payments.Payment`; `*` for a gateway that takes whatever nobody else serves.
    pub name: String,
    /// The WIT interface that it is: `shop:payments/payment@1.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wit: Option<String>,
    /// Its methods; none for a gateway, which takes any.
    #[serde(default)]
    pub methods: Vec<Method>,
}

/// A method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Its name: `Charge`.
    pub name: String,
    /// Which side sends more than one message.
    pub kind: Kind,
    /// Stands for its type, where it is typed: equal for equal types (see `schema::Fingerprint`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<u64>,
    /// Free of side effects: may be tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub safe: bool,
}

/// Which side of a method sends more than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// None.
    Unary,
    /// The one that answers.
    ServerStream,
    /// The one that calls.
    ClientStream,
    /// Both.
    Bidirectional,
}

/// What a registry tells, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A node is new, or tells something else.
    Put(Arc<Node>),
    /// A node has said goodbye, or its lease has run out.
    Gone(String),
    /// All that there is has been told since the watch began, or since the registry was lost. Nodes
    /// that were not told again are gone.
    Complete,
    /// The registry cannot be reached or not be understood, for this reason. What it told stays good
    /// until it is back, which begins with all that there is.
    Lost(String),
}

/// What a registry tells from now on; it does not end before the registry does.
pub type Changes = Pin<Box<dyn Stream<Item = Change> + Send>>;

/// Why a registry did not do what it was asked; for the log, as it is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It is not there, or does not answer.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// It answers, and refuses.
    #[error("{0} refuses: {1}")]
    Refused(String, String),
    /// What is to be told is longer than it takes, in bytes.
    #[error("{registry} takes {most} bytes a node, and this one has {bytes}: run fewer services in one host")]
    TooLarge {
        /// Which registry.
        registry: String,
        /// What the node has.
        bytes: usize,
        /// What the registry takes.
        most: usize,
    },
}

/// A way for hosts to find one another.
///
/// Its futures may be dropped at any time. None of them panics or waits for ever: a registry that does
/// not answer within [`PATIENCE`] is unreachable.
pub trait Registry: Send + Sync {
    /// What people call it: `mDNS`, `nats://127.0.0.1:4222`.
    fn name(&self) -> &str;

    /// Makes a node known, in place of what it told before, for as long as `lease`. Called again before
    /// that, with the same node, it renews the lease; after it, it makes the node known again.
    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Says goodbye for a node. One that is not known is no error.
    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Tells what there is, and then what changes. Nodes that this registry itself registered are told
    /// too.
    fn watch(&self) -> Changes;
}

/// How long a registry may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of one node as JSON at most, whoever sends it.
pub const MAX_NODE: usize = 4 << 20;

/// Nodes that are kept at most, whoever tells of them: beyond, new ones are not heard.
pub const MAX_NODES: usize = 100_000;
