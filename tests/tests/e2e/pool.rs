//! Instances: reused, shared, bounded, replaced, dropped.

use std::collections::HashSet;
use std::time::Instant;

use e2e::connect::Failure;
use e2e::host::{Host, Start};
use e2e::http::{Connection, Version};
use e2e::metrics::{IN_FLIGHT, INSTANCES, QUEUED, SHED, STARTED};
use e2e::{SOON, guests, settings, soon};
use futures::future::join_all;
use serde_json::{Value, json};

const SLEEP: &str = "test.sleeper.Sleeper/Sleep";
const REPORT: &str = "test.sleeper.Sleeper/Report";
const HANG: &str = "test.sleeper.Sleeper/Hang";

/// What the sleeper tells of the instance that served a call.
#[derive(Debug)]
struct Report {
    instance: u64,
    served: u64,
    most: u64,
}

impl Report {
    fn of(reply: &Value) -> Report {
        let number = |name: &str| {
            let value = &reply[name];
            value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("no number {name} in {reply}"))
        };
        Report { instance: number("instance"), served: number("served"), most: number("most") }
    }
}

/// One report after the other, on one connection.
async fn reports(host: &Host, count: usize) -> Vec<Report> {
    let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
    let mut reports = Vec::with_capacity(count);
    for _ in 0..count {
        let answer = soon("a report", connection.send(host.call(REPORT, &json!({})).into_request())).await.expect("an answer");
        reports.push(Report::of(&answer.json()));
    }
    reports
}

/// Calls that sleep at the same time, on connections of their own.
async fn sleepers(host: &Host, count: usize, ms: u64) -> Vec<Report> {
    let calls = (0..count).map(|_| async move { Report::of(&host.call(SLEEP, &json!({ "ms": ms })).ok().await) });
    join_all(calls).await
}

fn instances(reports: &[Report]) -> HashSet<u64> {
    reports.iter().map(|report| report.instance).collect()
}

