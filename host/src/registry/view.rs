//! What this host knows of others: told by registries, kept by nobody else, read on the way of a call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::StreamExt;
use tokio::sync::watch;

use super::{Change, Interface, MAX_NODES, Method, Node, Registry, Service};

/// All nodes that are known, for as long as nothing changes.
#[derive(Debug, Default)]
pub struct Nodes {
    /// By id.
    pub by_id: BTreeMap<String, Arc<Node>>,
    /// By the full name of a service: who offers it. Services that are not ready are among them.
    offers: HashMap<String, Arc<[Offer]>>,
    /// Gateways that take whatever nobody else serves.
    rest: Arc<[Offer]>,
}

/// A service that a node offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Who offers it.
    pub node: Arc<Node>,
    /// The places of the service in the node, and of the interface in the service.
    at: (usize, usize),
}

impl Offer {
    /// The service of the node.
    pub fn service(&self) -> &Service {
        &self.node.services[self.at.0]
    }

    /// What callers call it.
    pub fn interface(&self) -> &Interface {
        &self.service().interfaces[self.at.1]
    }

    /// Whether another one tells the same of where it is, of its service and of what callers call.
    pub(super) fn says_the_same(&self, other: &Offer) -> bool {
        let same_node = || {
            let (node, other) = (&*self.node, &*other.node);
            (&node.id, &node.name, &node.addresses, &node.zone, &node.labels)
                == (&other.id, &other.name, &other.addresses, &other.zone, &other.labels)
        };
        let same_service = || {
            let (service, other) = (self.service(), other.service());
            (&service.name, &service.version, service.weight, service.ready, &service.labels)
                == (&other.name, &other.version, other.weight, other.ready, &other.labels)
        };
        let same = Arc::ptr_eq(&self.node, &other.node) && self.at == other.at;
        same || (same_node() && same_service() && self.interface() == other.interface())
    }

    /// A method of it.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.interface().methods.iter().find(|method| method.name == name)
    }
}

impl Nodes {
    pub(super) fn of(by_id: BTreeMap<String, Arc<Node>>) -> Nodes {
        let mut offers: HashMap<String, Vec<Offer>> = HashMap::new();
        for node in by_id.values() {
            for (place, service) in node.services.iter().enumerate() {
                for (interface, named) in service.interfaces.iter().enumerate() {
                    offers.entry(named.name.clone()).or_default().push(Offer { node: Arc::clone(node), at: (place, interface) });
                }
            }
        }
        let rest = offers.remove(GATEWAY).unwrap_or_default().into();
        Nodes { by_id, offers: offers.into_iter().map(|(name, offers)| (name, offers.into())).collect(), rest }
    }

    /// Who offers the service of this full name, by the ids of the nodes; where nobody does, the gateways
    /// that take what nobody else serves.
    pub fn offering(&self, service: &str) -> &Arc<[Offer]> {
        self.offers.get(service).unwrap_or(&self.rest)
    }

    /// Who offers the service of this full name and no other, by the ids of the nodes; by `*`, the gateways.
    pub(super) fn named(&self, service: &str) -> &[Offer] {
        match self.offers.get(service) {
            Some(offers) => offers,
            None if service == GATEWAY => &self.rest,
            None => &[],
        }
    }

    /// The full names of all services, gateways not among them.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.offers.keys().map(String::as_str)
    }
}

/// The name by which a gateway offers what nobody else serves.
const GATEWAY: &str = "*";

/// What one registry has told.
#[derive(Debug)]
struct Told {
    registry: String,
    nodes: BTreeMap<String, Arc<Node>>,
    /// The nodes that it has told again since it was lost; only with these it goes on once it is complete.
    again: Option<BTreeMap<String, Arc<Node>>>,
    /// Since when it is lost, and why.
    lost: Option<(Instant, String)>,
}

/// What is known of one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub registry: String,
    /// How many nodes it has told of.
    pub nodes: usize,
    /// How old that is, and why it is not newer; `None` where the registry is there.
    pub stale: Option<(Duration, String)>,
}

/// What this host knows of others. Several registries may tell of the same node: the highest revision
/// counts.
#[derive(Debug)]
pub struct View {
    told: Mutex<Vec<Told>>,
    nodes: ArcSwap<Nodes>,
    changed: watch::Sender<u64>,
}

impl Default for View {
    fn default() -> View {
        View { told: Mutex::default(), nodes: ArcSwap::default(), changed: watch::Sender::new(0) }
    }
}

impl View {
    /// What is known now.
    pub fn nodes(&self) -> arc_swap::Guard<Arc<Nodes>> {
        self.nodes.load()
    }

    /// Hears of each change; the number rises. Several changes at once may be heard as one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How the registries are.
    pub fn registries(&self) -> Vec<Known> {
        let known = |told: &Told| Known {
            registry: told.registry.clone(),
            nodes: told.nodes.len(),
            stale: told.lost.as_ref().map(|(since, why)| (since.elapsed(), why.clone())),
        };
        self.told().iter().map(known).collect()
    }

