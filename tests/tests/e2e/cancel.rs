//! A call nobody waits for any more: its work stops, its place is free, and nobody else suffers.

use std::time::Instant;

use e2e::host::{Host, Start};
use e2e::http::{Connection, Version};
use e2e::metrics::{CALLS, IN_FLIGHT, INSTANCES};
use e2e::soon;
use serde_json::{Value, json};

use crate::messages::Number;

const SLEEP: &str = "test.sleeper.Sleeper/Sleep";
const HANG: &str = "test.sleeper.Sleeper/Hang";

/// One instance, so that what is cancelled and what goes on share it.
async fn sleeper() -> Host {
    Start::guest("sleeper").limit("instances=1").ready().await
}

/// What the instance says of itself, its other calls included: a plain function would wait for them.
async fn report(host: &Host) -> Value {
    host.call(SLEEP, &json!({"ms": 0})).ok().await
}

#[tokio::test]
async fn a_deadline_ends_a_call_while_others_in_the_instance_finish() {
    let host = sleeper().await;
    // The instance is there before its time is measured.
    report(&host).await;
    let other = async {
        let slept = host.call(SLEEP, &json!({"ms": 1500})).ok().await;
        assert_eq!(slept["most"], 2, "both calls were in one instance: {slept}");
        Instant::now()
    };
    let hanging = async {
        let failure = host.call(HANG, &json!({})).header("connect-timeout-ms", "500").fails().await;
        assert_eq!((failure.code.as_str(), failure.http), ("deadline_exceeded", 504), "{failure:?}");
        Instant::now()
    };
    let (slept, ended) = tokio::join!(other, hanging);
    assert!(ended < slept, "the deadline does not wait for the other call");
    assert_eq!(report(&host).await["live"], 1, "this one alone: what was ended is gone");
}

#[tokio::test]
async fn the_places_of_ended_calls_are_taken_by_others_while_one_goes_on() {
    let host = Start::guest("sleeper").limit("instances=2").limit("concurrency=4").ready().await;
    let long = async {
        host.call(SLEEP, &json!({"ms": 3000})).ok().await;
        Instant::now()
    };
    let others = async {
        // More, one after the other, than all instances together have places.
        for _ in 0..12 {
            let failure = host.call(HANG, &json!({})).header("connect-timeout-ms", "100").fails().await;
            assert_eq!(failure.code, "deadline_exceeded", "{failure:?}");
        }
        report(&host).await;
        Instant::now()
    };
    let (long, others) = tokio::join!(long, others);
    assert!(others < long, "they are served while it goes on");
}

#[tokio::test]
async fn grpcs_deadline_is_kept() {
    let host = sleeper().await;
    let outcome = host.grpc(HANG, &()).header("grpc-timeout", "200m").outcome().await;
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert_eq!(host.metrics().await.value(CALLS, &[("endpoint", "Hang"), ("code", "deadline_exceeded")]), 1.0);
}

#[tokio::test]
async fn the_services_own_time_limit_holds_without_a_deadline() {
    let host = Start::guest("sleeper").limit("timeout=300ms").ready().await;
    assert_eq!(host.call(HANG, &json!({})).fails().await.code, "deadline_exceeded");
    let later = host.call(HANG, &json!({})).header("connect-timeout-ms", "3600000").fails().await;
    assert_eq!(later.code, "deadline_exceeded", "a caller cannot lengthen it");
}

#[tokio::test]
async fn a_deadline_frees_the_place_in_the_instance() {
    let host = Start::guest("sleeper").limit("instances=1").limit("concurrency=1").ready().await;
    for _ in 0..3 {
        assert_eq!(host.call(HANG, &json!({})).header("connect-timeout-ms", "100").fails().await.code, "deadline_exceeded");
    }
    let report = host.call(SLEEP, &json!({"ms": 1})).ok().await;
    assert_eq!(report["live"], 1, "{report}");
}

