//! Against a real server: what hosts hear of one another, also while the server is killed, hangs, loses
//! its data or holds things that are not ours.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use e2e::nats::Server;
use e2e::soon;
use futures::StreamExt;
use tokio::runtime::Handle;

use super::*;
use crate::connections::Connections;
use crate::registry::conformance::Suite;
use crate::registry::{Change, LEASE};

/// Short, so that tests see it run out.
const SHORT: Duration = Duration::from_secs(4);

/// Where a cluster without a name has its nodes.
const BUCKET: &str = "microhost_nodes_default";

/// Long, so that nothing runs out while servers choose a leader.
const PATIENT: Duration = Duration::from_secs(600);

/// Awaits what takes a new leader of a cluster: that is a matter of many seconds, and of several attempts on
/// a machine with much to do.
async fn elected<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(180), future).await.unwrap_or_else(|_| panic!("{what}: did not happen"))
}

/// A host's own client of a server.
fn registry(url: &str) -> Nats {
    member(url, "default")
}

/// The same, of a cluster of another name.
fn member(url: &str, cluster: &str) -> Nats {
    let server = Connections::new(Handle::current()).nats(&url.parse().expect("a URL"));
    Nats::new(server, &cluster.parse().expect("a name"))
}

fn node(id: &str, revision: u64) -> Arc<Node> {
    let addresses = vec!["http://10.0.0.5:8080".parse().expect("an address")];
    Arc::new(Node {
        id: id.into(),
        name: None,
        addresses,
        machine: None,
        zone: None,
        labels: BTreeMap::new(),
        revision,
        services: Vec::new(),
    })
}

async fn heard(changes: &mut Changes) -> Change {
    soon("a change", changes.next()).await.expect("a watch does not end")
}

/// What is told up to the next `Complete`: nodes by id with their revisions, without those that went again.
async fn all(changes: &mut Changes) -> Vec<(String, u64)> {
    let mut nodes = BTreeMap::new();
    loop {
        match heard(changes).await {
            Change::Put(node) => drop(nodes.insert(node.id.clone(), node.revision)),
            Change::Gone(id) => drop(nodes.remove(&id)),
            Change::Complete => return nodes.into_iter().collect(),
            Change::Lost(why) => panic!("lost: {why}"),
        }
    }
}

async fn lost(changes: &mut Changes) -> String {
    match heard(changes).await {
        Change::Lost(why) => why,
        other => panic!("{other:?}"),
    }
}

/// All there is once the registry is there, however often it is lost before it has told all.
async fn back(changes: &mut Changes) -> Vec<(String, u64)> {
    let mut nodes = BTreeMap::new();
    loop {
        match heard(changes).await {
            Change::Put(node) => drop(nodes.insert(node.id.clone(), node.revision)),
            Change::Gone(id) => drop(nodes.remove(&id)),
            Change::Complete => return nodes.into_iter().collect(),
            Change::Lost(_) => nodes.clear(),
        }
    }
}