#[tokio::test]
async fn calls_one_after_the_other_share_an_instance() {
    let host = Host::of("sleeper").await;
    let reports = reports(&host, 20).await;
    assert_eq!(instances(&reports).len(), 1, "{reports:?}");
    let served: Vec<_> = reports.iter().map(|report| report.served).collect();
    assert_eq!(served, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_instance_takes_several_calls_at_once() {
    let host = Start::guest("sleeper").limit("instances=1").ready().await;
    let reports = sleepers(&host, 16, 1000).await;
    assert_eq!(instances(&reports).len(), 1, "{reports:?}");
    assert!(reports.iter().any(|report| report.most == 16), "{reports:?}");
}

#[tokio::test]
async fn one_instance_takes_no_more_calls_at_once_than_set() {
    let host = Start::guest("sleeper").limit("instances=1").limit("concurrency=3").ready().await;
    let reports = sleepers(&host, 12, 50).await;
    assert!(reports.iter().all(|report| report.most <= 3), "{reports:?}");
}

#[tokio::test]
async fn load_makes_more_instances_up_to_the_limit() {
    let host = Start::guest("sleeper").limit("instances=3").limit("concurrency=1").ready().await;
    let reports = sleepers(&host, 9, 300).await;
    assert_eq!(instances(&reports).len(), 3, "{reports:?}");
    assert_eq!(host.metrics().await.value(STARTED, &[]), 3.0);
}

#[tokio::test]
async fn an_instance_is_replaced_after_its_number_of_calls() {
    let host = Start::guest("sleeper").limit("calls-per-instance=3").ready().await;
    let reports = reports(&host, 9).await;
    assert!(reports.iter().all(|report| report.served <= 3), "{reports:?}");
    assert_eq!(instances(&reports).len(), 3, "{reports:?}");
}

#[tokio::test]
async fn an_instance_is_replaced_when_it_is_old() {
    let host = Start::guest("sleeper").limit("instance-age=200ms").ready().await;
    let began = std::time::Instant::now();
    let mut seen = HashSet::new();
    while seen.len() < 2 {
        assert!(began.elapsed() < SOON, "still the same instance");
        seen.extend(instances(&reports(&host, 1).await));
    }
}

#[tokio::test]
async fn an_idle_service_holds_no_instance() {
    let host = Start::guest("sleeper").limit("idle=200ms").ready().await;
    let before = reports(&host, 1).await;
    host.metric_becomes(INSTANCES, &[], |instances| instances == 0.0).await;
    let after = reports(&host, 1).await;
    assert_ne!(before[0].instance, after[0].instance, "the next call finds a new one");
}

#[tokio::test]
async fn with_isolation_by_request_every_call_has_a_fresh_instance() {
    let host = Start::guest("sleeper").arg("--isolation").arg("request").ready().await;
    let mut all = reports(&host, 5).await;
    all.extend(sleepers(&host, 8, 50).await);
    assert_eq!(instances(&all).len(), 13, "{all:?}");
    assert!(all.iter().all(|report| report.served == 1 && report.most == 1), "{all:?}");
    host.metric_becomes(INSTANCES, &[], |instances| instances == 0.0).await;
}

#[tokio::test]
async fn isolation_is_set_in_the_file_too() {
    let text = settings::service("sleeper", &guests::guest("sleeper"), "isolation = \"request\"");
    let host = Start::settings(&text).ready().await;
    assert_eq!(instances(&reports(&host, 4).await).len(), 4);
}

#[tokio::test]
async fn a_full_queue_sheds_at_once_and_what_waits_is_served() {
    let host = Start::guest("sleeper").limit("instances=1").limit("concurrency=1").limit("queue=1").ready().await;
    let begin = async |endpoint: &str, body: Value| {
        let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
        let answer = connection.begin(host.call(endpoint, &body).into_request()).await.expect("the connection takes a call");
        (connection, tokio::spawn(answer))
    };
    let running = begin(HANG, json!({})).await;
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 1.0).await;
    let waiting = begin(SLEEP, json!({"ms": 1})).await;
    host.metric_becomes(QUEUED, &[], |calls| calls == 1.0).await;

    let failure = host.call(REPORT, &json!({})).fails().await;
    assert_eq!((failure.code.as_str(), failure.http), ("resource_exhausted", 429), "{failure:?}");
    assert_eq!(host.metrics().await.value(SHED, &[]), 1.0);

    // Hanging up frees the place, and who waits gets it.
    drop(running.0);
    let answer = soon("the waiting call's answer", waiting.1).await.expect("the task ends").expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_call_that_waits_in_the_queue_past_its_deadline_fails_and_leaves_it() {
    let host = Start::guest("sleeper").limit("instances=1").limit("concurrency=1").limit("timeout=1h").ready().await;
    let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
    let hanging = tokio::spawn(connection.begin(host.call(HANG, &json!({})).into_request()).await.expect("the connection takes a call"));
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 1.0).await;
    let answer = host.call(REPORT, &json!({})).header("connect-timeout-ms", "100").answer().await;
    assert_eq!(Failure::of(&answer).code, "deadline_exceeded");
    host.metric_becomes(QUEUED, &[], |calls| calls == 0.0).await;
    assert!(!hanging.is_finished(), "the call before it goes on");
}

#[tokio::test]
async fn calls_that_find_the_only_instance_still_being_made_are_answered() {
    for _ in 0..10 {
        let host = Start::guest("sleeper").limit("instances=1").ready().await;
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(Connection::open(host.address, Version::One).await.expect("HTTP is spoken"));
        }
        // All at the same moment, and nothing after them that would wake what sleeps.
        let calls = connections.iter_mut().map(|connection| connection.send(host.call(SLEEP, &json!({"ms": 1})).into_request()));
        for answer in soon("every answer", join_all(calls)).await {
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_plain_function_does_not_wait_for_calls_that_it_cannot_share_an_instance_with() {
    let host = Start::guest("sleeper").limit("instances=2").ready().await;
    let hanging = async {
        host.call(HANG, &json!({})).header("connect-timeout-ms", "10000").fails().await;
        Instant::now()
    };
    let reported = async {
        host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 1.0).await;
        host.call(REPORT, &json!({})).ok().await;
        Instant::now()
    };
    let (hanging, reported) = tokio::join!(hanging, reported);
    assert!(reported < hanging, "it has an instance of its own");
}
