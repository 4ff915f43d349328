//! Several calls in one instance, each seeing what is its own.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::host::{Host, Start};
use e2e::http::{Connection, Version};
use e2e::log::message;
use e2e::soon;
use futures::future::join_all;
use serde_json::{Value, json};

const LOOK: &str = "test.context.Context/Look";

/// A look's metadata of one name, as text.
fn metadata(look: &Value, name: &str) -> Vec<String> {
    let entries = look["metadata"].as_array().expect("a list of metadata");
    let ours = entries.iter().filter(|entry| entry["name"] == name);
    ours.map(|entry| {
        let bytes = STANDARD.decode(entry["value"].as_str().expect("bytes are base64")).expect("bytes are base64");
        String::from_utf8(bytes).expect("the tests send text")
    })
    .collect()
}

fn time_left(look: &Value) -> u64 {
    look["timeLeftMs"].as_str().and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("no time left in {look}"))
}

#[tokio::test]
async fn calls_interleaved_in_one_instance_each_see_their_own_caller_deadline_and_metadata() {
    let host = Start::guest("context").limit("instances=1").ready().await;
    // Each a different deadline, far enough apart that none is taken for another.
    let calls = (1..=8_u64).map(|number| {
        let host = &host;
        async move {
            let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
            let tag = format!("call-{number}");
            let call = host.call(LOOK, &json!({"tag": tag, "waitMs": 500})).header("x-number", number.to_string());
            let request = call.header("connect-timeout-ms", (number * 60_000).to_string()).into_request();
            let answer = soon("an answer", connection.send(request)).await.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            (number, tag, connection.local.expect("TCP has an address"), answer.json())
        }
    });
    for (number, tag, local, reply) in join_all(calls).await {
        assert_eq!(reply["tag"], tag);
        for look in [&reply["before"], &reply["after"]] {
            assert_eq!(look["service"], "test.context.Context");
            assert_eq!(look["method"], "Look");
            assert_eq!(look["peer"], local.to_string(), "call {number}");
            assert_eq!(metadata(look, "x-number"), [number.to_string()]);
            let left = time_left(look);
            // The service's own limit of 30 s comes before all of these deadlines.
            assert!(left <= 30_000 && left > 1_000, "call {number} has {left} ms left");
        }
        assert!(time_left(&reply["after"]) < time_left(&reply["before"]), "time passes: {reply}");
    }
    interleaved(&host).await;
}

/// The log shows that the calls ran at the same time, and whose each line is.
async fn interleaved(host: &Host) {
    let looks: Vec<Value> = host.log().records().into_iter().filter(|record| message(record) == "looking").collect();
    assert_eq!(looks.len(), 16, "two lines a call:\n{}", host.log());
    let tags: Vec<&str> = looks.iter().map(|record| record["fields"]["guest"].as_str().expect("the guest's fields")).collect();
    let first: HashMap<&str, usize> = tags.iter().enumerate().rev().map(|(at, tag)| (*tag, at)).collect();
    assert_eq!(first.len(), 8);
    assert!(first.values().all(|at| *at < 8), "every call looks once before any looks again: {tags:?}");
    for record in &looks {
        assert_eq!((&record["fields"]["service"], &record["fields"]["method"]), (&json!("context"), &json!("Look")), "{record}");
    }
}

#[tokio::test]
async fn each_of_many_deadlines_is_its_own() {
    let host = Start::guest("context").limit("instances=1").limit("timeout=1h").ready().await;
    let calls = (1..=16_u64).map(|number| {
        let host = &host;
        async move {
            let call = host.call(LOOK, &json!({"tag": "t", "waitMs": 300})).header("connect-timeout-ms", (number * 60_000).to_string());
            (number, call.ok().await)
        }
    });
    for (number, reply) in join_all(calls).await {
        for look in [&reply["before"], &reply["after"]] {
            let left = time_left(look);
            assert!(left <= number * 60_000 && left > (number - 1) * 60_000, "call {number} has {left} ms left");
        }
    }
}

#[tokio::test]
async fn a_guest_sees_no_header_of_a_protocol_and_cannot_be_lied_to_about_its_caller() {
    let host = Host::of("context").await;
    let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
    let call = host.call("test.context.Context/LookPlain", &json!({}));
    let call = call.header("x-forwarded-for", "10.1.2.3").header("forwarded", "for=10.1.2.3").header("connect-protocol-version", "1");
    let answer = soon("an answer", connection.send(call.into_request())).await.expect("an answer").json();
    let look = answer.get("value").unwrap_or(&answer);
    assert_eq!(look["peer"], connection.local.expect("TCP has an address").to_string());
    let names: Vec<_> = look["metadata"].as_array().expect("a list").iter().map(|entry| entry["name"].as_str().expect("a name")).collect();
    assert!(
        !names.iter().any(|name| name.starts_with("connect-") || ["host", "content-type", "content-length"].contains(name)),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_guest_sets_metadata_before_and_after_its_reply() {
    let host = Host::of("context").await;
    let body = json!({"headers": [{"name": "x-h", "value": "MQ=="}], "trailers": [{"name": "x-t", "value": "Mg=="}], "fail": false});
    let answer = host.call("test.context.Context/Answer", &body).answer().await;
    assert_eq!((answer.status.as_u16(), answer.header("x-h"), answer.header("trailer-x-t")), (200, "1", "2"), "{answer:?}");
}

#[tokio::test]
async fn a_guest_that_fails_still_sends_its_metadata() {
    let host = Host::of("context").await;
    let body = json!({"headers": [{"name": "x-h", "value": "MQ=="}], "trailers": [], "fail": true});
    let failure = host.call("test.context.Context/Answer", &body).fails().await;
    assert_eq!((failure.code.as_str(), failure.message.as_str(), failure.http), ("aborted", "as you asked", 409));
    assert_eq!(failure.headers.get("x-h").map(|value| value.as_bytes()), Some(&b"1"[..]), "{failure:?}");
}

#[tokio::test]
async fn a_guest_cannot_set_a_protocols_own_headers() {
    let host = Host::of("context").await;
    for name in ["content-length", "grpc-status", "connect-content-encoding", "Not-Lower", "a b", "transfer-encoding"] {
        let body = json!({"headers": [{"name": name, "value": "MQ=="}], "trailers": [], "fail": false});
        let failure = host.call("test.context.Context/Answer", &body).fails().await;
        assert_eq!(failure.code, "invalid_argument", "{name}: {failure:?}");
    }
}
