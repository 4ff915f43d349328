//! Hostile guests: each costs its own service and no other.

use e2e::connect::Failure;
use e2e::host::{Host, Start};
use e2e::metrics::{IN_FLIGHT, MEMORY};
use e2e::{guests, settings, soon};
use serde_json::{Value, json};

use crate::messages::hello_json;

/// A host with the echo beside another guest.
async fn beside_echo(guest: &str, rest: &str) -> Host {
    let echo = settings::service("echo", &guests::guest("echo"), "");
    Start::settings(&(echo + &settings::service(guest, &guests::guest(guest), rest))).ready().await
}

/// A number in a reply, whichever way JSON has it.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("no number: {value}"))
}

/// The host's resident memory.
fn resident(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).expect("the host runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has resident memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB");
    kib * 1024
}

#[tokio::test]
async fn an_endless_loop_ends_by_the_cpu_limit() {
    for method in ["Forever", "ForeverAsync"] {
        let host = Start::guest("spin").limit("cpu=300ms").ready().await;
        let failure = host.call(&format!("test.spin.Spin/{method}"), &json!({})).fails().await;
        assert_eq!(failure.code, "resource_exhausted", "{method}: {failure:?}");
        host.call("test.spin.Spin/For", &json!({"ms": 1})).ok().await;
    }
}

#[tokio::test]
async fn a_loop_that_yields_ends_by_the_cpu_limit_too() {
    let host = Start::guest("spin").limit("cpu=300ms").limit("timeout=20s").ready().await;
    let failure = host.call("test.spin.Spin/Polite", &json!({})).fails().await;
    assert_eq!(failure.code, "resource_exhausted", "{failure:?}");
}

#[tokio::test]
async fn other_services_are_served_while_guests_loop() {
    let host = beside_echo("spin", "limits = { cpu = \"20s\", instances = 8, concurrency = 1 }").await;
    // More than there are cores, so that every lane has had one.
    let loops: Vec<_> = (0..6).map(|_| host.call("test.spin.Spin/Forever", &json!({})).into_request()).collect();
    let loops: Vec<_> = loops.into_iter().map(|call| tokio::spawn(e2e::http::send(host.address, e2e::http::Version::One, call))).collect();
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Forever")], |calls| calls == 6.0).await;
    for _ in 0..50 {
        soon("an echo beside six loops", host.call("test.echo.Echo/Echo", &hello_json()).ok()).await;
    }
    assert!(loops.iter().all(|looping| !looping.is_finished()), "they loop all the while");
    loops.iter().for_each(tokio::task::JoinHandle::abort);
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Forever")], |calls| calls == 0.0).await;
}

#[tokio::test]
async fn calls_in_other_instances_of_the_service_go_on_beside_a_loop() {
    let host = Start::guest("spin").limit("cpu=2s").limit("instances=2").limit("concurrency=1").ready().await;
    let (failure, ()) = tokio::join!(host.call("test.spin.Spin/Forever", &json!({})).fails(), async {
        host.metric_becomes(IN_FLIGHT, &[("endpoint", "Forever")], |calls| calls == 1.0).await;
        for _ in 0..5 {
            host.call("test.spin.Spin/For", &json!({"ms": 1})).ok().await;
        }
        assert_eq!(host.metrics().await.value(IN_FLIGHT, &[("endpoint", "Forever")]), 1.0, "it loops all the while");
    });
    assert_eq!(failure.code, "resource_exhausted", "{failure:?}");
}

#[tokio::test]
async fn memory_grows_to_the_limit_and_no_further() {
    let host = Start::guest("memory").limit("memory=32MiB").ready().await;
    let grown = host.call("test.memory.Memory/Grow", &json!({"mib": 8})).ok().await;
    assert_eq!(grown["grown"], true, "{grown}");
    let refused = host.call("test.memory.Memory/Grow", &json!({"mib": 32})).ok().await;
    assert_eq!(refused["grown"], false, "{refused}");
    assert!(number(&refused["mib"]) <= 32, "{refused}");
    let held = host.metrics().await.value(MEMORY, &[]);
    assert!((1.0..=32.0 * 1024.0 * 1024.0).contains(&held), "the instance holds {held} bytes");
}

#[tokio::test]
async fn a_memory_bomb_costs_its_own_instance_alone() {
    let host = beside_echo("memory", "limits = { memory = \"64MiB\", instances = 2 }").await;
    for _ in 0..4 {
        let failure = host.call("test.memory.Memory/Hold", &json!({"mib": 4000})).fails().await;
        assert!(["internal", "resource_exhausted"].contains(&failure.code.as_str()), "{failure:?}");
        host.call("test.echo.Echo/Echo", &hello_json()).ok().await;
    }
    host.call("test.memory.Memory/Hold", &json!({"mib": 8})).ok().await;
    let resident = resident(&host);
    assert!(resident < 512 << 20, "the host holds {resident} bytes");
}

#[tokio::test]
async fn a_table_grows_to_the_limit_and_no_further() {
    let host = Start::path(e2e::guests::text("table")).limit("table-elements=1000").ready().await;
    let grow = async |by: u32| host.call("test.table.Table/Grow", &json!({ "elements": by })).ok().await;
    let grown = grow(100).await;
    let refused = grow(1_000_000).await;
    assert_ne!(grown["value"], refused["value"], "{grown} {refused}");
    assert_eq!(refused["value"].as_i64(), Some(-1), "the instruction's own answer to no: {refused}");
}

#[tokio::test]
async fn a_reply_over_the_limit_is_refused_and_one_at_it_is_not() {
    let host = Start::guest("big").limit("reply=1MiB").ready().await;
    let bytes = async |size: u32| host.call("test.big.Big/Text", &json!({ "size": size })).answer().await;
    assert_eq!(bytes(1_000_000).await.status, 200);
    assert_eq!(Failure::of(&bytes(1_100_000).await).code, "resource_exhausted");
    assert_eq!(Failure::of(&bytes(100_000_000).await).code, "resource_exhausted");
    let packed = host.call("test.big.Big/Numbers", &json!({"size": 400_000})).answer().await;
    assert_eq!(Failure::of(&packed).code, "resource_exhausted", "a list of many small things counts as well");
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_in_every_protocol() {
    let host = Start::guest("big").limit("request=64KiB").ready().await;
    let call = async |size: usize| host.call("test.big.Big/Take", &json!({"data": "A".repeat(size)})).answer().await;
    assert_eq!(call(40_000).await.status, 200);
    let failure = Failure::of(&call(80_000).await);
    assert_eq!((failure.code.as_str(), failure.http), ("resource_exhausted", 429), "{failure:?}");
    let message = crate::messages::Text { value: "A".repeat(80_000) };
    assert_eq!(host.grpc("test.big.Big/Take", &message).outcome().await.status, 8);
    assert_eq!(host.grpc_web("test.big.Big/Take", &message).await.status, 8);
}

#[tokio::test]
async fn a_message_of_very_many_small_values_is_bounded() {
    let host = Host::of("types").await;
    // Two bytes each on the wire, many times that as values.
    let numbers = format!("{{\"value\":[{}1]}}", "1,".repeat(2_000_000));
    let answer = host.call("test.types.Echo/Numbers", &json!(null)).body(numbers).answer().await;
    assert_eq!(Failure::of(&answer).code, "resource_exhausted");
    assert_eq!(host.call("test.types.Echo/U32", &json!({"value": 1})).ok().await, json!({"value": 1}));
}
