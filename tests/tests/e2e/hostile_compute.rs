//! Guests that compute without end, in every place where the host lets them: their callers are told
//! why, and the neighbour is served as before.

use e2e::connect::Failure;
use e2e::guests::{guest, text};
use e2e::host::Host;
use e2e::neighbour::beside_echo;
use futures::future::join_all;
use serde_json::{Value, json};

/// What the host may take in addition, where the guests themselves hold next to nothing.
const LITTLE: u64 = 64 << 20;

/// Calls as often as there are bodies, at once.
async fn at_once(host: &Host, endpoint: &str, bodies: impl IntoIterator<Item = Value>) -> Vec<Failure> {
    join_all(bodies.into_iter().map(|body| async move { Failure::of(&host.call(endpoint, &body).answer().await) })).await
}

/// All failed by this limit, and were told what to write to raise it.
#[track_caller]
fn by_limit(failures: &[Failure], code: &str, limit: &str) {
    for failure in failures {
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(&format!("limit {limit}")), "{failure:?}");
        assert!(failure.message.contains("in [service.hostile.limits]"), "{failure:?}");
    }
}

#[tokio::test]
async fn hostile_loops_on_more_instances_than_cores_hold_no_neighbour_up() {
    let host = beside_echo(&guest("spin"), "instances = 12, concurrency = 1, cpu = \"500ms\"").await;
    let neighbour = host.neighbour().await;
    let (plain, waiting) = neighbour
        .withstands(
            async {
                let plain = at_once(&host, "test.spin.Spin/Forever", vec![json!({}); 6]);
                let waiting = at_once(&host, "test.spin.Spin/ForeverAsync", vec![json!({}); 6]);
                tokio::join!(plain, waiting)
            },
            LITTLE,
        )
        .await;
    by_limit(&plain, "resource_exhausted", "cpu");
    by_limit(&waiting, "resource_exhausted", "cpu");
}

#[tokio::test]
async fn hostile_bursts_that_pause_before_they_are_long_hold_no_neighbour_up() {
    let host = beside_echo(&guest("hostile"), "instances = 24, concurrency = 1, cpu = \"300ms\"").await;
    let neighbour = host.neighbour().await;
    let bursts = at_once(&host, "test.hostile.Hostile/Bursts", vec![json!({ "ms": 12 }); 24]);
    by_limit(&neighbour.withstands(bursts, LITTLE).await, "resource_exhausted", "cpu");
}

#[tokio::test]
async fn hostile_floods_of_calls_that_compute_a_while_hold_no_neighbour_up() {
    let host = beside_echo(&guest("hostile"), "instances = 24, concurrency = 1").await;
    let neighbour = host.neighbour().await;
    let flood = join_all((0..24).map(|_| async {
        for _ in 0..20 {
            host.call("test.hostile.Hostile/Burst", &json!({ "ms": 12 })).ok().await;
        }
    }));
    neighbour.withstands(flood, LITTLE).await;
}

#[tokio::test]
async fn hostile_allocators_that_loop_end_by_the_cpu_limit_and_hold_no_neighbour_up() {
    let host = beside_echo(&text("hostile-realloc"), "instances = 8, cpu = \"300ms\", memory = \"8MiB\"").await;
    let neighbour = host.neighbour().await;
    let text = || vec![json!({ "text": "hello" }); 6];
    let harm =
        async { tokio::join!(at_once(&host, "test.realloc.Realloc/Loops", text()), at_once(&host, "test.realloc.Realloc/Grows", text())) };
    let (loops, grows) = neighbour.withstands(harm, LITTLE).await;
    by_limit(&loops, "resource_exhausted", "cpu");
    by_limit(&grows, "resource_exhausted", "cpu");
    let answered = host.call("test.realloc.Realloc/Answers", &json!({ "text": "hello" })).ok().await;
    assert_eq!(answered, json!({ "value": 5 }));
}

