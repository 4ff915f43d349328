//! Streams that are slow, endless, late, left or too many: what they hold, and what they leave.

use std::time::Duration;

use e2e::host::{Host, Start};
use e2e::metrics::{CONNECTIONS, IN_FLIGHT, INSTANCES, MEMORY, STREAMS};
use e2e::streams::Stream;
use futures::future::join_all;
use serde_json::{Value, json};

fn endpoint(method: &str) -> String {
    format!("example.streams.Streams/{method}")
}

/// The host's resident memory, in bytes.
fn resident(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).expect("the host runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// How many of the guest's unending streams have ended.
async fn ended(host: &Host) -> u64 {
    let reply = host.call(&endpoint("Ended"), &json!({})).ok().await;
    reply["value"].as_str().unwrap_or("0").parse().expect("a number")
}

async fn until_ended(host: &Host, count: u64) {
    e2e::soon("the guest hears that its reader has gone", async {
        while ended(host).await < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stalled_reader_holds_up_a_fast_writer_and_memory_stays_flat() {
    let host = Start::guest("streams").limit("instances=1").ready().await;
    let mut streams = host.streams().await;
    // Warm: what the first stream needs is not what is measured.
    drop(streams.open_done(&endpoint("Endless"), &[json!({"size": 16_384})]).await);
    let sent =
        |metrics: &e2e::metrics::Metrics| metrics.sum("microhost_stream_messages_total", &[("endpoint", "Endless"), ("direction", "sent")]);
    let stalled = join_all((0..20).map(|_| async {
        let mut streams = host.streams().await;
        let stream = streams.open_done(&endpoint("Endless"), &[json!({"size": 16_384})]).await;
        (streams, stream)
    }))
    .await;
    // Whether more is sent than this within a time.
    let grows = async |from: f64, within: Duration| {
        let grown = async { while sent(&host.metrics().await) == from {} };
        tokio::time::timeout(within, grown).await.is_ok()
    };
    // The writers come to a stop.
    let settled = e2e::soon("the writers stop", async {
        loop {
            let now = sent(&host.metrics().await);
            if !grows(now, Duration::from_millis(300)).await {
                return now;
            }
        }
    })
    .await;
    let before = resident(&host);
    assert!(!grows(settled, Duration::from_secs(1)).await, "nobody writes while nobody reads");
    let after = resident(&host);
    assert!(after < before + (2 << 20), "{before} bytes became {after} while nobody read");
    // 20 streams, each within the 2 MiB that hyper's client takes unread, and half of one for the host.
    let most = 20.0 * 2.5 * f64::from(1 << 20);
    assert!(settled * 16_384.0 < most, "{settled} messages were sent to readers who do not read");
    drop(stalled);
    until_ended(&host, 21).await;
}

#[tokio::test]
async fn a_guest_that_does_not_read_holds_up_the_client() {
    let host = Start::guest("streams").limit("instances=1").ready().await;
    let mut streams = host.streams().await;
    let call = streams.begin_unanswered(&endpoint("Deaf")).await;
    let sent = call.send_until_stuck(&json!({"value": "A".repeat(64 << 10)}), Duration::from_millis(500)).await;
    // The window of a stream is 1 MiB.
    assert!(sent < 40, "{sent} messages of 64 KiB were taken for a guest that reads none");
}

#[tokio::test]
async fn a_client_that_goes_is_told_to_the_guest_at_its_next_message() {
    let host = Start::guest("streams").limit("instances=1").ready().await;
    let mut streams = host.streams().await;
    let mut call = streams.open_done(&endpoint("Tick"), &[json!({"milliseconds": 20})]).await;
    assert!(call.next().await.is_some());
    drop(call);
    until_ended(&host, 1).await;
    assert_eq!(host.metrics().await.sum(STREAMS, &[]), 0.0);
    // The same where the whole connection goes.
    let mut call = streams.open_done(&endpoint("Tick"), &[json!({"milliseconds": 20})]).await;
    assert!(call.next().await.is_some());
    drop((call, streams));
    until_ended(&host, 2).await;
    assert_eq!(host.metrics().await.sum(INSTANCES, &[]), 1.0, "no instance is given up for it");
}

#[tokio::test]
async fn a_deadline_ends_a_stream() {
    let host = Host::of("streams").await;
    let mut streams = host.streams().await;
    let tick = [json!({"milliseconds": 10})];
    let mut call = streams.open_done_with(&endpoint("Tick"), &tick, &[("grpc-timeout", "300m")]).await;
    while call.next().await.is_some() {}
    assert_eq!(call.end().await.status, 4);
    let host = Start::guest("streams").limit("stream-timeout=300ms").ready().await;
    let mut streams = host.streams().await;
    let mut call = streams.open_done(&endpoint("Tick"), &tick).await;
    while call.next().await.is_some() {}
    assert_eq!(call.end().await.status, 4, "the service's own limit counts too");
}

#[tokio::test]
async fn streams_take_no_places_from_calls_and_have_a_bound_of_their_own() {
    let host = Start::guest("streams").limit("instances=1").limit("concurrency=1").limit("streams=3").ready().await;
    let mut streams = host.streams().await;
    let mut open: Vec<Stream> = Vec::new();
    for _ in 0..3 {
        let mut call = streams.open(&endpoint("Shout"), &[json!({"id": 1, "text": "a", "tags": []})]).await;
        assert!(call.next().await.is_some());
        open.push(call);
    }
    ended(&host).await;
    let end = streams.open_done(&endpoint("Countdown"), &[json!({"from": "1"})]).await.end().await;
    assert_eq!(end.status, 8, "{end:?}");
    assert!(end.message.contains("its limit streams"), "{end:?}");
    drop(open.pop());
    e2e::soon("the place of a stream that has gone", async {
        while streams.open_done(&endpoint("Countdown"), &[json!({"from": "1"})]).await.next().await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_message_over_its_limit_ends_the_stream() {
    let host = Start::guest("streams").limit("request=10KiB").limit("reply=20KiB").ready().await;
    let mut streams = host.streams().await;
    let mut call = streams.open(&endpoint("Shout"), &[json!({"id": 1, "text": "a", "tags": []})]).await;
    assert!(call.next().await.is_some());
    call.send(&json!({"id": 1, "text": "A".repeat(11 << 10), "tags": []})).await;
    let end = call.end().await;
    assert_eq!(end.status, 8, "{end:?}");
    let (replies, end) = streams.all(&endpoint("Produce"), &[json!({"count": 3, "size": 30 << 10})]).await;
    assert_eq!((replies.len(), end.status), (0, 8), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_dropped_at_random_moments_leave_nothing() {
    let host = Host::of("streams").await;
    // The same work once before: pools and allocators keep what they have come to.
    open_and_drop(&host, 2_000, 1).await;
    let memory = settled(&host).await;
    let before = resident(&host);
    open_and_drop(&host, 10_000, 2).await;
    let left = settled(&host).await;
    let after = resident(&host);
    assert!(left <= memory.max(1.0) * 2.0, "instances held {memory} bytes, and hold {left} now");
    assert!(after < before + (24 << 20), "{before} bytes became {after}");
}

/// Opens streams of every kind over a few connections and drops each after some messages, or none.
async fn open_and_drop(host: &Host, count: u64, seed: u64) {
    const CONNECTIONS: u64 = 20;
    join_all((0..CONNECTIONS).map(|connection| async move {
        let mut random = seed * 1_000 + connection;
        let mut next = move |below: u64| {
            // Knuth's linear congruential generator: the same moments in every run.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut streams = host.streams().await;
        for _ in 0..count / CONNECTIONS {
            let note: Value = json!({"id": 1, "text": "a", "tags": ["b"]});
            match next(5) {
                0 => drop(streams.open(&endpoint("Shout"), &[]).await),
                1 => {
                    let mut call = streams.open(&endpoint("Shout"), &[note]).await;
                    assert!(call.next().await.is_some());
                }
                2 => {
                    let mut call = streams.open_done(&endpoint("Countdown"), &[json!({"from": next(300).to_string()})]).await;
                    for _ in 0..next(10) {
                        call.next().await;
                    }
                }
                3 => {
                    let mut call = streams.open_done(&endpoint("Endless"), &[json!({"size": next(2_000)})]).await;
                    for _ in 0..next(10) {
                        assert!(call.next().await.is_some());
                    }
                }
                _ => drop(streams.begin_unanswered(&endpoint("Sum")).await),
            }
        }
    }))
    .await;
}

/// Waits until no stream, call, connection but this one, or instance is left that a stream needs; the
/// memory of the instances that stay.
async fn settled(host: &Host) -> f64 {
    e2e::soon("everything of the streams is gone", async {
        loop {
            let metrics = host.metrics().await;
            // The look itself is a connection.
            if metrics.sum(STREAMS, &[]) + metrics.sum(IN_FLIGHT, &[]) == 0.0 && metrics.sum(CONNECTIONS, &[]) <= 1.0 {
                assert!(metrics.sum(INSTANCES, &[]) <= 64.0);
                return metrics.sum(MEMORY, &[]);
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
