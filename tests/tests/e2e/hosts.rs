//! Several hosts: services are found wherever they run, and what happens to a host is no caller's affair.

use e2e::host::{Host, Start};
use e2e::{cluster, guests, metrics, settings};
use serde_json::{Value, json};

const GRANT: &str = "grants = { calls = [\"test.back.Back\"] }";

/// A host with the service that is called; `Add` is said to be free of side effects.
async fn back(cluster: &str) -> Host {
    let text = settings::service("back", &guests::guest("back"), "safe = [\"test.back.Back/Add\"]");
    Start::settings(&text).among(cluster).ready().await
}

/// A host with the service that calls, which knows these.
async fn front(cluster: &str, backs: &[Host]) -> Host {
    let mut front = Start::settings(&settings::service("front", &guests::guest("front"), GRANT)).among(cluster);
    for back in backs {
        front = front.arg("--peer").arg(back.url());
    }
    front.ready().await
}

async fn three(test: &str) -> (Host, Vec<Host>) {
    let cluster = cluster::unique(test);
    let backs = vec![back(&cluster).await, back(&cluster).await, back(&cluster).await];
    (front(&cluster, &backs).await, backs)
}

/// Calls `Add` of the other service again and again, many at once, until `done`; how often. Each has to
/// succeed.
async fn adds(front: &Host, done: impl Future<Output = ()>) -> u64 {
    let mut done = std::pin::pin!(done);
    let mut calls = 0;
    loop {
        tokio::select! {
            () = &mut done => return calls,
            sum = front.call("test.front.Front/Many", &json!({"calls": 200, "atOnce": 16})).ok() => {
                assert_eq!(sum, json!({"value": "20100"}), "the sum of 1 to 200");
                calls += 200;
            }
        }
    }
}

/// Waits until a host has served so many calls more.
async fn serves(host: &Host, more: f64) {
    // Not counted by code before there is one.
    let served = async || host.metrics().await.sum(metrics::CALLS, &[("service", "test.back.Back")]);
    let before = served().await;
    e2e::soon("calls of a host that is known", async { while served().await < before + more {} }).await;
}

async fn all_serve(hosts: &[Host]) {
    for host in hosts {
        serves(host, 100.0).await;
    }
}

#[tokio::test]
async fn hosts_that_are_killed_one_after_the_other_fail_no_idempotent_call() {
    let (front, mut backs) = three("killed").await;
    let calls = adds(&front, async {
        while backs.len() > 1 {
            all_serve(&backs).await;
            backs.pop().expect("more than one").kill().await;
        }
        all_serve(&backs).await;
    });
    assert!(calls.await > 0);
}

#[tokio::test]
async fn a_host_that_is_told_to_stop_fails_no_call() {
    let (front, mut backs) = three("stopped").await;
    let stopping = backs.pop().expect("three");
    let calls = adds(&front, async {
        all_serve(&backs).await;
        serves(&stopping, 100.0).await;
        stopping.stop().await;
        all_serve(&backs).await;
    });
    assert!(calls.await > 0);
}

#[tokio::test]
async fn a_call_that_is_not_idempotent_runs_once_whatever_becomes_of_its_host() {
    let (front, mut backs) = three("once").await;
    let sleep = json!({"ms": 60_000});
    let call = front.call("test.front.Front/Sleep", &sleep);
    let call = tokio::spawn(e2e::http::send(front.address, e2e::http::Version::One, call.into_request()));
    let mut found = None;
    e2e::soon("a host that serves it", async {
        while found.is_none() {
            for (place, back) in backs.iter().enumerate() {
                let serving = back.metrics().await.value(metrics::IN_FLIGHT, &[("endpoint", "Sleep")]);
                found = found.or((serving > 0.0).then_some(place));
            }
        }
    })
    .await;
    backs.remove(found.expect("one serves it")).kill().await;
    let answer = call.await.expect("it does not panic");
    assert_eq!(answer.status.as_u16(), 503, "the call is lost, and says so");
    for back in &backs {
        let slept: Value = back.call("test.back.Back/Slept", &json!({})).ok().await;
        assert_eq!(slept["value"]["f0"], json!(0), "nobody began it anew");
    }
}

#[tokio::test]
async fn a_service_that_comes_later_in_another_host_is_called_without_a_restart() {
    let cluster = cluster::unique("later");
    let late = "grants = { calls = [\"test.back.Back\"], late = [\"test.back.Back\"] }";
    let front = Start::settings(&settings::service("front", &guests::guest("front"), late)).among(&cluster).ready().await;
    assert_eq!(front.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).fails().await.code, "unavailable");
    // Who names a peer is known to that peer, too.
    let _back = Start::guest("back").among(&cluster).arg("--peer").arg(front.url()).ready().await;
    e2e::soon("the service", async { while front.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).answer().await.status != 200 {} })
        .await;
}

#[tokio::test]
async fn the_services_of_other_hosts_are_listed() {
    let cluster = cluster::unique("listed");
    let backs = [back(&cluster).await];
    let front = front(&cluster, &backs).await;
    let services = front.admin(["services", "--json"]).run().await.json();
    let of_back = services.as_array().expect("a list").iter().find(|service| service["name"] == "back").expect("it is known").clone();
    assert_eq!((&of_back["state"], &of_back["address"]), (&json!("serving"), &json!(backs[0].url())));
    let text = front.admin(["services"]).run().await.succeeded();
    assert!(text.contains("ON OTHER HOSTS") && text.contains(&backs[0].url()), "{text}");
}
