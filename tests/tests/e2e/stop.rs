//! The end of a host: drained, forced, or killed, and the start after it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version};
use e2e::metrics::IN_FLIGHT;
use e2e::soon;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::messages::hello_json;

const SLEEPER: &str = "test.sleeper.Sleeper";

/// A call under way, on a connection that stays open.
async fn under_way(host: &Host, version: Version, method: &str, body: Value) -> (Connection, JoinHandle<hyper::Result<Answer>>) {
    let mut connection = Connection::open(host.address, version).await.expect("HTTP is spoken");
    let request = host.call(&format!("{SLEEPER}/{method}"), &body).into_request();
    let answer = tokio::spawn(connection.begin(request).await.expect("the connection takes a call"));
    host.metric_becomes(IN_FLIGHT, &[("endpoint", method)], |calls| calls >= 1.0).await;
    (connection, answer)
}

#[tokio::test]
async fn sigterm_lets_the_calls_under_way_finish_and_ends_well() {
    for version in [Version::One, Version::Two] {
        let host = Host::of("sleeper").await;
        let (_connection, answer) = under_way(&host, version, "Sleep", json!({"ms": 1500})).await;
        host.terminate();
        let answer = soon("the call's answer", answer).await.expect("the task ends").expect("an answer");
        assert_eq!(answer.status, 200, "{version:?}: {answer:?}");
        let status = host.exited().await;
        assert!(status.success(), "{version:?}: ended with {status}");
    }
}

#[tokio::test]
async fn an_idle_host_with_open_connections_stops_at_once() {
    let host = Host::of("echo").await;
    let mut connections = Vec::new();
    for version in [Version::One, Version::Two] {
        let mut connection = Connection::open(host.address, version).await.expect("HTTP is spoken");
        let answer = connection.send(host.call("test.echo.Echo/Echo", &hello_json()).into_request()).await.expect("an answer");
        assert_eq!(answer.status, 200);
        connections.push(connection);
    }
    let silent = TcpStream::connect(host.address).await.expect("the host listens");
    let began = Instant::now();
    host.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?} with nothing to do", began.elapsed());
    drop(silent);
}

#[tokio::test]
async fn nobody_new_is_let_in_while_a_host_drains() {
    let host = Host::of("sleeper").await;
    let (_connection, answer) = under_way(&host, Version::One, "Sleep", json!({"ms": 3000})).await;
    host.terminate();
    soon("the listener to close", async {
        // The host has no other sign of it.
        while let Ok(stream) = TcpStream::connect(host.address).await {
            drop(stream);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!answer.is_finished(), "the call goes on");
    assert_eq!(soon("the call's answer", answer).await.expect("the task ends").expect("an answer").status, 200);
    assert!(host.exited().await.success());
}

#[tokio::test]
async fn a_second_sigterm_stops_at_once() {
    let host = Host::of("sleeper").await;
    let (_connection, answer) = under_way(&host, Version::One, "Sleep", json!({"ms": 25_000})).await;
    host.terminate();
    soon("the listener to close", async {
        while TcpStream::connect(host.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let began = Instant::now();
    host.terminate();
    host.exited().await;
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?}", began.elapsed());
    soon("the call's end", answer).await.expect("the task ends").expect_err("it was cut off");
}

#[tokio::test]
async fn a_host_killed_under_load_starts_again_at_the_same_address_with_the_same_cache() {
    let cache = tempfile::TempDir::new().expect("a temporary folder");
    let address = SocketAddr::from(([127, 0, 0, 1], e2e::free_port()));
    let first = Start::guest("sleeper").cache(cache.path()).at(address).ready().await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(under_way(&first, Version::One, "Sleep", json!({"ms": 20_000})).await);
    }
    first.kill().await;
    for (_connection, answer) in calls {
        soon("the call's end", answer).await.expect("the task ends").expect_err("the host is gone");
    }
    let second = Start::guest("sleeper").cache(cache.path()).at(address).ready().await;
    assert_eq!(second.address, address);
    second.call(&format!("{SLEEPER}/Sleep"), &json!({"ms": 1})).ok().await;
    assert_eq!(second.metrics().await.value(e2e::metrics::HITS, &[]), 1.0, "what was compiled is kept");
}

#[tokio::test]
async fn a_host_killed_while_it_compiles_leaves_a_cache_that_serves() {
    let cache = tempfile::TempDir::new().expect("a temporary folder");
    let starting = Start::guest("types").cache(cache.path()).spawn();
    drop(starting);
    let host = Start::guest("types").cache(cache.path()).ready().await;
    assert_eq!(host.call("test.types.Echo/U32", &json!({"value": 1})).ok().await, json!({"value": 1}));
}
