//! Calls that run when a host is told to stop: they have a grace to end in, and then a status that says what
//! became of them.

use e2e::grpc::{frame, frames};
use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version, request};
use e2e::metrics::{CALLS, IN_FLIGHT};
use e2e::streams::Stream;
use e2e::{cluster, guests, settings, soon};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::trouble::{self, Callee};

/// What callers are told whose calls took too long.
const WHY: &str = "the host stops";

/// gRPC's number of `unavailable`.
const UNAVAILABLE: u8 = 14;

/// A service of each kind of call.
fn services() -> Start {
    let of = |name| settings::service(name, &guests::guest(name), "");
    Start::settings(&(of("sleeper") + &of("streams")))
}

/// A request under way: it has come to its handler, and its reply is read as it comes.
async fn under_way(host: &Host, version: Version, endpoint: &str, body: &Value) -> (Connection, JoinHandle<hyper::Result<Answer>>) {
    let (_, method) = endpoint.split_once('/').expect("a service and a method");
    let stream = method != "Hang";
    let mut request = host.call(endpoint, body);
    if stream {
        request = request.header("content-type", "application/connect+json").body(frame(false, body.to_string().as_bytes()));
    }
    let before = host.metrics().await.sum(IN_FLIGHT, &[("endpoint", method)]);
    let mut connection = Connection::open(host.address, version).await.expect("HTTP is spoken");
    let answer = tokio::spawn(connection.begin(request.into_request()).await.expect("the connection takes a call"));
    host.metric_becomes(IN_FLIGHT, &[("endpoint", method)], |calls| calls > before).await;
    (connection, answer)
}

async fn answered(answer: JoinHandle<hyper::Result<Answer>>) -> Answer {
    soon("an answer", answer).await.expect("no panic").expect("an answer, and not a connection that was cut")
}

async fn ends_unavailable(mut stream: Stream) {
    while stream.next().await.is_some() {}
    let end = stream.end().await;
    assert!(end.status == UNAVAILABLE && end.message.contains(WHY), "{end:?}");
}

/// Waits for the end of a host that was told to stop: it has to end well.
async fn ends_well(host: &Host) {
    let status = host.exited().await;
    assert!(status.success(), "ended with {status}");
}

#[tokio::test]
async fn calls_and_streams_that_outlive_the_grace_end_as_unavailable() {
    let host = services().arg("--grace").arg("1s").ready().await;
    let mut calls = Vec::new();
    let mut talks = Vec::new();
    for version in [Version::One, Version::Two] {
        calls.push(under_way(&host, version, "test.sleeper.Sleeper/Hang", &json!({})).await);
        talks.push(under_way(&host, version, "example.streams.Streams/Tick", &json!({"milliseconds": 20})).await);
    }
    let mut streams = host.streams().await;
    let mut ticks = streams.open_done("example.streams.Streams/Tick", &[json!({"milliseconds": 20})]).await;
    assert_eq!(ticks.next().await, Some(json!({"value": "0"})));
    let mut shouts = streams.open("example.streams.Streams/Shout", &[json!({"id": 1, "text": "a"})]).await;
    assert!(shouts.next().await.is_some());
    let sums = streams.begin_unanswered("example.streams.Streams/Sum").await;
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Sum")], |calls| calls == 1.0).await;

    host.terminate();
    ends_unavailable(ticks).await;
    ends_unavailable(shouts).await;
    ends_unavailable(sums.answered().await).await;
    for (_connection, answer) in calls {
        let answer = answered(answer).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (503, &json!("unavailable")), "{answer:?}");
        assert!(answer.text().contains(WHY), "{answer:?}");
    }
    for (_connection, answer) in talks {
        let answer = answered(answer).await;
        let (flags, end) = frames(&answer.body).pop().expect("the end of a stream");
        let end: Value = serde_json::from_slice(&end).expect("JSON");
        assert_eq!((flags, &end["error"]["code"]), (2, &json!("unavailable")), "{end}");
    }
    ends_well(&host).await;
}

