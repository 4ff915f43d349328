//! What a host tells others of itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Running;
use crate::admin::{Snapshot, Standing};
use crate::registry::mdns::Networks;
use crate::registry::{Interface, Kind, Method, Node, Service};
use crate::schema::{Fingerprint, MethodKind};
use crate::settings::{Address, Cluster, Subject};
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

/// Where others reach a host that listens at `bound`: what the user says; else that address, or, where it
/// listens everywhere, those of the machine that others may have a way to, and last the subject at which it
/// listens by NATS.
pub fn addresses(cluster: &Cluster, bound: SocketAddr, tls: bool, subject: Option<&Subject>) -> Vec<Address> {
    let by_nats = || subject.map(|subject| Address::Nats(Some(subject.clone())));
    if !cluster.advertise.is_empty() {
        let said = cluster.advertise.iter().cloned();
        return said.filter_map(|address| if matches!(address, Address::Nats(_)) { by_nats() } else { Some(address) }).collect();
    }
    found(cluster, bound, tls).into_iter().chain(by_nats()).collect()
}

fn found(cluster: &Cluster, bound: SocketAddr, tls: bool) -> Vec<Address> {
    let at = |ip: IpAddr| Address::Tcp { host: ip.to_string(), port: bound.port(), tls };
    if !bound.ip().is_unspecified() {
        return vec![at(bound.ip())];
    }
    let mut found: Vec<IpAddr> = interfaces(cluster).into_iter().filter(|ip| bound.is_ipv6() || ip.is_ipv4()).collect();
    // The fewest surprises first: what has a way out, then the rest.
    let way_out = way_out();
    found.sort_by_key(|ip| (Some(*ip) != way_out, ip.is_ipv6(), *ip));
    if found.is_empty() {
        found.push(if bound.is_ipv6() { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() });
    }
    found.into_iter().map(at).collect()
}

/// The address that this machine has towards others. Nothing is sent for it.
fn way_out() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Of the block for documentation (RFC 5737): it is routed as any other address outside is.
    socket.connect(("203.0.113.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The addresses of the machine's interfaces that are up, without those that nobody else can have a way
/// to: loopback, link-local ones of version 6, which need a scope, and bridges of containers.
fn interfaces(cluster: &Cluster) -> Vec<IpAddr> {
    let Ok(all) = if_addrs::get_if_addrs() else { return Vec::new() };
    let networks = Networks::named(&cluster.interfaces);
    let all = all.into_iter().filter(|interface| !interface.is_loopback() && networks.reach(interface));
    all.map(|interface| interface.ip()).filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(advertise: &[&str], subject: Option<&Subject>) -> Vec<String> {
        let advertise = advertise.iter().map(|url| url.parse().expect(url)).collect();
        let cluster = Cluster { advertise, ..Cluster::default() };
        let bound = SocketAddr::from(([127, 0, 0, 1], 8080));
        addresses(&cluster, bound, false, subject).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_host_tells_that_it_is_reached_by_nats_last_unless_the_user_says_where_it_is() {
        let subject = Subject::of_host(&"a".parse().expect("a name"), "b");
        let by_nats = "nats:microhost.a.host.b";
        assert_eq!(told(&[], None), ["http://127.0.0.1:8080"]);
        assert_eq!(told(&[], Some(&subject)), ["http://127.0.0.1:8080", by_nats]);
        assert_eq!(told(&["http://10.0.0.5:80"], Some(&subject)), ["http://10.0.0.5:80"]);
        assert_eq!(told(&["nats:"], Some(&subject)), [by_nats]);
        assert_eq!(told(&["nats:", "http://10.0.0.5:80"], Some(&subject)), [by_nats, "http://10.0.0.5:80"]);
        assert_eq!(told(&["nats:"], None), [""; 0]);
    }
}
