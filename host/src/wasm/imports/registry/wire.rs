//! The types of `microhost:service/registry`, made of what the host knows.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::registry;
use crate::wasm::voices;

// wasmtime wants to be able to read what a stream is made of, hence `Lift` where nothing is read.

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Label {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Kind {
    #[component(name = "unary")]
    Unary,
    #[component(name = "server-stream")]
    ServerStream,
    #[component(name = "client-stream")]
    ClientStream,
    #[component(name = "bidirectional")]
    Bidirectional,
}

impl From<registry::Kind> for Kind {
    fn from(kind: registry::Kind) -> Kind {
        match kind {
            registry::Kind::Unary => Kind::Unary,
            registry::Kind::ServerStream => Kind::ServerStream,
            registry::Kind::ClientStream => Kind::ClientStream,
            registry::Kind::Bidirectional => Kind::Bidirectional,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Method {
    name: String,
    kind: Kind,
    safe: bool,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Summary {
    service: String,
    names: Vec<String>,
    versions: Vec<String>,
    nodes: u32,
    ready: u32,
}

impl Summary {
    pub fn of<'a>(service: &str, offers: impl Iterator<Item = &'a registry::Offer>) -> Summary {
        let (mut names, mut versions, mut nodes, mut ready) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
        for offer in offers.map(registry::Offer::service) {
            nodes += 1;
            ready += u32::from(offer.ready);
            names.insert(offer.name.as_str());
            // By semver where it has one: 1.10 is after 1.9.
            versions.extend(offer.version.as_deref().map(|version| (Version::parse(version).ok(), version)));
        }
        let owned = |text: &str| text.to_owned();
        Summary {
            service: service.to_owned(),
            names: names.into_iter().map(owned).collect(),
            versions: versions.into_iter().map(|(_, version)| owned(version)).collect(),
            nodes,
            ready,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Offer {
    service: String,
    name: String,
    node: String,
    host: Option<String>,
    here: bool,
    addresses: Vec<String>,
    zone: Option<String>,
    version: Option<String>,
    wit: Option<String>,
    weight: u32,
    ready: bool,
    labels: Vec<Label>,
    methods: Vec<Method>,
}

impl Offer {
    /// What a node offers by this full name; `here` where it is this host.
    pub fn of(service: &str, offer: &registry::Offer, here: bool) -> Offer {
        let (node, of, interface) = (&offer.node, offer.service(), offer.interface());
        let mut all = node.labels.clone();
        all.extend(of.labels.clone());
        let method = |method: &registry::Method| Method { name: method.name.clone(), kind: method.kind.into(), safe: method.safe };
        Offer {
            service: service.to_owned(),
            name: of.name.clone(),
            node: node.id.clone(),
            host: node.name.clone(),
            here,
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            zone: node.zone.clone(),
            version: of.version.clone(),
            wit: interface.wit.clone(),
            weight: of.weight,
            ready: of.ready,
            labels: labels(all),
            methods: interface.methods.iter().map(method).collect(),
        }
    }

    /// The id of the node.
    pub fn node(&self) -> &str {
        &self.node
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Gone {
    service: String,
    node: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Change {
    #[component(name = "put")]
    Put(Offer),
    #[component(name = "gone")]
    Gone(Gone),
    #[component(name = "complete")]
    Complete,
}

impl Change {
    pub fn gone(service: String, node: String) -> Change {
        Change::Gone(Gone { service, node })
    }
}

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Error {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "too-many")]
    TooMany(u32),
    #[component(name = "too-many-watches")]
    TooManyWatches(u32),
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub enum LabelError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "invalid-value")]
    InvalidValue(String),
    #[component(name = "too-many")]
    TooMany(u32),
}

impl From<voices::LabelError> for LabelError {
    fn from(error: voices::LabelError) -> LabelError {
        match error {
            voices::LabelError::Name(name) => LabelError::InvalidName(name),
            voices::LabelError::Value(name) => LabelError::InvalidValue(name),
            voices::LabelError::TooMany => LabelError::TooMany(count(voices::MAX_LABELS)),
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Health {
    #[component(name = "serving")]
    Serving,
    #[component(name = "not-serving")]
    NotServing(String),
}

impl From<Health> for Option<String> {
    fn from(health: Health) -> Option<String> {
        match health {
            Health::Serving => None,
            Health::NotServing(why) => Some(why),
        }
    }
}

/// Labels in the order of their names.
pub fn labels(labels: BTreeMap<String, String>) -> Vec<Label> {
    labels.into_iter().map(|(name, value)| Label { name, value }).collect()
}

/// A bound as guests are told it.
pub fn count(bound: usize) -> u32 {
    u32::try_from(bound).unwrap_or(u32::MAX)
}
