//! Very many hosts: a part of them is called, and the others when they are needed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;

use e2e::host::{Host, Start};
use e2e::{guests, settings, soon};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::trouble::{add, open};

/// Hosts that are known.
const KNOWN: usize = 200;

/// An address of its own for one and the same host, which counts its connections.
struct Front {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Front {
    async fn of(host: SocketAddr) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, connections, mut tasks) = (listener.local_addr().expect("an address"), Arc::default(), JoinSet::new());
        let counted: Arc<AtomicUsize> = Arc::clone(&connections);
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut caller, _) = listener.accept().await.expect("a listener stays");
                counted.fetch_add(1, Relaxed);
                open.spawn(async move {
                    let mut there = TcpStream::connect(host).await.expect("the host is there");
                    // Either side may break off.
                    let _ = tokio::io::copy_bidirectional(&mut caller, &mut there).await;
                });
            }
        });
        Front { address, connections, tasks }
    }

    fn was_called(&self) -> bool {
        self.connections.load(Relaxed) > 0
    }
}

async fn many(host: &Host) -> Vec<Front> {
    let mut fronts = Vec::new();
    for _ in 0..KNOWN {
        fronts.push(Front::of(host.address).await);
    }
    fronts
}

/// A host that is told of all these, and whose service calls what they serve.
async fn caller(fronts: &[Front], calls: &str) -> (Host, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = |front: &Front| {
        format!(
            "[[node]]\naddresses = [\"http://{}\"]\n[[node.service]]\nname = \"back\"\ninterfaces = [\"test.back.Back\"]\n",
            front.address
        )
    };
    let path = folder.path().join("hosts.toml");
    std::fs::write(&path, fronts.iter().map(node).collect::<String>()).expect("a file");
    let service = settings::service("front", &guests::guest("front"), "grants = { calls = [\"test.back.Back\"] }");
    let host = Start::settings(&format!("{service}{calls}")).among("default").arg("--cluster").arg(format!("file:{}", path.display()));
    (host.ready().await, folder)
}

/// Makes calls, each of these numbers at once.
async fn calls(host: &Host, at_once: impl IntoIterator<Item = usize>) {
    let mut connection = open(host).await;
    for count in at_once {
        let mut answers = Vec::new();
        for _ in 0..count {
            answers.push(connection.begin(add()).await.expect("the host that calls stays"));
        }
        for answer in answers {
            let answer = soon("an answer", answer).await.expect("the host that calls stays");
            assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"value": 3})));
        }
    }
}

fn called(fronts: &[Front]) -> usize {
    fronts.iter().filter(|front| front.was_called()).count()
}

#[tokio::test]
async fn few_calls_go_to_few_of_many_hosts_and_to_others_when_these_are_gone() {
    let back = Host::of("back").await;
    let mut fronts = many(&back).await;
    // A connection may be lost just when a call is sent by it.
    let (host, _folder) = caller(&fronts, "[calls.\"test.back.Back\"]\nidempotent = true\n").await;
    calls(&host, [1; 100]).await;
    let cores = available_parallelism().map_or(1, usize::from);
    let (before, most) = (called(&fronts), 64_usize.div_ceil(cores).max(4) * cores);
    assert!((2..=most).contains(&before), "of {KNOWN} hosts {before} are called");
    for front in fronts.iter_mut().filter(|front| front.was_called()) {
        front.tasks.shutdown().await;
    }
    calls(&host, [1; 20]).await;
    assert!(called(&fronts) > before, "the others are called");
}

#[tokio::test]
async fn all_hosts_are_called_where_that_is_set() {
    let back = Host::of("back").await;
    let fronts = many(&back).await;
    let (host, _folder) = caller(&fronts, "[calls.balance]\npolicy = \"round-robin\"\n").await;
    calls(&host, [KNOWN]).await;
    assert_eq!(called(&fronts), KNOWN);
    let (wide, _folder) = caller(&fronts, &format!("[calls.balance]\nsubset = {KNOWN}\n")).await;
    let before: usize = fronts.iter().map(|front| front.connections.load(Relaxed)).sum();
    calls(&wide, [KNOWN]).await;
    let new = fronts.iter().map(|front| front.connections.load(Relaxed)).sum::<usize>() - before;
    assert!(new > KNOWN / 3, "{new} connections for as many calls as there are hosts");
}
