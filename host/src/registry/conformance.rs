//! The contract of [`Registry`] as tests, which every backend runs: what holds for one holds for all.
//!
//! A backend calls [`Suite::all`] with a function that gives it one more host's registry, and another
//! that puts what is no node where its nodes are. Claims use nodes of their own, so that a registry
//! which keeps something from one claim to the next, or is shared, passes too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;

use super::{Change, Changes, Interface, Kind, LEASE, Method, Node, Registry, Service, USUAL_WEIGHT};

/// How long anything may take to be heard, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

/// What a backend is asked.
pub(crate) struct Suite {
    /// A lease that the backend keeps to; a short one, where it has a real clock.
    pub(crate) lease: Duration,
    /// How many nodes are to arrive at once.
    pub(crate) nodes: usize,
    /// How large a node is to arrive whole, in bytes of JSON.
    pub(crate) large: usize,
}

/// A node that serves something.
pub(crate) fn node(id: &str, revision: u64) -> Node {
    let method = Method { name: "Charge".into(), kind: Kind::Unary, fingerprint: Some(u64::MAX - revision), safe: true };
    let interface =
        Interface { name: "shop.payments.Payment".into(), wit: Some("shop:payments/payment@1.2.0".into()), methods: vec![method] };
    let service = Service {
        name: "payments".into(),
        version: Some("1.2.3".into()),
        weight: USUAL_WEIGHT,
        ready: true,
        labels: BTreeMap::from([("track".into(), "canary".into())]),
        interfaces: vec![interface],
    };
    Node {
        id: id.to_owned(),
        name: Some("a host".into()),
        addresses: vec!["http://127.0.0.1:9".parse().expect("an address")],
        machine: None,
        zone: Some("a".into()),
        labels: BTreeMap::from([("\u{fc}ber".into(), "\"quoted\" and\nbroken".into())]),
        revision,
        services: vec![service],
    }
}

/// A node whose JSON has at least so many bytes.
pub(crate) fn large(id: &str, bytes: usize) -> Node {
    let mut node = node(id, 1);
    let one = node.services[0].clone();
    let size = serde_json::to_vec(&one).expect("JSON").len();
    node.services = (0..=bytes / size).map(|number| Service { name: format!("service-{number}"), ..one.clone() }).collect();
    node
}

/// An id that no other claim has.
pub(crate) fn fresh() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("randomness");
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

/// Watches a registry, and hears only of the nodes that the claim is about.
pub(crate) struct Watching {
    changes: Changes,
    about: BTreeSet<String>,
}

impl Watching {
    pub(crate) fn new<'a>(registry: &dyn Registry, about: impl IntoIterator<Item = &'a str>) -> Watching {
        Watching { changes: registry.watch(), about: about.into_iter().map(str::to_owned).collect() }
    }

    /// The next change that is about these nodes, or about the registry itself.
    pub(crate) async fn next(&mut self) -> Change {
        loop {
            let change = timeout(LIMIT, self.changes.next()).await.expect("a change comes in time").expect("the watch goes on");
            match &change {
                Change::Put(node) if !self.about.contains(&node.id) => {}
                Change::Gone(id) if !self.about.contains(id) => {}
                _ => return change,
            }
        }
    }

    /// Waits for a node with this revision, and takes no other change for it.
    pub(crate) async fn put(&mut self, id: &str, revision: u64) -> Arc<Node> {
        loop {
            match self.next().await {
                // Told again: a backend may not know that it has told it.
                Change::Put(node) if node.id == id && node.revision < revision => {}
                Change::Put(node) if node.id == id && node.revision == revision => return node,
                Change::Complete => {}
                other => panic!("{id} with revision {revision} is awaited, and not {other:?}"),
            }
        }
    }

    /// Waits for a goodbye.
    pub(crate) async fn gone(&mut self, id: &str) {
        loop {
            match self.next().await {
                Change::Gone(gone) if gone == id => return,
                Change::Put(node) if node.id == id => {}
                Change::Complete => {}
                other => panic!("that {id} goes is awaited, and not {other:?}"),
            }
        }
    }

    /// Waits for all that there is, and gives the nodes that the claim is about.
    pub(crate) async fn snapshot(&mut self) -> BTreeMap<String, Arc<Node>> {
        let mut nodes = BTreeMap::new();
        loop {
            match self.next().await {
                Change::Put(node) => drop(nodes.insert(node.id.clone(), node)),
                Change::Gone(id) => drop(nodes.remove(&id)),
                Change::Complete => return nodes,
                Change::Lost(why) => panic!("the registry is lost: {why}"),
            }
        }
    }
}

