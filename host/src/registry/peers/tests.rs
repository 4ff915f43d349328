//! Who is followed, for how long, and what is told of them.

use super::*;
use crate::registry::LEASE;
use crate::registry::conformance::node;

fn asks(who: &str) -> HeaderMap {
    HeaderMap::from_iter([(PEER, who.parse().expect("valid"))])
}

#[tokio::test]
async fn hosts_that_ask_are_followed_up_to_a_bound() {
    let peers = Peers::new("c", Vec::new(), LEASE);
    for port in 1..=MAX_CALLERS + 10 {
        assert_eq!(peers.asked(&asks(&format!("id-{port} http://127.0.0.1:{port}"))), Ok(()));
    }
    assert_eq!(peers.0.followed().len(), MAX_CALLERS);
}

#[tokio::test]
async fn nonsense_sockets_and_oneself_are_not_followed() {
    let peers = Peers::new("c", Vec::new(), LEASE);
    peers.register(Arc::new(node("own", 1)), LEASE).await.expect("it registers");
    for who in ["", "id", "id nonsense", "id unix:/run/a.sock", "id http://a/path", "own http://127.0.0.1:1"] {
        assert_eq!(peers.asked(&asks(who)), Ok(()));
    }
    assert_eq!(peers.0.followed().len(), 0);
}

#[tokio::test]
async fn those_of_the_list_are_told_where_this_host_is_and_those_that_ask_are_not() {
    let (listed, asking) = ("http://127.0.0.1:1".parse::<Address>().expect("valid"), "http://127.0.0.1:2".parse().expect("valid"));
    let peers = Peers::new("c", vec![listed.clone()], LEASE);
    peers.register(Arc::new(node("own", 1)), LEASE).await.expect("it registers");
    assert_eq!(peers.asked(&asks("id http://127.0.0.1:2")), Ok(()));
    assert_eq!(peers.0.headers(&listed)[PEER], "own http://127.0.0.1:9");
    assert!(!peers.0.headers(&asking).contains_key(PEER));
}

fn at(port: u16) -> Address {
    format!("http://127.0.0.1:{port}").parse().expect("an address")
}

fn there(id: &str, port: u16) -> Arc<Node> {
    Arc::new(Node { addresses: vec![Address::Unix("/run/a.sock".into()), at(port)], ..node(id, 1) })
}

/// What a host tells that knows these.
fn hearsay(hosts: &[(&str, Address)]) -> Others {
    Others::default().next(hosts.iter().map(|(id, address)| (*id, address)).collect()).expect("it is new")
}

#[tokio::test]
async fn whom_another_host_knows_is_followed_once_and_oneself_is_not() {
    let peers = Peers::new("c", vec![at(1)], LEASE);
    peers.register(there("own", 9), LEASE).await.expect("it registers");
    peers.0.leads(&at(1), Some(there("a", 1)));
    peers.0.hear(&hearsay(&[("own", at(9)), ("a", at(2)), ("b", at(3)), ("c", at(1))]));
    let mut followed: Vec<String> = peers.0.followed().keys().map(ToString::to_string).collect();
    followed.sort_unstable();
    assert_eq!(followed, [at(1).to_string(), at(3).to_string()]);
    assert!(!peers.0.headers(&at(3)).contains_key(PEER), "it hears of this host as this one did of it");
    for port in 1000..3000 {
        peers.0.hear(&hearsay(&[("d", at(port))]));
    }
    assert_eq!(peers.0.followed().len(), MAX_CALLERS + 1);
}

#[tokio::test]
async fn who_was_heard_of_is_forgotten_when_it_does_not_answer_and_at_once_if_it_is_oneself() {
    let peers = Peers::new("c", Vec::new(), LEASE);
    peers.register(there("own", 9), LEASE).await.expect("it registers");
    let before = Instant::now();
    peers.0.hear(&hearsay(&[("a", at(1))]));
    assert!(peers.0.patience(&at(1)).is_some_and(|ends| ends >= before + LEASE));
    peers.0.leads(&at(1), Some(there("a", 1)));
    assert_eq!(peers.0.patience(&at(1)), None, "it answers");
    peers.0.leads(&at(1), None);
    assert!(peers.0.patience(&at(1)).is_some_and(|ends| ends <= Instant::now() + LEASE));
    peers.0.leads(&at(1), Some(there("own", 9)));
    assert!(peers.0.patience(&at(1)).is_some_and(|ends| ends <= Instant::now()));
}

#[tokio::test]
async fn only_those_that_are_there_are_passed_on_with_the_address_that_they_tell() {
    let peers = Peers::new("c", vec![at(1), at(2), at(3)], LEASE);
    peers.register(there("own", 9), LEASE).await.expect("it registers");
    let mut others = peers.others();
    peers.0.leads(&at(1), Some(there("a", 7)));
    peers.0.leads(&at(2), Some(there("own", 9)));
    let told = Arc::clone(&others.borrow_and_update());
    assert_eq!(told.heard().collect::<Vec<_>>(), [("a", at(7))]);
    peers.0.leads(&at(1), Some(Arc::new(Node { revision: 2, ..(*there("a", 7)).clone() })));
    assert!(!others.has_changed().expect("it is there"), "who asks is told of changes of hosts by the hosts");
    peers.0.leads(&at(1), None);
    assert_eq!(others.borrow_and_update().heard().count(), 0);
}

#[tokio::test]
async fn one_of_another_cluster_is_told_so() {
    let peers = Peers::new("ours", Vec::new(), LEASE);
    let headers = |name: &str| HeaderMap::from_iter([(CLUSTER, name.parse().expect("valid"))]);
    assert_eq!(peers.asked(&headers("ours")), Ok(()));
    assert_eq!(peers.asked(&headers("theirs")), Err(NotOurs("theirs".into())));
}

#[tokio::test]
async fn who_has_peers_no_more_leaves_no_task() {
    let peers = Peers::new("c", vec!["http://127.0.0.1:1".parse().expect("an address")], LEASE);
    let shared = Arc::downgrade(&peers.0);
    drop(peers);
    assert!(shared.upgrade().is_none());
}