#[tokio::test]
async fn plain_http_that_outlives_the_grace_is_answered_503_or_breaks_off() {
    for guest in ["site", "page"] {
        let host = Start::guest(guest).arg("--grace").arg("100ms").ready().await;
        let mut connection = Connection::open(host.address, Version::Two).await.expect("HTTP is spoken");
        let mut answers = Vec::new();
        for path in ["/slow?ms=3600000", "/pause"] {
            let answer = connection.begin(request("GET", host.address, path, "")).await.expect("the connection takes a request");
            answers.push(tokio::spawn(answer));
            let begun = answers.len() as f64;
            host.metric_becomes(IN_FLIGHT, &[("endpoint", "/")], |calls| calls == begun).await;
        }
        host.terminate();
        let paused = answers.pop().expect("two");
        soon("the end of a response", paused).await.expect("no panic").expect_err("it had begun, and breaks off");
        let answer = answered(answers.pop().expect("one")).await;
        assert!(answer.status == 503 && answer.text().contains(WHY), "{guest}: {answer:?}");
        ends_well(&host).await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_within_the_grace_comes_whole() {
    // Once the last one has ended, nobody waits for the hour to pass.
    let text = settings::service("streams", &guests::guest("streams"), "");
    let host = Start::settings(&format!("grace = \"1h\"\n{text}")).ready().await;
    let mut streams = host.streams().await;
    let count = 5_000;
    let mut numbers = streams.open_done("example.streams.Streams/Countdown", &[json!({ "from": count.to_string() })]).await;
    let mut shouts = streams.open("example.streams.Streams/Shout", &[]).await;
    host.terminate();
    host.logged("stopping").await;
    for id in 1..=20 {
        shouts.send(&json!({"id": id, "text": "a"})).await;
        assert_eq!(shouts.next().await.expect("an answer")["text"], "A");
    }
    shouts.half_close();
    assert_eq!(shouts.end().await.status, 0);
    let mut read = 0;
    while numbers.next().await.is_some() {
        read += 1;
    }
    assert_eq!((read, numbers.end().await.status), (count, 0));
    ends_well(&host).await;
}

#[tokio::test]
async fn without_a_grace_calls_end_at_once_and_are_told_so() {
    let host = services().env("MICROHOST_GRACE", "0s").ready().await;
    let (_connection, answer) = under_way(&host, Version::One, "test.sleeper.Sleeper/Hang", &json!({})).await;
    host.terminate();
    let answer = answered(answer).await;
    assert!(answer.status == 503 && answer.text().contains(WHY), "{answer:?}");
    ends_well(&host).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hold_up_the_end() {
    let host = services().arg("--grace").arg("100ms").ready().await;
    let mut streams = host.streams().await;
    let stream = streams.open_done("example.streams.Streams/Endless", &[json!({"size": 60_000})]).await;
    host.terminate();
    ends_well(&host).await;
    drop(stream);
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_grace() {
    let host = services().arg("--grace").arg("1h").ready().await;
    let (_connection, answer) = under_way(&host, Version::Two, "example.streams.Streams/Tick", &json!({"milliseconds": 20})).await;
    host.terminate();
    host.logged("stopping").await;
    host.interrupt();
    ends_well(&host).await;
    soon("the stream's end", answer).await.expect("no panic").expect_err("it was cut off");
}

#[tokio::test]
async fn a_grace_that_is_no_time_is_refused() {
    for wrong in ["soon", "5", "-1s"] {
        let (code, said) = Start::guest("echo").arg(format!("--grace={wrong}")).refused().await;
        assert!(code == 2 && said.contains("--grace") && said.contains("a time such as 500ms or 5s"), "{wrong}: {code} {said}");
    }
}

#[tokio::test]
async fn a_stream_of_another_host_that_its_grace_cuts_off_is_told_so_and_not_begun_anew() {
    let cluster = cluster::unique("grace");
    let front = trouble::front("").among(&cluster).ready().await;
    let mut backs = Vec::new();
    for _ in 0..2 {
        let host = trouble::back("").among(&cluster).arg("--grace").arg("1s").arg("--peer").arg(front.url()).ready().await;
        let connection = trouble::open(&host).await;
        backs.push(Callee::new(host, connection));
    }
    trouble::known(&front).await;
    let mut streams = front.streams().await;
    let mut stream = streams.open("test.front.Front/Shout", &[json!({"id": 1, "text": "a"})]).await;
    assert_eq!(stream.next().await, Some(json!({"id": 1, "text": "A"})));
    let at = usize::from(backs[1].streams("Shout").await);
    let serving = backs.remove(at).host;
    serving.terminate();
    ends_unavailable(stream).await;
    ends_well(&serving).await;
    // A host that is left has never had it.
    let left = backs.pop().expect("one of two").host;
    front.call(trouble::ADD, &json!({"a": 1, "b": 2})).ok().await;
    let metrics = left.metrics().await;
    assert_eq!(metrics.sum(CALLS, &[("endpoint", "Shout")]) + metrics.sum(IN_FLIGHT, &[("endpoint", "Shout")]), 0.0);
}