impl Suite {
    /// Holds a backend to the whole contract. `host` gives the registry of one more host; `garbage` puts
    /// what is no node where the backend's nodes are.
    pub(crate) async fn all<R: Registry>(&self, host: impl AsyncFn() -> R, garbage: impl AsyncFn()) {
        self.a_snapshot_comes_first(&host().await, &host().await).await;
        self.changes_come_in_order(&host().await, &host().await).await;
        self.a_lease_runs_out_and_a_renewed_one_does_not(&host().await, &host().await).await;
        self.several_hear_the_same(&host().await).await;
        self.a_watch_that_is_dropped_is_no_harm(&host().await).await;
        self.large_and_many_nodes_arrive_whole(&host().await, &host().await).await;
        let (one, other) = (host().await, host().await);
        garbage().await;
        self.changes_come_in_order(&one, &other).await;
        self.a_snapshot_comes_first(&host().await, &host().await).await;
    }

    async fn register(&self, registry: &dyn Registry, node: Node) -> Arc<Node> {
        let node = Arc::new(node);
        registry.register(Arc::clone(&node), self.lease).await.expect("it registers");
        node
    }

    /// Another host's nodes, and one's own, are told before `Complete`; what is unknown may be
    /// deregistered.
    async fn a_snapshot_comes_first(&self, one: &dyn Registry, other: &dyn Registry) {
        let (own, foreign) = (fresh(), fresh());
        let mut early = Watching::new(one, [own.as_str(), &foreign]);
        assert_eq!(early.snapshot().await, BTreeMap::new(), "an empty registry is complete too");
        let nodes = [self.register(one, node(&own, 1)).await, self.register(other, node(&foreign, 1)).await];
        let mut heard = BTreeMap::new();
        while heard.len() < nodes.len() {
            if let Change::Put(node) = early.next().await {
                heard.insert(node.id.clone(), node);
            }
        }
        let expected: BTreeMap<_, _> = nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
        assert_eq!(heard, expected, "each field arrives as it was told");
        assert_eq!(Watching::new(one, [own.as_str(), &foreign]).snapshot().await, expected);
        one.deregister(&fresh()).await.expect("what is unknown is no error");
        for (registry, id) in [(one, &own), (other, &foreign)] {
            registry.deregister(id).await.expect("it says goodbye");
            registry.deregister(id).await.expect("twice is no error");
        }
    }

    /// A node is put, changed, goes, and comes back; others hear just that.
    async fn changes_come_in_order(&self, one: &dyn Registry, other: &dyn Registry) {
        let id = fresh();
        let mut watching = Watching::new(other, [id.as_str()]);
        watching.snapshot().await;
        for revision in 1..=3 {
            let told = self.register(one, node(&id, revision)).await;
            assert_eq!(watching.put(&id, revision).await, told);
        }
        one.deregister(&id).await.expect("it says goodbye");
        watching.gone(&id).await;
        self.register(one, node(&id, 4)).await;
        watching.put(&id, 4).await;
        one.deregister(&id).await.expect("it says goodbye");
        watching.gone(&id).await;
    }

