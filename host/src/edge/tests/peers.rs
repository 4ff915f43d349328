//! Hosts that tell one another of themselves, each by a real listener.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::*;
use crate::registry::conformance::{Suite, Watching, node};
use crate::registry::{Address, Change, Changes, Node, Peers, Registry, RegistryError};

/// Short, for a real clock; long enough for a machine that does much else.
const LEASE: Duration = Duration::from_secs(2);

/// A host: its page, what it tells there, and whom it follows.
struct Member {
    edge: TestEdge,
    peers: Arc<Peers>,
    node: watch::Sender<Arc<Node>>,
}

impl Member {
    async fn start(id: &str, cluster: &str, list: Vec<Address>) -> Member {
        Member::at(([127, 0, 0, 1], 0).into(), id, cluster, list).await
    }

    async fn at(place: SocketAddr, id: &str, cluster: &str, list: Vec<Address>) -> Member {
        let edge = TestEdge::at(place);
        let addresses = vec![format!("http://{}", edge.address()).parse().expect("an address")];
        let node = watch::Sender::new(Arc::new(Node { addresses, ..node(id, 1) }));
        let peers = Arc::new(Peers::new(cluster, list, LEASE));
        edge.overview.meet(peers.clone());
        edge.overview.tell(node.subscribe());
        let member = Member { edge, peers, node };
        member.register().await;
        member
    }

    fn address(&self) -> Address {
        self.node.borrow().addresses[0].clone()
    }

    /// Tells a new revision.
    fn change(&self, revision: u64) {
        self.node.send_modify(|node| *node = Arc::new(Node { revision, ..(**node).clone() }));
    }

    async fn register(&self) {
        let node = Arc::clone(&self.node.borrow());
        self.peers.register(node, Duration::from_secs(600)).await.expect("it registers");
    }
}

fn ask(query: &str) -> Request<Bytes> {
    get(&format!("/_microhost/node{query}"))
}

