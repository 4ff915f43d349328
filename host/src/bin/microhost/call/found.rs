//! The host that is called where none is named: one of those that offer the service.

use std::collections::BTreeMap;
use std::time::Duration;

use microhost::registry::{Address, Kind, Node, Nodes, Offer};
use microhost::schema::MethodKind;
use tokio::time::timeout;

use super::names::{self, Method, Offered};
use super::target::{Target, Version};
use super::tls::Trust;
use crate::discover::Search;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// How long an address may take to answer before the next one is tried.
const REACH: Duration = Duration::from_secs(2);

/// Addresses that are tried at most.
const MAX_TRIED: usize = 32;

/// Hosts that an error lists.
const MAX_LISTED: usize = 20;

/// The name by which a gateway offers whatever nobody else serves.
const ANY: &str = "*";

/// What offers a service, and can be reached.
pub struct Found {
    /// Where.
    pub target: Target,
    /// The service's full name.
    pub service: String,
}

/// Waits until somebody offers the method, and finds a host of those that do and that answers.
pub async fn find(search: &Search, service: &str, method: &str, trust: &Trust) -> Outcome<Found> {
    search.until(|nodes| meant(nodes, service, method).is_ok_and(|service| !ready(nodes, &service).is_empty())).await;
    let nodes = search.nodes();
    if nodes.by_id.is_empty() {
        return Err(search.nobody().await);
    }
    let service = match meant(&nodes, service, method) {
        Ok(service) => service,
        Err(failure) => return Err(search.with_troubles(hosts(failure, nodes.by_id.values().map(|node| &**node))).await),
    };
    let offering = ready(&nodes, &service);
    if offering.is_empty() {
        let failure = Failure::new(Exit::Unreachable, format!("no host that offers {service} is ready for calls"));
        let all = nodes.offering(&service).iter().map(|offer| &*offer.node);
        return Err(hosts(failure, all).advise("`microhost services --discover` tells how they are; the log of each tells why"));
    }
    reach(search, offering, service, trust).await
}

/// The full name of the service that is meant, by what the hosts offer all together.
fn meant(nodes: &Nodes, service: &str, method: &str) -> Outcome<String> {
    let interfaces = nodes.by_id.values().flat_map(|node| &node.services).flat_map(|service| &service.interfaces);
    let mut offered: BTreeMap<&str, Vec<Method>> = BTreeMap::new();
    for interface in interfaces.filter(|interface| interface.name != ANY) {
        let known = offered.entry(&interface.name).or_default();
        for method in &interface.methods {
            if !known.iter().any(|known| known.name == method.name) {
                known.push(Method { name: method.name.clone(), kind: kind(method.kind) });
            }
        }
    }
    // Of some no methods are known: gateways, and servers that a file lists. They say themselves what there is.
    let open = |name: &str| offered.get(name).is_some_and(Vec::is_empty);
    if open(service) {
        return Ok(service.to_owned());
    }
    let all: Vec<Offered> =
        offered.iter().map(|(service, methods)| Offered { service: (*service).to_owned(), methods: methods.clone() }).collect();
    names::resolve(&all, service, method).map(|(service, _)| service.to_owned()).or_else(|failure| {
        let fitting: Vec<&str> = offered.keys().copied().filter(|name| open(name) && names::fits(name, service)).collect();
        match fitting[..] {
            [only] => Ok(only.to_owned()),
            // A gateway takes what nobody else does.
            [] if service.contains('.') && !nodes.offering(service).is_empty() => Ok(service.to_owned()),
            _ => Err(failure),
        }
    })
}

fn kind(kind: Kind) -> MethodKind {
    match kind {
        Kind::Unary => MethodKind::Unary,
        Kind::ServerStream => MethodKind::ServerStream,
        Kind::ClientStream => MethodKind::ClientStream,
        Kind::Bidirectional => MethodKind::BidiStream,
    }
}

/// Who takes calls of a service now.
fn ready<'a>(nodes: &'a Nodes, service: &str) -> Vec<&'a Offer> {
    nodes.offering(service).iter().filter(|offer| offer.service().ready).collect()
}

/// The first address that answers, of hosts in an order by chance: many calls are spread as the weights say.
async fn reach(search: &Search, mut offering: Vec<&Offer>, service: String, trust: &Trust) -> Outcome<Found> {
    offering.sort_by_cached_key(|offer| turn(offer.service().weight, chance()));
    let what = format!("no host that offers {service} can be reached");
    let mut failure = Failure::new(Exit::Unreachable, what).advise("--advertise of `microhost run` tells another address of a host");
    for address in offering.iter().flat_map(|offer| offer.node.ways()).take(MAX_TRIED) {
        let target = match (address, search.tunnels()) {
            (Address::Nats(Some(subject)), Some(tunnels)) => Ok(Target::by_nats("--cluster", tunnels, subject)),
            (Address::Nats(_), _) => {
                failure = failure.note(format!("{address} leads there by a NATS server alone, which --cluster nats://HOST names"));
                continue;
            }
            _ => Target::parse("--peer", &address.to_string(), trust.clone()),
        };
        let target = match target {
            Ok(target) => target,
            Err(why) => {
                failure = failure.told(why);
                continue;
            }
        };
        match timeout(REACH, target.connect(Version::Two)).await {
            Ok(Ok(_)) => return Ok(Found { target, service }),
            Ok(Err(why)) => failure = failure.told(why),
            Err(_) => failure = failure.note(format!("{address} has not answered within {REACH:?}")),
        }
    }
    Err(failure)
}

/// When a host has its turn, which is the sooner the more it weighs; at the end where it weighs nothing. `chance`
/// is in 0 to 1. The same of two hosts comes first as often as its weight has it.
fn turn(weight: u32, chance: f64) -> u64 {
    if weight == 0 { u64::MAX } else { (-(1.0 - chance).ln() / f64::from(weight) * 1e15) as u64 }
}

/// Half where the system has no randomness: then all have their turns by weight alone.
fn chance() -> f64 {
    let mut random = [0; 4];
    match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u32::from_ne_bytes(random)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

/// A failure with hosts and what they offer.
fn hosts<'a>(failure: Failure, nodes: impl Iterator<Item = &'a Node>) -> Failure {
    let mut nodes = nodes.peekable();
    let mut failure = failure;
    for node in nodes.by_ref().take(MAX_LISTED) {
        let at = node.addresses.first().map(|address| format!(" at {address}")).unwrap_or_default();
        let services: Vec<&str> = node.services.iter().map(|service| service.name.as_str()).collect();
        let runs = if services.is_empty() { "no service".to_owned() } else { services.join(", ") };
        failure = failure.note(format!("host {}{at} runs {runs}", node.called()));
    }
    match nodes.count() {
        0 => failure,
        more => failure.note(format!("and {more} hosts more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_turn_as_often_as_its_weight_says() {
        let sooner = (0..10_000).filter(|_| turn(300, chance()) < turn(100, chance())).count();
        assert!((7_200..7_800).contains(&sooner), "{sooner}");
        assert!(turn(0, 0.0) > turn(1, 0.999_999_999));
    }
}
