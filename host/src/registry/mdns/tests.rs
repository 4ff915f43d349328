//! Registries that hear each other over the loopback interface, each as if it were another host's.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use futures::StreamExt;
use tokio::sync::watch;

use super::*;
use crate::registry::conformance::{Suite, fresh};
use crate::registry::fetch::Answer;
use crate::registry::{Address, Change};

pub(super) use crate::registry::conformance::node;

/// Hosts that answer whoever asks them, as long as they are there.
#[derive(Clone, Default)]
struct Network(Arc<watch::Sender<BTreeMap<String, Arc<Node>>>>);

impl Source for Network {
    fn ask<'a>(
        &'a self,
        id: &'a str,
        address: &'a Address,
        after: Option<u64>,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Answer, RegistryError>> {
        Box::pin(async move {
            let mut nodes = self.0.subscribe();
            let news = |node: &Arc<Node>| after.is_none_or(|after| node.revision > after);
            // It changes nothing that it takes longer than the wait.
            let _ = timeout(wait, nodes.wait_for(|nodes| nodes.get(id).is_none_or(news))).await;
            match nodes.borrow().get(id) {
                None => Err(RegistryError::Unreachable(address.to_string(), "nobody is there".into())),
                Some(node) if news(node) => Ok(Answer::Node(Arc::clone(node))),
                Some(_) => Ok(Answer::Unchanged),
            }
        })
    }
}

/// The registry of a host that answers for what it registers.
struct Answering {
    mdns: Mdns,
    network: Network,
}

impl Registry for Answering {
    fn name(&self) -> &str {
        self.mdns.name()
    }

    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.network.0.send_modify(|nodes| drop(nodes.insert(node.id.clone(), Arc::clone(&node))));
        self.mdns.register(node, lease)
    }

    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.mdns.deregister(id)
    }

    fn watch(&self) -> Changes {
        self.mdns.watch()
    }
}

/// A port that nobody else speaks on.
fn port() -> u16 {
    UdpSocket::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}

fn options(port: u16, cluster: &str) -> Options {
    Options { cluster: cluster.to_owned(), networks: Networks::named(&["lo"]), port }
}

fn host(network: &Network, port: u16) -> Answering {
    Answering { mdns: Mdns::asking(options(port, "default"), Arc::new(network.clone())), network: network.clone() }
}

async fn next(changes: &mut Changes) -> Change {
    timeout(Duration::from_secs(30), changes.next()).await.expect("a change comes in time").expect("the watch goes on")
}

/// Something that announces itself as a host, with these words.
fn announce(port: u16, id: &str, words: &[(&str, &str)]) -> ServiceDaemon {
    let daemon = ServiceDaemon::new_with_port(port).expect("a daemon");
    daemon.disable_interface(IfKind::All).expect("room");
    daemon.enable_interface("lo").expect("room");
    let mut info = mdns_sd::ServiceInfo::new(SERVICE, id, "garbage.local.", "127.0.0.1", 9, words).expect("it can be said");
    info.set_requires_probe(false);
    daemon.register(info).expect("room");
    daemon
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract() {
    let (network, port) = (Network::default(), port());
    let suite = Suite { lease: Duration::from_secs(3), nodes: 40, large: 300 << 10 };
    let garbage = async || drop(announce(port, "garbage", &[("id", "garbage"), ("revision", "many"), ("at", "unix:/a")]));
    suite.all(async || host(&network, port), garbage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_answer_any_more_is_gone_within_its_lease() {
    let (network, port) = (Network::default(), port());
    let (one, other) = (host(&network, port), host(&network, port));
    let (id, lease) = (fresh(), Duration::from_secs(2));
    let mut changes = other.watch();
    one.register(Arc::new(node(&id, 1)), lease).await.expect("it registers");
    while !matches!(next(&mut changes).await, Change::Put(put) if put.id == id) {}
    // As killed: it says nothing, and answers nobody.
    one.mdns.shared.own().clear();
    network.0.send_modify(BTreeMap::clear);
    while next(&mut changes).await != Change::Gone(id.clone()) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_another_cluster_are_not_heard() {
    let (network, port) = (Network::default(), port());
    let one = host(&network, port);
    let elsewhere = Mdns::asking(options(port, "elsewhere"), Arc::new(network.clone()));
    let (id, theirs) = (fresh(), fresh());
    let mut changes = elsewhere.watch();
    one.register(Arc::new(node(&id, 1)), Duration::from_secs(60)).await.expect("it registers");
    let two = Answering { mdns: Mdns::asking(options(port, "elsewhere"), Arc::new(network.clone())), network: network.clone() };
    two.register(Arc::new(node(&theirs, 1)), Duration::from_secs(60)).await.expect("it registers");
    loop {
        match next(&mut changes).await {
            Change::Put(node) => break assert_eq!(node.id, theirs),
            Change::Complete => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_announces_the_addresses_of_another_is_not_believed() {
    /// Whoever is asked for, the same host answers.
    struct Always;
    impl Source for Always {
        fn ask<'a>(&'a self, _: &'a str, _: &'a Address, _: Option<u64>, _: Duration) -> BoxFuture<'a, Result<Answer, RegistryError>> {
            Box::pin(async { Ok(Answer::Node(Arc::new(node("victim", 1)))) })
        }
    }
    let port = port();
    let mdns = Mdns::asking(options(port, "default"), Arc::new(Always));
    let mut changes = mdns.watch();
    let words = |id| [("id", id), ("cluster", "default"), ("revision", "1"), ("word", "1")];
    let liar = announce(port, "liar", &words("liar"));
    let victim = announce(port, "victim", &words("victim"));
    loop {
        match next(&mut changes).await {
            Change::Put(node) => break assert_eq!(node.id, "victim"),
            Change::Complete => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(mdns.shared.board.get("liar").is_none());
    drop((liar.shutdown(), victim.shutdown()));
}