    /// Of two nodes, the one that is renewed stays when the other's lease has run out, and the other can
    /// come back.
    async fn a_lease_runs_out_and_a_renewed_one_does_not(&self, one: &dyn Registry, other: &dyn Registry) {
        let (left, kept) = (fresh(), fresh());
        let mut watching = Watching::new(other, [left.as_str(), &kept]);
        watching.snapshot().await;
        self.register(one, node(&left, 1)).await;
        watching.put(&left, 1).await;
        let renewed = self.register(one, node(&kept, 1)).await;
        watching.put(&kept, 1).await;
        let renewing = async {
            // As hosts do it: three signs of life in the time of a lease.
            let mut ticks = tokio::time::interval(self.lease / 3);
            loop {
                ticks.tick().await;
                one.register(Arc::clone(&renewed), self.lease).await.expect("it renews");
            }
        };
        let watched = async {
            watching.gone(&left).await;
            self.register(one, node(&left, 2)).await;
            watching.put(&left, 2).await;
            watching.gone(&left).await;
        };
        tokio::select! {
            () = watched => {}
            () = renewing => {}
        }
        watching.gone(&kept).await;
    }

    /// Watchers do not take from one another.
    async fn several_hear_the_same(&self, one: &dyn Registry) {
        let id = fresh();
        let mut watching: Vec<Watching> = (0..3).map(|_| Watching::new(one, [id.as_str()])).collect();
        self.register(one, node(&id, 1)).await;
        for watching in &mut watching {
            watching.put(&id, 1).await;
        }
        one.deregister(&id).await.expect("it says goodbye");
        for watching in &mut watching {
            watching.gone(&id).await;
        }
    }

    /// A watch may be dropped at any time, read or not.
    async fn a_watch_that_is_dropped_is_no_harm(&self, one: &dyn Registry) {
        let id = fresh();
        drop(one.watch());
        let mut read = Watching::new(one, [id.as_str()]);
        read.snapshot().await;
        drop(read);
        let mut watching = Watching::new(one, [id.as_str()]);
        self.register(one, node(&id, 1)).await;
        watching.put(&id, 1).await;
        one.deregister(&id).await.expect("it says goodbye");
    }

    /// Neither size nor number loses anything.
    async fn large_and_many_nodes_arrive_whole(&self, one: &dyn Registry, other: &dyn Registry) {
        let ids: BTreeSet<String> = (0..self.nodes).map(|_| fresh()).collect();
        let large_one = fresh();
        let about = || ids.iter().map(String::as_str).chain([large_one.as_str()]);
        let mut watching = Watching::new(other, about());
        watching.snapshot().await;
        // These are to last until all have been heard, whatever the lease that others are lost by.
        let lease = self.lease.max(LEASE * 4);
        let told = Arc::new(large(&large_one, self.large));
        let mut nodes = BTreeMap::from([(large_one.clone(), Arc::clone(&told))]);
        nodes.extend(ids.iter().map(|id| (id.clone(), Arc::new(node(id, 1)))));
        for node in nodes.values() {
            one.register(Arc::clone(node), lease).await.expect("it registers");
        }
        let mut heard = BTreeMap::new();
        while heard.len() < nodes.len() {
            match watching.next().await {
                Change::Put(node) => drop(heard.insert(node.id.clone(), node)),
                Change::Complete => {}
                other => panic!("nodes are awaited, and not {other:?}"),
            }
        }
        // Not compared by `assert_eq`, which would print them all.
        assert!(heard == nodes, "each node is as it was told");
        assert!(Watching::new(one, about()).snapshot().await == nodes, "a snapshot has them all");
        for id in nodes.keys() {
            one.deregister(id).await.expect("it says goodbye");
        }
        while let Some(id) = heard.keys().next().cloned() {
            let Change::Gone(gone) = watching.next().await else { continue };
            heard.remove(&gone).unwrap_or_else(|| panic!("{id} is awaited, and {gone} is not known"));
        }
    }
}
