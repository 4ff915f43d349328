//! What a host tells others of itself.

use std::collections::BTreeMap;

use super::Running;
use crate::admin::{Snapshot, Standing};
use crate::registry::{Interface, Kind, Method, Node, Service, machine};
use crate::schema::{Fingerprint, MethodKind};
use crate::settings::{Address, Cluster};
use crate::wasm::service::HEALTH;

/// A new id: random, so that no two hosts and no two runs share one.
pub fn id() -> String {
    let mut bytes = [0; 12];
    // Without randomness the process and the time have to do.
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
        bytes[4..].copy_from_slice(&u64::try_from(now.as_nanos()).unwrap_or_default().to_be_bytes());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What there is to tell, but for what is new: its revision.
pub fn node(
    id: &str,
    name: Option<&str>,
    cluster: &Cluster,
    addresses: &[Address],
    running: &[std::sync::Arc<Running>],
    health: &Snapshot,
) -> Node {
    Node {
        id: id.to_owned(),
        name: name.map(str::to_owned),
        addresses: addresses.to_vec(),
        machine: addresses.iter().any(|address| matches!(address, Address::Unix(_))).then(machine).flatten().map(str::to_owned),
        zone: cluster.zone.clone(),
        labels: cluster.labels.clone(),
        revision: 0,
        services: running.iter().map(|running| service(running, health)).collect(),
    }
}

fn service(running: &Running, health: &Snapshot) -> Service {
    let (load, schema) = (&running.load, running.service.schema());
    let method = |service: &str, name: &str, kind: MethodKind, fingerprint: Option<Fingerprint>| Method {
        name: name.to_owned(),
        kind: told(kind),
        fingerprint: fingerprint.map(Fingerprint::bits),
        safe: load.safe.iter().any(|safe| safe.split_once('/') == Some((service, name))),
    };
    let typed = schema.services.iter().map(|of| Interface {
        name: of.name.clone(),
        wit: Some(of.interface.clone()),
        methods: of.methods.iter().map(|typed| method(&of.name, &typed.name, typed.kind, Some(typed.fingerprint))).collect(),
    });
    // What it tells this host of its health is for this host alone.
    let handled = schema.handled.iter().flat_map(|handled| &handled.services).filter(|of| of.name != HEALTH);
    let handled = handled.map(|of| Interface {
        name: of.name.clone(),
        wit: None,
        methods: of.methods.iter().map(|handled| method(&of.name, &handled.name, handled.kind, None)).collect(),
    });
    let everything = (running.service.is_gateway() && load.handles.is_empty()).then(|| "*".to_owned());
    let open = load.handles.iter().cloned().chain(everything).map(|name| Interface { name, wit: None, methods: Vec::new() });
    let interfaces: Vec<Interface> = typed.chain(handled).chain(open).collect();
    let standing = health.standings.get(&load.name);
    let ready = health.is_ready()
        && standing.is_none_or(Standing::is_well)
        && interfaces.iter().all(|interface| health.serving(&interface.name) != Some(false));
    let mut labels = standing.map_or_else(BTreeMap::new, |standing| standing.labels.clone());
    // The last word is whose host it is.
    labels.extend(load.labels.clone());
    Service { name: load.name.clone(), version: running.version().map(str::to_owned), weight: load.weight.0, ready, labels, interfaces }
}

fn told(kind: MethodKind) -> Kind {
    match kind {
        MethodKind::Unary => Kind::Unary,
        MethodKind::ServerStream => Kind::ServerStream,
        MethodKind::ClientStream => Kind::ClientStream,
        MethodKind::BidiStream => Kind::Bidirectional,
    }
}