fn is_put(change: &Change, id: &str, revision: u64) -> bool {
    matches!(change, Change::Put(node) if node.id == id && node.revision == revision)
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let Some(server) = Server::start().await else { return };
    let suite = Suite { lease: SHORT, nodes: 300, large: 1 << 20 };
    let url = server.url();
    let garbage = async || {
        let other = jetstream::new(async_nats::connect(&url).await.expect("connected"));
        let bucket = other.get_key_value(BUCKET).await.expect("a bucket like any other");
        for (key, value) in [("garbage", "\u{1}"), ("other", r#"{"id":"x","addresses":[],"revision":1}"#), ("a.b", "{}")] {
            bucket.put(key, value.into()).await.expect("put");
        }
    };
    suite.all(async || registry(&url), garbage).await;
}

#[tokio::test]
async fn hosts_hear_of_one_another_by_a_server() {
    let Some(server) = Server::start().await else { return };
    let (here, there) = (registry(&server.url()), registry(&server.url()));
    let mut changes = there.watch();
    assert_eq!(all(&mut changes).await, [], "of an empty bucket all is told at once");
    here.register(node("a", 1), LEASE).await.expect("registered");
    assert!(is_put(&heard(&mut changes).await, "a", 1));
    here.register(node("a", 1), LEASE).await.expect("renewed");
    here.register(node("a", 2), LEASE).await.expect("changed");
    assert!(is_put(&heard(&mut changes).await, "a", 2), "the renewal is no change");
    there.register(node("b.c", 1), LEASE).await.expect("registered");
    assert!(is_put(&heard(&mut changes).await, "b.c", 1));
    assert_eq!(all(&mut here.watch()).await, [("a".into(), 2), ("b.c".into(), 1)]);
    here.deregister("a").await.expect("said goodbye");
    assert_eq!(heard(&mut changes).await, Change::Gone("a".into()));
    here.deregister("nobody").await.expect("no error");
    assert_eq!(all(&mut here.watch()).await, [("b.c".into(), 1)]);
}

#[tokio::test]
async fn a_node_that_does_not_renew_is_gone_and_one_that_does_stays() {
    let Some(server) = Server::start().await else { return };
    let registry = registry(&server.url());
    registry.register(node("long", 1), LEASE).await.expect("registered");
    registry.register(node("dead", 1), SHORT).await.expect("registered");
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await.len(), 2);
    assert_eq!(heard(&mut changes).await, Change::Gone("dead".into()));
    // The server keeps what has run out as long as the longest lease; who comes now does not hear of it.
    assert_eq!(all(&mut registry.watch()).await, [("long".into(), 1)]);
    registry.register(node("dead", 1), LEASE).await.expect("registered");
    assert!(is_put(&heard(&mut changes).await, "dead", 1), "it can come back");
}

#[tokio::test]
async fn a_server_that_was_killed_takes_no_node_along() {
    let Some(mut server) = Server::start().await else { return };
    let registry = registry(&server.url());
    registry.register(node("a", 1), LEASE).await.expect("registered");
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await, [("a".into(), 1)]);
    server.kill().await;
    lost(&mut changes).await;
    let error = registry.register(node("a", 1), LEASE).await.expect_err("nobody is there");
    assert!(matches!(&error, RegistryError::Unreachable(name, _) if *name == server.url()), "{error}");
    server.restart().await;
    assert_eq!(back(&mut changes).await, [("a".into(), 1)]);
    registry.register(node("a", 2), LEASE).await.expect("by the same connection object");
    assert!(is_put(&heard(&mut changes).await, "a", 2));
}

#[tokio::test]
async fn a_server_that_has_lost_its_data_has_them_again_by_the_next_renewal() {
    let Some(mut server) = Server::start().await else { return };
    let registry = registry(&server.url());
    registry.register(node("a", 1), SHORT).await.expect("registered");
    registry.register(node("dead", 1), SHORT).await.expect("registered");
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await.len(), 2);
    server.kill().await;
    server.forget();
    lost(&mut changes).await;
    server.restart().await;
    assert_eq!(back(&mut changes).await.len(), 2, "who could not renew meanwhile is not gone");
    registry.register(node("a", 1), LEASE).await.expect("registered anew");
    assert_eq!(heard(&mut changes).await, Change::Gone("dead".into()));
    assert_eq!(all(&mut registry.watch()).await, [("a".into(), 1)]);
}

#[tokio::test]
async fn a_server_that_hangs_makes_no_node_go() {
    let Some(server) = Server::start().await else { return };
    let registry = registry(&server.url());
    registry.register(node("a", 1), SHORT).await.expect("registered");
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await.len(), 1);
    server.hang().await;
    let (told, refused) = tokio::join!(lost(&mut changes), registry.register(node("a", 1), SHORT));
    assert!(matches!(refused, Err(RegistryError::Unreachable(..))), "{refused:?}");
    assert!(told.contains("no sign of life"), "{told}");
    server.go_on();
    assert_eq!(back(&mut changes).await, [("a".into(), 1)]);
}

#[tokio::test]
async fn a_bucket_that_somebody_deletes_is_made_again() {
    let Some(server) = Server::start().await else { return };
    let registry = registry(&server.url());
    registry.register(node("a", 1), LEASE).await.expect("registered");
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await.len(), 1);
    let other = jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    other.delete_key_value(BUCKET).await.expect("deleted");
    registry.register(node("a", 2), LEASE).await.expect("registered in a new bucket");
    lost(&mut changes).await;
    assert_eq!(back(&mut changes).await, [("a".into(), 2)]);
}