#[tokio::test]
async fn a_deadline_stops_a_guest_that_computes() {
    let host = Start::guest("spin").limit("instances=1").ready().await;
    let failure = host.call("test.spin.Spin/Forever", &json!({})).header("connect-timeout-ms", "300").fails().await;
    assert_eq!(failure.code, "deadline_exceeded", "{failure:?}");
    // Its only place is free again, so the loop has ended.
    host.call("test.spin.Spin/For", &json!({"ms": 1})).ok().await;
}

#[tokio::test]
async fn a_client_that_vanishes_ends_its_call_while_others_in_the_instance_finish() {
    let host = sleeper().await;
    report(&host).await;
    for version in [Version::One, Version::Two] {
        let mut connection = Connection::open(host.address, version).await.expect("HTTP is spoken");
        let answer = tokio::spawn(connection.begin(host.call(HANG, &json!({})).into_request()).await.expect("the connection takes a call"));
        host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 1.0).await;
        let other = host.call(SLEEP, &json!({"ms": 2000})).ok();
        let vanishing = async {
            host.metric_becomes(IN_FLIGHT, &[("endpoint", "Sleep")], |calls| calls == 1.0).await;
            drop(connection);
            soon("the call's end", answer).await.expect("the task ends").expect_err("the connection is gone");
            host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 0.0).await;
        };
        let (slept, ()) = tokio::join!(other, vanishing);
        assert_eq!(slept["most"], 2, "{version:?}: both calls were in one instance: {slept}");
        assert_eq!(report(&host).await["live"], 1, "{version:?}: this one alone: what was ended is gone");
    }
    assert_eq!(host.metrics().await.value(CALLS, &[("endpoint", "Hang"), ("code", "canceled")]), 2.0);
}

#[tokio::test]
async fn a_call_reset_on_a_shared_connection_ends_alone() {
    let host = sleeper().await;
    let mut connection = Connection::open(host.address, Version::Two).await.expect("HTTP/2 is spoken");
    let reset = tokio::spawn(connection.begin(host.grpc(HANG, &()).into_request()).await.expect("the connection takes a call"));
    let kept =
        tokio::spawn(connection.begin(host.grpc(SLEEP, &Number { value: 800 }).into_request()).await.expect("the connection takes a call"));
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 1.0).await;
    // Dropping the response's future resets the stream.
    reset.abort();
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 0.0).await;
    let answer = soon("the other call's answer", kept).await.expect("the task ends").expect("an answer");
    assert_eq!(e2e::grpc::outcome(&answer).status, 0, "{answer:?}");
}

#[tokio::test]
async fn hundreds_of_vanishing_clients_leave_nothing_behind() {
    let host = sleeper().await;
    let mut connections = Vec::new();
    for _ in 0..200 {
        let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
        let answer = connection.begin(host.call(HANG, &json!({})).into_request()).await.expect("the connection takes a call");
        connections.push((connection, tokio::spawn(answer)));
    }
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 200.0).await;
    drop(connections);
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Hang")], |calls| calls == 0.0).await;
    assert_eq!(report(&host).await["live"], 1, "this call alone");
    assert_eq!(host.metrics().await.value(INSTANCES, &[]), 1.0);
}

#[tokio::test]
async fn a_timeout_that_is_no_number_is_the_callers_mistake() {
    let host = sleeper().await;
    for wrong in ["abc", "-1", "12345678901", "1.5", ""] {
        let failure = host.call(SLEEP, &json!({"ms": 0})).header("connect-timeout-ms", wrong).fails().await;
        assert_eq!(failure.code, "invalid_argument", "{wrong:?}: {failure:?}");
    }
}

#[tokio::test]
async fn an_ended_call_that_goes_on_computing_takes_no_other_with_it() {
    let host = Start::guest("spin").limit("instances=1").limit("cpu=300ms").ready().await;
    host.call("test.spin.Spin/Wait", &json!({"ms": 0})).ok().await;
    let other = host.call("test.spin.Spin/Wait", &json!({"ms": 2500}));
    let ended = async {
        let failure = host.call("test.spin.Spin/Polite", &json!({})).header("connect-timeout-ms", "200").fails().await;
        assert_eq!(failure.code, "deadline_exceeded", "{failure:?}");
    };
    tokio::join!(async { other.ok().await }, ended);
}
