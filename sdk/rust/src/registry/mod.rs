//! Which services there are, in this host and in all others that it knows of, and what this service says of
//! itself there.
//!
//! What others offer is told where the settings of the host grant it: `registry = true` under
//! `[service.NAME.grants]`, or `--allow-registry`. To call a service none of it is needed: calls find their
//! way themselves.
//!
//! ```
//! use microhost_sdk::{Status, registry};
//!
//! /// Where payments are taken now.
//! async fn payments() -> Result<Vec<String>, Status> {
//!     let offers = registry::look_up("shop.payments.Payment")?;
//!     Ok(offers.into_iter().filter(|offer| offer.ready).flat_map(|offer| offer.addresses).collect())
//! }
//!
//! /// Logs who comes and goes, for as long as the service runs.
//! async fn follow() -> Result<(), Status> {
//!     let mut changes = registry::watch("shop.payments.Payment")?;
//!     while let Some(change) = changes.next().await {
//!         match change {
//!             registry::Change::Put(offer) => log::info!("{} offers it", offer.node),
//!             registry::Change::Gone { node, .. } => log::info!("{node} is gone"),
//!             registry::Change::Complete => log::info!("these are all that there are"),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What a service says of itself needs no grant. Labels stand beside those of its settings, and callers can
//! choose by them:
//!
//! ```
//! use microhost_sdk::registry::{self, Health};
//!
//! # fn warm() -> Result<(), registry::LabelError> {
//! registry::set_label("cache", "warm")?;
//! // Others are called in its place until it says that it serves again.
//! registry::report_health(Health::NotServing("the index is being made anew".to_owned()));
//! # Ok(())
//! # }
//! ```
//!
//! In a service's own tests there is no host: no service is there, and what is said is heard by nobody.

use std::collections::BTreeMap;

mod error;
mod host;

pub use error::{Error, LabelError};

/// A service, wherever it is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its full name: `shop.payments.Payment`.
    pub name: String,
    /// What its hosts call those that offer it, by their settings: `payments`.
    pub called: Vec<String>,
    /// The versions that are offered, the lowest first.
    pub versions: Vec<String>,
    /// How many nodes offer it.
    pub nodes: u32,
    /// How many of them take calls now.
    pub ready: u32,
}

/// A service, as one node offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The full name of the service: `shop.payments.Payment`.
    pub service: String,
    /// What its host calls it, by its settings: `payments`.
    pub name: String,
    /// The id of the node: another one each time that the host starts.
    pub node: String,
    /// What people call the host, if its settings say.
    pub host: Option<String>,
    /// It is offered by this very host.
    pub here: bool,
    /// Where the host takes calls, the best first: `http://10.0.0.7:8080`.
    pub addresses: Vec<String>,
    /// Where the host stands: a data centre, a rack.
    pub zone: Option<String>,
    /// The version of the service.
    pub version: Option<String>,
    /// The WIT interface that it is: `shop:payments/payment@1.2.0`.
    pub wit: Option<String>,
    /// How many calls it is to get, beside others with the same weight; none for 0.
    pub weight: u32,
    /// Takes calls now.
    pub ready: bool,
    /// The labels of the service, and those of its host under other names.
    pub labels: BTreeMap<String, String>,
    /// Its methods; none for a gateway, which takes any.
    pub methods: Vec<Method>,
}

/// A method of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name: `Charge`.
    pub name: String,
    /// Which side sends more than one message.
    pub kind: Kind,
    /// Free of side effects: may be tried again.
    pub safe: bool,
}

/// Which side of a method sends more than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An offer is new, or is another now.
    Put(Offer),
    /// A node offers a service no more, or is gone.
    Gone {
        /// The full name of the service.
        service: String,
        /// The id of the node.
        node: String,
    },
    /// All that there was when the watch began has been told.
    Complete,
}

/// Whether a service is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is.
    Serving,
    /// It is not, for this reason. A long one is cut.
    NotServing(String),
}

/// All services, by name. Gateways are not among them.
pub fn list() -> Result<Vec<Service>, Error> {
    host::list()
}

/// Who offers the service of this full name, those that take no calls too; nothing where nobody does. The
/// name `*` stands for the gateways that take what nobody else offers.
pub fn look_up(service: &str) -> Result<Vec<Offer>, Error> {
    host::look_up(service)
}

/// Tells who offers the service of this full name, and what changes from then on.
pub fn watch(service: &str) -> Result<Changes, Error> {
    Ok(Changes(host::watch(Some(service))?))
}

/// Tells who offers what, and what changes from then on.
pub fn watch_all() -> Result<Changes, Error> {
    Ok(Changes(host::watch(None)?))
}

/// What a watch tells: all that there is, [`Change::Complete`], and then each change. Dropping it ends the
/// watch.
///
/// Who reads slowly is not told each step of what has changed several times, but how it is at last.
#[must_use = "dropping it ends the watch"]
pub struct Changes(host::Changes);

impl Changes {
    /// The next change, waited for. None only where there is no host, or where it ends.
    pub async fn next(&mut self) -> Option<Change> {
        self.0.next().await
    }
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

/// The labels that this service has given itself.
pub fn labels() -> BTreeMap<String, String> {
    host::labels()
}

/// Gives this service a label, in place of the one of the same name; for as long as this version of it runs,
/// whichever of its instances has said so. Where its settings have a label of this name, others see that one.
pub fn set_label(name: impl Into<String>, value: impl Into<String>) -> Result<(), LabelError> {
    host::set_label(name.into(), value.into())
}

/// Takes a label back that this service has given itself. One that it has not is no error.
pub fn remove_label(name: &str) {
    host::remove_label(name);
}

/// Says whether this service is to be called. It is not while any of its instances says so: others are
/// called in its place, here and on other hosts. The word of an instance ends with the instance.
pub fn report_health(health: Health) {
    host::report_health(health);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_nobody_is_there_and_nobody_hears() {
        assert_eq!((list(), look_up("a.B"), labels()), (Ok(Vec::new()), Ok(Vec::new()), BTreeMap::new()));
        assert_eq!(set_label("a", "b"), Ok(()));
        remove_label("a");
        report_health(Health::Serving);
        assert!(watch("a.B").is_ok() && watch_all().is_ok());
    }
}