#[tokio::test]
async fn what_is_no_node_is_passed_over() {
    let Some(server) = Server::start().await else { return };
    let registry = registry(&server.url());
    registry.register(node("a", 1), LEASE).await.expect("registered");
    let other = jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    let bucket = other.get_key_value(BUCKET).await.expect("a bucket like any other");
    for (key, value) in [("garbage", "\u{1}"), ("other", r#"{"id":"x","addresses":[],"revision":1}"#), ("a.b", "{}")] {
        bucket.put(key, value.into()).await.expect("put");
    }
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await, [("a".into(), 1)]);
    bucket.put("a", "garbage".into()).await.expect("put");
    bucket.delete("garbage").await.expect("deleted");
    registry.register(node("b", 1), LEASE).await.expect("registered");
    assert!(is_put(&heard(&mut changes).await, "b", 1), "and a node is not lost by it");
}

#[tokio::test]
async fn a_node_may_be_as_long_as_the_server_takes() {
    let Some(server) = Server::start().await else { return };
    let (registry, long) = (registry(&server.url()), |value: String| {
        let mut node = Node::clone(&node("a", 1));
        node.labels.insert("long".into(), value);
        Arc::new(node)
    });
    registry.register(long("x".repeat(2 << 20)), LEASE).await.expect("it is packed");
    assert_eq!(all(&mut registry.watch()).await, [("a".into(), 1)]);
    let mut chance = vec![0; 1 << 20];
    getrandom::fill(&mut chance).expect("random bytes");
    let noise = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let error = registry.register(long(noise), LEASE).await.expect_err("it is too long, packed too");
    assert!(matches!(&error, RegistryError::TooLarge { bytes, most, .. } if bytes > most && *most < 1 << 20), "{error}");
}