    /// Takes in all that a registry tells, until it ends.
    pub async fn follow(&self, registry: &dyn Registry) {
        let place = {
            let mut told = self.told();
            // It has told nothing yet.
            let again = Some(BTreeMap::new());
            told.push(Told { registry: registry.name().to_owned(), nodes: BTreeMap::new(), again, lost: None });
            told.len() - 1
        };
        let mut changes = registry.watch();
        while let Some(change) = changes.next().await {
            self.take(place, change);
            // What came at the same time is made known at once.
            while let Some(Some(change)) = futures::FutureExt::now_or_never(changes.next()) {
                self.take(place, change);
            }
            self.publish();
        }
    }

    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().expect("no holder panics")
    }

    fn take(&self, place: usize, change: Change) {
        let mut told = self.told();
        let told = &mut told[place];
        match change {
            Change::Put(node) if told.nodes.len() >= MAX_NODES && !told.nodes.contains_key(&node.id) => {
                tracing::warn!(registry = told.registry, node = node.id, "more than {MAX_NODES} nodes: this one is not heard");
            }
            Change::Put(node) => {
                if let Some(again) = &mut told.again {
                    again.insert(node.id.clone(), Arc::clone(&node));
                }
                told.nodes.insert(node.id.clone(), node);
            }
            Change::Gone(id) => {
                told.nodes.remove(&id);
                if let Some(again) = &mut told.again {
                    again.remove(&id);
                }
            }
            Change::Complete => {
                told.nodes = told.again.take().unwrap_or_else(|| std::mem::take(&mut told.nodes));
                if let Some((since, _)) = told.lost.take() {
                    tracing::info!(registry = told.registry, seconds = since.elapsed().as_secs_f64(), "the registry is back");
                }
            }
            Change::Lost(why) => {
                told.again = Some(BTreeMap::new());
                if told.lost.is_none() {
                    tracing::warn!(registry = told.registry, why, "the registry is lost; the nodes that were known stay known");
                    told.lost = Some((Instant::now(), why));
                }
            }
        }
    }

    fn publish(&self) {
        let mut all: BTreeMap<String, Arc<Node>> = BTreeMap::new();
        for told in self.told().iter() {
            for (id, node) in &told.nodes {
                match all.get(id) {
                    Some(other) if other.revision >= node.revision => {}
                    _ => drop(all.insert(id.clone(), Arc::clone(node))),
                }
            }
        }
        if all != self.nodes.load().by_id {
            self.nodes.store(Arc::new(Nodes::of(all)));
        }
        // Also where only a registry's own state has changed.
        self.changed.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use futures::future::BoxFuture;
    use futures::stream;

    use super::*;
    use crate::registry::{Changes, RegistryError};

    /// Tells what the test says.
    struct Script(Mutex<Option<mpsc::UnboundedReceiver<Change>>>);

    impl Registry for Script {
        fn name(&self) -> &str {
            "script"
        }

        fn register(&self, _: Arc<Node>, _: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
            Box::pin(async { Ok(()) })
        }

        fn deregister(&self, _: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
            Box::pin(async { Ok(()) })
        }

        fn watch(&self) -> Changes {
            match self.0.lock().expect("no holder panics").take() {
                Some(changes) => Box::pin(changes),
                None => Box::pin(stream::empty()),
            }
        }
    }

    fn node(id: &str, revision: u64, service: &str) -> Change {
        let interface = Interface { name: service.into(), wit: None, methods: Vec::new() };
        let service =
            Service { name: "s".into(), version: None, weight: 1, ready: true, labels: BTreeMap::new(), interfaces: vec![interface] };
        let (name, zone, labels) = (None, None, BTreeMap::new());
        Change::Put(Arc::new(Node {
            id: id.into(),
            name,
            addresses: Vec::new(),
            machine: None,
            zone,
            labels,
            revision,
            services: vec![service],
        }))
    }

    async fn told(changes: Vec<Change>) -> View {
        let (say, changes_to_tell) = mpsc::unbounded();
        changes.into_iter().for_each(|change| say.unbounded_send(change).expect("it listens"));
        drop(say);
        let view = View::default();
        view.follow(&Script(Mutex::new(Some(changes_to_tell)))).await;
        view
    }

    fn ids(view: &View, service: &str) -> Vec<String> {
        view.nodes().offering(service).iter().map(|offer| offer.node.id.clone()).collect()
    }

    #[tokio::test]
    async fn a_service_is_found_at_all_nodes_that_offer_it() {
        let view = told(vec![node("b", 1, "x.Y"), node("a", 1, "x.Y"), node("c", 1, "x.Z"), Change::Complete]).await;
        assert_eq!((ids(&view, "x.Y"), ids(&view, "x.Z"), ids(&view, "x.W")), (vec!["a".into(), "b".into()], vec!["c".into()], vec![]));
    }

    #[tokio::test]
    async fn a_gateway_takes_what_nobody_else_offers() {
        let view = told(vec![node("a", 1, "*"), node("b", 1, "x.Y"), Change::Complete]).await;
        assert_eq!((ids(&view, "x.Y"), ids(&view, "x.Z")), (vec!["b".to_owned()], vec!["a".to_owned()]));
    }

    #[tokio::test]
    async fn nodes_of_a_lost_registry_stay_until_it_is_back_without_them() {
        let before = vec![node("a", 1, "x.Y"), node("b", 1, "x.Y"), Change::Complete, Change::Lost("gone".into()), node("b", 2, "x.Y")];
        let view = told(before.clone()).await;
        assert_eq!(ids(&view, "x.Y"), ["a", "b"]);
        assert!(view.registries()[0].stale.as_ref().is_some_and(|(_, why)| why == "gone"));
        let view = told(before.into_iter().chain([Change::Complete]).collect()).await;
        assert_eq!(ids(&view, "x.Y"), ["b"]);
        assert_eq!(view.registries()[0].stale, None);
    }

    #[tokio::test]
    async fn a_goodbye_is_heard() {
        let view = told(vec![node("a", 1, "x.Y"), Change::Complete, Change::Gone("a".into())]).await;
        assert_eq!(ids(&view, "x.Y"), Vec::<String>::new());
    }
}
