//! What a service may use of the host over all its instances, and what its callers are told when it has
//! used it.

use std::time::{Duration, Instant};

use e2e::connect::Failure;
use e2e::guests::guest;
use e2e::metrics::{CPU, IN_FLIGHT};
use e2e::neighbour::beside_echo;
use futures::future::join_all;
use serde_json::json;

const OF_HOSTILE: &[(&str, &str)] = &[("service", "hostile")];

#[tokio::test]
async fn hostile_traps_tell_the_fifteen_other_calls_why_they_failed_and_serve_the_next() {
    let host = beside_echo(&guest("trap"), "instances = 1, concurrency = 16").await;
    let neighbour = host.neighbour().await;
    let harm = async {
        for _ in 0..3 {
            let waits = join_all((0..15).map(|_| host.call("test.trap.Trap/Wait", &json!({ "ms": 20_000 })).answer()));
            let trap = async {
                host.metric_becomes(IN_FLIGHT, &[("endpoint", "Wait")], |calls| calls == 15.0).await;
                host.call("test.trap.Trap/PanicLater", &json!({ "ms": 100 })).answer().await
            };
            let (waited, trapped) = tokio::join!(waits, trap);
            for answer in waited.iter().chain([&trapped]) {
                let failure = Failure::of(answer);
                assert_eq!((failure.code.as_str(), failure.message.as_str()), ("internal", "the service failed while it served the call"));
            }
            host.call("test.trap.Trap/Ok", &json!({})).ok().await;
        }
    };
    neighbour.withstands(harm, 64 << 20).await;
}

#[tokio::test]
async fn hostile_crowds_of_calls_are_refused_by_the_limit_calls() {
    let host = beside_echo(&guest("sleeper"), "calls = 20").await;
    let neighbour = host.neighbour().await;
    let crowd = join_all((0..60).map(|_| host.call("test.sleeper.Sleeper/Sleep", &json!({ "ms": 1_000 })).answer()));
    let answers = neighbour.withstands(crowd, 64 << 20).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(served.len() >= 20 && !refused.is_empty(), "{} were served", served.len());
    for refused in refused {
        let failure = Failure::of(refused);
        assert_eq!(failure.code, "resource_exhausted", "{failure:?}");
        let told = "hostile has reached its limit calls, 20; to raise it, write calls = 40 in [service.hostile.limits]";
        assert_eq!(failure.message, told);
    }
    host.metric_becomes("microhost_service_calls", OF_HOSTILE, |calls| calls == 0.0).await;
}

#[tokio::test]
async fn hostile_loops_compute_no_more_than_their_share() {
    let host = beside_echo(&guest("spin"), "instances = 4, concurrency = 1, cpu-share = 0.2, timeout = \"4s\"").await;
    let neighbour = host.neighbour().await;
    let began = Instant::now();
    let loops = join_all((0..4).map(|_| host.call("test.spin.Spin/ForeverAsync", &json!({})).fails()));
    for failure in neighbour.withstands(loops, 64 << 20).await {
        assert_eq!(failure.code, "deadline_exceeded", "{failure:?}");
        assert!(failure.message.contains("hostile is held back by its limit cpu-share, 0.2"), "{failure:?}");
        assert!(failure.message.contains("[service.hostile.limits]"), "{failure:?}");
    }
    let (computed, passed) = (host.metrics().await.value(CPU, OF_HOSTILE), began.elapsed());
    assert!(passed >= Duration::from_secs(4));
    // What each instance computes before it first pauses comes on top.
    let most = 0.2 * passed.as_secs_f64() + 0.2;
    assert!(computed > 0.1 && computed < most, "{computed} s of {passed:?} were computed");
}