#[tokio::test]
async fn values_are_kept_as_long_as_the_longest_lease() {
    let Some(server) = Server::start().await else { return };
    let registry = registry(&server.url());
    let other = jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    for (lease, kept) in [(SHORT, SHORT), (LEASE, LEASE), (SHORT, LEASE)] {
        registry.register(node("a", 1), lease).await.expect("registered");
        let mut stream = other.get_stream(format!("KV_{BUCKET}")).await.expect("a bucket");
        assert_eq!(stream.info().await.expect("it is there").config.max_age, kept);
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_without_the_password() {
    let Some(server) = Server::with(&["--user", "ann", "--pass", "right"]).await else { return };
    let url = |password| format!("nats://ann:{password}@{}", server.address());
    registry(&url("right")).register(node("a", 1), LEASE).await.expect("let in");
    let wrong = registry(&url("wrong"));
    let error = wrong.register(node("a", 1), LEASE).await.expect_err("not let in").to_string();
    assert!(error.contains("authorization") && !error.contains("wrong"), "{error}");
    let why = lost(&mut wrong.watch()).await;
    assert!(why.contains("authorization") && !why.contains("wrong"), "{why}");
}

/// A user who may do what the documentation says, and nothing else.
const RIGHTS: &str = r#"
authorization {
    users = [{
        user: ann, password: right
        permissions: { publish: ["$KV.microhost_nodes_default.>", "$JS.API.>", "$JS.FC.>"], subscribe: ["_INBOX.>"] }
    }]
}
"#;

#[tokio::test]
async fn the_rights_that_are_asked_for_are_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nats.conf").display().to_string();
    std::fs::write(&path, RIGHTS).expect("it can be written");
    let Some(server) = Server::with(&["--config", &path]).await else { return };
    let registry = registry(&format!("nats://ann:right@{}", server.address()));
    let mut changes = registry.watch();
    assert_eq!(all(&mut changes).await, []);
    // Enough for the server to ask whether they arrive.
    let ids: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    for id in &ids {
        let mut node = Node::clone(&node(id, 1));
        let mut noise = vec![0; 8 << 10];
        getrandom::fill(&mut noise).expect("random bytes");
        node.labels.insert("noise".into(), noise.iter().map(|byte| format!("{byte:02x}")).collect());
        registry.register(Arc::new(node), PATIENT).await.expect("registered");
    }
    for id in &ids {
        assert!(is_put(&heard(&mut changes).await, id, 1));
    }
    assert_eq!(all(&mut registry.watch()).await.len(), ids.len());
    registry.deregister("000").await.expect("said goodbye");
    assert_eq!(heard(&mut changes).await, Change::Gone("000".into()));
}

#[tokio::test]
async fn one_of_several_servers_is_enough_and_clusters_do_not_see_one_another() {
    let Some(server) = Server::start().await else { return };
    let dead = format!("127.0.0.1:{}", e2e::free_port());
    let [red, blue] = ["red", "blue"].map(|cluster| member(&format!("nats://{dead},{}", server.address()), cluster));
    soon("a connection", async { while red.register(node("a", 1), LEASE).await.is_err() {} }).await;
    soon("a connection", async { while blue.register(node("b", 1), LEASE).await.is_err() {} }).await;
    assert_eq!(all(&mut red.watch()).await, [("a".into(), 1)]);
    assert_eq!(all(&mut blue.watch()).await, [("b".into(), 1)]);
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_what_it_lacks() {
    let Some(server) = Server::plain().await else { return };
    let registry = registry(&server.url());
    let error = registry.register(node("a", 1), LEASE).await.expect_err("nowhere to put it").to_string();
    assert!(error.contains("-js"), "{error}");
    let why = lost(&mut registry.watch()).await;
    assert!(why.contains("-js"), "{why}");
}

#[tokio::test]
async fn a_cluster_of_servers_goes_on_without_any_one_of_them() {
    let Some(mut servers) = Server::cluster::<3>().await else { return };
    let registry = registry(&servers.each_ref().map(Server::url).join(","));
    let put = async |revision| while registry.register(node("a", revision), PATIENT).await.is_err() {};
    // They elect a leader first.
    elected("a cluster with a leader", put(1)).await;
    let other = jetstream::new(async_nats::connect(servers[0].url()).await.expect("connected"));
    let mut stream = other.get_stream(format!("KV_{BUCKET}")).await.expect("a bucket");
    // Where they did not all know of each other at first, more of them come to keep it.
    let kept = async {
        while stream.info().await.expect("it is there").config.num_replicas < 3 {
            put(1).await;
        }
    };
    elected("a bucket that three servers keep", kept).await;
    for (revision, number) in [(2, 0), (3, 1), (4, 2)] {
        servers[number].kill().await;
        elected("a cluster of two", put(revision)).await;
        assert_eq!(elected("all there is", survivors(&registry)).await, [("a".into(), revision)]);
        servers[number].restart().await;
    }
}

/// All there is, however often the registry is lost before.
async fn survivors(registry: &Nats) -> Vec<(String, u64)> {
    back(&mut registry.watch()).await
}

/// Names the authority that the test's server is of, to the test that is run for it.
const AUTHORITY: &str = "SSL_CERT_FILE";

#[test]
fn servers_are_reached_by_tls() {
    let name = std::thread::current().name().expect("tests have names").to_owned();
    if std::env::var_os("MICROHOST_TLS_TEST").is_some() {
        return tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(by_tls());
    }
    // The authorities are those of the process, so it has to be one of its own.
    let folder = tempfile::tempdir().expect("a folder");
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|file| folder.path().join(file));
    std::fs::write(&certificate, certified.cert.pem()).expect("it can be written");
    std::fs::write(&key, certified.signing_key.serialize_pem()).expect("it can be written");
    let mut test = std::process::Command::new(std::env::current_exe().expect("this program"));
    test.args(["--exact", &name]).env(AUTHORITY, &certificate).env("MICROHOST_TLS_TEST", folder.path());
    let ended = test.output().expect("it runs");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
}

async fn by_tls() {
    let folder = std::path::PathBuf::from(std::env::var_os("MICROHOST_TLS_TEST").expect("the caller sets it"));
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|file| folder.join(file).display().to_string());
    let Some(server) = Server::with(&["--tls", "--tlscert", &certificate, "--tlskey", &key]).await else { return };
    let url = |host: &str| server.address().replace("127.0.0.1", host);
    registry(&format!("tls://{}", url("localhost"))).register(node("a", 1), LEASE).await.expect("registered");
    let other = registry(&format!("tls://{}", url("127.0.0.1")));
    let error = other.register(node("a", 1), LEASE).await.expect_err("the certificate is of another name").to_string();
    assert!(error.contains("certificate"), "{error}");
}