#[tokio::test]
async fn the_page_tells_what_is_new_and_waits_where_nothing_is() {
    let member = Member::start("a", "c", Vec::new()).await;
    let answer = member.edge.send(ask("")).await;
    assert_eq!((answer.status(), answer.header("etag"), answer.header("cache-control")), (200, "\"1\"", "no-store"));
    assert_eq!(answer.json()["id"], "a");
    assert_eq!(member.edge.send(ask("?id=a&after=1")).await.status(), 304);
    assert_eq!(member.edge.send(ask("?after=1&wait=0.01")).await.status(), 304);
    // Another run of the host may have begun to count anew.
    assert_eq!(member.edge.send(ask("?id=other&after=7&wait=30")).await.status(), 200);
    let change = async { member.change(2) };
    let (answer, ()) = tokio::join!(member.edge.send(ask("?id=a&after=1&wait=30")), change);
    assert_eq!((answer.status(), answer.header("etag")), (200, "\"2\""));
    for wrong in ["?after=x", "?wait=-1", "?wait=soon"] {
        assert_eq!(member.edge.send(ask(wrong)).await.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_host_that_tells_nothing_has_no_page_and_pages_of_the_web_may_not_read_it() {
    let edge = TestEdge::start();
    assert_eq!(edge.send(ask("")).await.status(), 404);
    let member = Member::start("a", "c", Vec::new()).await;
    let mut request = ask("");
    request.headers_mut().insert("origin", "https://evil.example".parse().expect("valid"));
    assert_eq!(member.edge.send(request).await.status(), 403);
}

#[tokio::test]
async fn who_waits_hears_at_once_that_a_host_leaves() {
    for drains in [true, false] {
        let member = Member::start("a", "c", Vec::new()).await;
        let leave = async {
            if drains {
                member.edge.overview.health.enter(Phase::Draining);
            } else {
                member.peers.deregister("a").await.expect("it says goodbye");
            }
        };
        let (answer, ()) = tokio::join!(member.edge.send(ask("?id=a&after=1&wait=30")), leave);
        assert_eq!(answer.status(), 410);
    }
}

#[tokio::test]
async fn a_host_that_does_not_renew_its_lease_tells_nothing_until_it_does() {
    let member = Member::start("a", "c", Vec::new()).await;
    let node = member.node.borrow().clone();
    member.peers.register(node, Duration::ZERO).await.expect("it registers");
    assert_eq!(member.edge.send(ask("")).await.status(), 503);
    member.register().await;
    assert_eq!(member.edge.send(ask("")).await.status(), 200);
}

#[tokio::test]
async fn one_address_makes_two_hosts_known_to_each_other() {
    let first = Member::start("a", "c", Vec::new()).await;
    let second = Member::start("b", "c", vec![first.address()]).await;
    Watching::new(&*second.peers, ["a"]).put("a", 1).await;
    let mut watching = Watching::new(&*first.peers, ["b"]);
    watching.put("b", 1).await;
    second.change(2);
    watching.put("b", 2).await;
    // One that asks no more is forgotten, even if it could be reached.
    second.peers.set(Vec::new());
    watching.gone("b").await;
}

#[tokio::test]
async fn hosts_of_another_cluster_are_not_seen() {
    let (other, ours) = (Member::start("a", "theirs", Vec::new()).await, Member::start("b", "ours", Vec::new()).await);
    let asking = Member::start("c", "ours", vec![other.address(), ours.address()]).await;
    let nodes = Watching::new(&*asking.peers, ["a", "b", "c"]).snapshot().await;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn a_goodbye_is_heard_at_once_and_a_dead_host_is_gone_after_its_lease() {
    let (leaving, dying) = (Member::start("a", "c", Vec::new()).await, Member::start("b", "c", Vec::new()).await);
    let asking = Member::start("c", "c", vec![leaving.address(), dying.address()]).await;
    let mut watching = Watching::new(&*asking.peers, ["a", "b"]);
    watching.snapshot().await;
    let began = Instant::now();
    leaving.peers.deregister("a").await.expect("it says goodbye");
    watching.gone("a").await;
    assert!(began.elapsed() < LEASE, "a goodbye is not waited for");
    let place = dying.edge.address();
    drop(dying);
    watching.gone("b").await;
    // Another run of it, at the same place.
    let again = Member::at(place, "d", "c", Vec::new()).await;
    let mut watching = Watching::new(&*asking.peers, ["d"]);
    watching.put("d", 1).await;
    drop(again);
    watching.gone("d").await;
}

#[tokio::test]
async fn a_host_with_several_addresses_goes_when_the_last_of_them_does() {
    let member = Member::start("a", "c", Vec::new()).await;
    let port = member.edge.address().port();
    let by_name: Address = format!("http://localhost:{port}").parse().expect("an address");
    let asking = Peers::new("c", vec![member.address(), by_name.clone()], LEASE);
    let mut watching = Watching::new(&asking, ["a"]);
    assert_eq!(watching.snapshot().await.len(), 1);
    asking.set(vec![by_name]);
    member.change(2);
    watching.put("a", 2).await;
    asking.set(Vec::new());
    watching.gone("a").await;
}

#[tokio::test]
async fn a_list_without_anybody_is_complete() {
    let peers = Peers::new("c", vec!["http://127.0.0.1:1".parse().expect("an address")], LEASE);
    assert_eq!(Watching::new(&peers, []).snapshot().await.len(), 0);
    assert_eq!(Watching::new(&Peers::new("c", Vec::new(), LEASE), []).snapshot().await.len(), 0);
}

/// The hosts of a network, each at an address of its own.
#[derive(Default)]
struct Network {
    members: Mutex<HashMap<String, (Member, AbortHandle)>>,
    watching: Mutex<Vec<Arc<Peers>>>,
    /// Addresses of what is no host.
    strange: Mutex<Vec<Address>>,
}

impl Network {
    fn members(&self) -> MutexGuard<'_, HashMap<String, (Member, AbortHandle)>> {
        self.members.lock().expect("no holder panics")
    }

    fn addresses(&self) -> Vec<Address> {
        let strange = self.strange.lock().expect("no holder panics").clone();
        let place = |member: &Member| format!("http://{}", member.edge.address()).parse().expect("an address");
        self.members().values().map(|(member, _)| place(member)).chain(strange).collect()
    }

    /// One more who follows all who are there.
    fn watcher(&self) -> Arc<Peers> {
        let peers = Arc::new(Peers::new("c", self.addresses(), LEASE));
        self.watching.lock().expect("no holder panics").push(peers.clone());
        peers
    }

    /// Has all who watch follow all who are there.
    fn list(&self) {
        let all = self.addresses();
        for peers in self.watching.lock().expect("no holder panics").iter() {
            peers.set(all.clone());
        }
    }

    /// Has a host that is there tell something else, for as long as this new lease.
    fn tell_again(&self, node: &Arc<Node>, doom: &AbortHandle) -> bool {
        let mut members = self.members();
        let Some((member, old)) = members.get_mut(&node.id) else { return false };
        std::mem::replace(old, doom.clone()).abort();
        member.node.send_replace(Arc::clone(node));
        true
    }

    /// Ends a host without a word when its lease runs out.
    fn doom(self: &Arc<Network>, id: &str, lease: Duration) -> AbortHandle {
        let (network, id) = (Arc::downgrade(self), id.to_owned());
        let doomed = async move {
            tokio::time::sleep(lease).await;
            let member = network.upgrade().and_then(|network| network.members().remove(&id));
            drop(member);
        };
        tokio::spawn(doomed).abort_handle()
    }
}

/// Has a host started for each node that is registered, as the suite knows only registries.
struct OfNetwork(Arc<Network>, Arc<Peers>);

impl Registry for OfNetwork {
    fn name(&self) -> &str {
        self.1.name()
    }

    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            let doom = self.0.doom(&node.id, lease);
            if !self.0.tell_again(&node, &doom) {
                let member = Member::start(&node.id, "c", Vec::new()).await;
                member.node.send_replace(node.clone());
                self.0.members().insert(node.id.clone(), (member, doom));
                self.0.list();
            }
            // What a registry has taken it tells; this one has heard of it by asking, as all others.
            let mut changes = self.1.watch();
            let known = |change: &Change| matches!(change, Change::Put(known) if *known == node);
            while !changes.next().await.is_some_and(|change| known(&change)) {}
            Ok(())
        })
    }

    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        let member = self.0.members().remove(id);
        Box::pin(async move {
            if let Some((member, doom)) = member {
                doom.abort();
                let id = member.node.borrow().id.clone();
                member.peers.deregister(&id).await?;
                // Until all who wait have heard it.
                member.edge.serving.drain(LIMIT).await;
            }
            Ok(())
        })
    }

    fn watch(&self) -> Changes {
        self.1.watch()
    }
}

#[tokio::test]
async fn peers_keep_the_contract_of_registries() {
    let network = Arc::new(Network::default());
    let host = async || OfNetwork(network.clone(), network.watcher());
    let garbage = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("an address");
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.expect("it accepts");
                // Whoever asks may have gone.
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nnonsense").await;
            }
        });
        network.strange.lock().expect("no holder panics").push(address);
        network.list();
    };
    Suite { lease: LEASE, nodes: 8, large: 300 << 10 }.all(host, garbage).await;
}