#[tokio::test]
async fn hostile_allocators_that_loop_over_a_hosts_answer_end_by_the_cpu_limit() {
    let host = beside_echo(&text("hostile-result"), "instances = 8, cpu = \"300ms\"").await;
    let neighbour = host.neighbour().await;
    let loops = at_once(&host, "test.result.Result/Loops", vec![json!({}); 6]);
    by_limit(&neighbour.withstands(loops, LITTLE).await, "resource_exhausted", "cpu");
}

#[tokio::test]
async fn hostile_allocators_that_answer_nonsense_fail_their_own_calls_alone() {
    let host = beside_echo(&text("hostile-realloc"), "").await;
    let neighbour = host.neighbour().await;
    let harm = async {
        for method in ["Beyond", "Unaligned", "Traps"].iter().cycle().take(30) {
            let failure = host.call(&format!("test.realloc.Realloc/{method}"), &json!({ "text": "hello" })).fails().await;
            assert_eq!(failure.code, "internal", "{method}: {failure:?}");
        }
    };
    neighbour.withstands(harm, LITTLE).await;
    host.call("test.realloc.Realloc/Answers", &json!({ "text": "hello" })).ok().await;
}

#[tokio::test]
async fn hostile_starts_that_never_end_are_given_up_and_hold_no_neighbour_up() {
    for (name, endpoint) in [("hostile-start", "test.start.Start/Ok"), ("hostile-sleep", "test.sleep.Sleep/Ok")] {
        let host = beside_echo(&text(name), "instances = 8, start = \"1s\"").await;
        let neighbour = host.neighbour().await;
        let failures = neighbour.withstands(at_once(&host, endpoint, vec![json!({}); 8]), LITTLE).await;
        by_limit(&failures, "unavailable", "start");
    }
}

#[tokio::test]
async fn hostile_recursion_into_the_host_ends_at_the_guests_own_stack() {
    let host = beside_echo(&guest("hostile"), "").await;
    let neighbour = host.neighbour().await;
    let harm = async {
        for _ in 0..10 {
            let failures = at_once(&host, "test.hostile.Hostile/Recurse", vec![json!({}); 4]).await;
            assert!(failures.iter().all(|failure| failure.code == "internal"), "{failures:?}");
        }
    };
    neighbour.withstands(harm, LITTLE).await;
    host.log().record("why", |record| record.to_string().contains("call stack exhausted")).await;
    host.call("test.hostile.Hostile/Ok", &json!({})).ok().await;
}

#[tokio::test]
async fn hostile_timers_by_the_thousand_are_waited_for_and_hold_no_neighbour_up() {
    let host = beside_echo(&guest("hostile"), "handles = 32768").await;
    let neighbour = host.neighbour().await;
    let timers = join_all((0..4).map(|_| host.call("test.hostile.Hostile/Timers", &json!({ "count": 5_000, "ms": 1_000 })).ok()));
    for counted in neighbour.withstands(timers, 256 << 20).await {
        assert_eq!(counted, json!({ "value": 5_000 }));
    }
    let harm = host.call("test.hostile.Hostile/Timers", &json!({ "count": 1_000_000, "ms": 3_600_000 })).fails();
    let failure = neighbour.withstands(harm, 384 << 20).await;
    by_limit(&[failure], "internal", "handles");
}

#[tokio::test]
async fn hostile_loops_leave_the_other_calls_of_their_own_service_a_way() {
    let host = beside_echo(&guest("spin"), "instances = 3, cpu = \"5s\"").await;
    let looping = host.call("test.spin.Spin/ForeverAsync", &json!({}));
    let (looping, ()) = tokio::join!(looping.fails(), async {
        host.metric_becomes(e2e::metrics::CPU, &[("service", "hostile")], |seconds| seconds > 0.1).await;
        for _ in 0..20 {
            host.call("test.spin.Spin/ForAsync", &json!({ "ms": 1 })).ok().await;
        }
        let loops = host.metrics().await.value(e2e::metrics::IN_FLIGHT, &[("endpoint", "ForeverAsync")]);
        assert_eq!(loops, 1.0, "it loops all the while");
    });
    by_limit(&[looping], "resource_exhausted", "cpu");
}
