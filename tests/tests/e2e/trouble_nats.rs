//! The server that tells hosts of one another in trouble, and hosts that only it leads to.

use e2e::host::{Host, Start};
use e2e::nats::Server;
use e2e::{cluster, soon};

use crate::trouble::{Callee, all_serve, back, front, known, load, open};

/// A host of a cluster that a server tells of.
fn told(start: Start, cluster: &str, server: &Server) -> Start {
    start.among(cluster).arg("--cluster").arg(server.url())
}

/// One that is called.
async fn called(start: Start) -> Callee<Host> {
    let host = start.ready().await;
    let connection = open(&host).await;
    Callee::new(host, connection)
}

#[tokio::test]
async fn no_call_fails_when_the_server_that_tells_of_hosts_is_killed_and_a_host_after_it() {
    let Some(mut server) = Server::start().await else { return };
    let cluster = cluster::unique("trouble-told");
    let mut backs = Vec::new();
    for _ in 0..3 {
        backs.push(called(told(back(""), &cluster, &server)).await);
    }
    let front = told(front(""), &cluster, &server).ready().await;
    known(&front).await;
    let load = load(&front).await;
    all_serve(&mut backs, 100.0).await;
    server.kill().await;
    let lost = async || front.admin(["services"]).run().await.succeeded().contains("out of reach");
    soon("that it is lost", async { while !lost().await {} }).await;
    load.goes_on(1_000).await;
    backs.pop().expect("three").host.kill().await;
    all_serve(&mut backs, 200.0).await;
    server.restart().await;
    let mut new = called(told(back(""), &cluster, &server)).await;
    new.serves(100.0).await;
    soon("that it is back", async { while lost().await {} }).await;
    load.goes_on(500).await;
    load.end().await.none_failed("the server that tells of hosts killed, and a host");
}

#[tokio::test]
async fn no_idempotent_call_fails_when_a_host_is_killed_that_nats_alone_leads_to() {
    let Some(server) = Server::start().await else { return };
    let cluster = cluster::unique("trouble-tunnel");
    let by_nats = |start: Start| told(start, &cluster, &server).arg("--advertise").arg("nats:");
    let mut backs = Vec::new();
    for _ in 0..2 {
        backs.push(called(by_nats(back(""))).await);
    }
    let front = by_nats(front("")).ready().await;
    known(&front).await;
    let load = load(&front).await;
    all_serve(&mut backs, 100.0).await;
    backs.pop().expect("two").host.kill().await;
    all_serve(&mut backs, 200.0).await;
    load.goes_on(1_000).await;
    backs.push(called(by_nats(back(""))).await);
    all_serve(&mut backs, 100.0).await;
    load.end().await.none_failed("one of two hosts killed that are called by NATS");
}
