//! Typed streams: every element type there and back, each side at its own pace, and how calls end.

use std::time::Duration;

use e2e::host::{Host, Start};
use e2e::metrics;
use serde_json::{Value, json};

fn endpoint(method: &str) -> String {
    format!("example.streams.Streams/{method}")
}

async fn all(method: &str, messages: &[Value]) -> Vec<Value> {
    let host = Host::of("streams").await;
    let (replies, end) = host.streams().await.all(&endpoint(method), messages).await;
    assert_eq!(end.status, 0, "{method}: {end:?}");
    replies
}

fn values(values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    values.into_iter().map(|value| json!({ "value": value })).collect()
}

#[tokio::test]
async fn records_stream_both_ways() {
    let notes = [json!({"id": 1, "text": "one", "tags": ["a", "b"]}), json!({"id": 2, "text": "two", "tags": []})];
    let loud = [json!({"id": 1, "text": "ONE", "tags": ["a", "b"]}), json!({"id": 2, "text": "TWO"})];
    let replies = all("Shout", &notes).await;
    assert_eq!(replies.len(), 2);
    for (reply, loud) in replies.iter().zip(&loud) {
        assert_eq!((&reply["id"], &reply["text"]), (&loud["id"], &loud["text"]));
    }
    assert_eq!(replies[0]["tags"], json!(["a", "b"]));
}

#[tokio::test]
async fn many_records_of_every_size_keep_their_order_and_contents() {
    let note = |id: u32| json!({"id": id, "text": "X".repeat((id as usize * 37) % 5_000), "tags": vec!["T"; id as usize % 4]});
    let notes: Vec<Value> = (1..=1_500).map(note).collect();
    let replies = all("Shout", &notes).await;
    assert_eq!(replies.len(), notes.len());
    for (reply, note) in replies.iter().zip(&notes) {
        assert_eq!((&reply["id"], reply["text"].as_str().unwrap_or_default()), (&note["id"], note["text"].as_str().expect("text")));
        assert_eq!(reply["tags"].as_array().map_or(0, Vec::len), note["tags"].as_array().map_or(0, Vec::len));
    }
}

#[tokio::test]
async fn a_stream_that_the_guest_hands_back_untouched_flows_through() {
    let notes: Vec<Value> = (1..=300).map(|id| json!({"id": id, "text": "n", "tags": ["t"]})).collect();
    assert_eq!(all("Pass", &notes).await, notes);
}

#[tokio::test]
async fn numbers_are_summed_and_counted_down() {
    assert_eq!(all("Sum", &values([json!(1), json!(-5), json!(2_147_483_647)])).await, values([json!("2147483643")]));
    assert_eq!(all("Sum", &[]).await.len(), 1);
    let numbers = all("Countdown", &[json!({"from": "1000"})]).await;
    assert_eq!(numbers.len(), 1_000);
    assert_eq!((&numbers[0]["value"], &numbers[998]["value"]), (&json!("999"), &json!("1")));
}

#[tokio::test]
async fn strings_options_tuples_and_lists_are_elements_too() {
    let texts = all("Texts", &values([json!("a"), json!(""), json!("\u{1f980}")])).await;
    assert_eq!(texts, [json!({"value": "a"}), json!({}), json!({"value": "\u{1f980}"})]);
    let pairs = all("Pairs", &values([json!({"f0": true, "f1": 3.5}), json!({"f0": false, "f1": 7.0})])).await;
    assert_eq!(pairs, values([json!([1, 3]), json!([0, 7])]));
}

#[tokio::test]
async fn bytes_come_back_the_same_however_they_were_cut() {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let data: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    let chunks: Vec<Value> = data.chunks(70_001).map(|chunk| json!({"value": engine.encode(chunk)})).collect();
    let mut back = Vec::new();
    for reply in all("Bytes", &chunks).await {
        back.extend(engine.decode(reply["value"].as_str().expect("bytes")).expect("base64"));
    }
    assert_eq!(back, data);
}

#[tokio::test]
async fn a_future_is_a_stream_of_one() {
    assert_eq!(all("Later", &values([json!(42)])).await, values([json!("it was 42")]));
    let host = Host::of("streams").await;
    let (replies, end) = host.streams().await.all(&endpoint("Later"), &[]).await;
    assert_eq!((replies.len(), end.status), (0, 12), "{end:?}");
}

#[tokio::test]
async fn a_reply_begins_before_the_requests_end_and_answers_message_by_message() {
    let host = Host::of("streams").await;
    let mut streams = host.streams().await;
    let mut call = streams.open(&endpoint("Shout"), &[]).await;
    for word in ["a", "b", "c"] {
        call.send(&json!({"id": 1, "text": word, "tags": []})).await;
        assert_eq!(call.next().await.expect("an answer")["text"], word.to_uppercase());
    }
    call.half_close();
    assert_eq!(call.end().await.status, 0);
}

#[tokio::test]
async fn each_side_may_end_before_the_other_begins() {
    let host = Host::of("streams").await;
    let mut streams = host.streams().await;
    let mut call = streams.open(&endpoint("Collect"), &values([json!(1), json!(2)])).await;
    assert!(call.is_quiet_for(Duration::from_millis(100)).await, "the guest waits for the end of the request");
    call.send(&json!({"value": 3})).await;
    call.half_close();
    for number in 1..=3 {
        assert_eq!(call.next().await, Some(json!({"value": number})));
    }
    assert_eq!(call.end().await.status, 0);
    // The reply ends while the client has more to say.
    let mut call = streams.open(&endpoint("First"), &values([json!("x")])).await;
    assert_eq!(call.next().await, Some(json!({"value": "x"})));
    assert_eq!(call.end().await.status, 0);
}

#[tokio::test]
async fn a_failure_comes_before_the_first_message_or_after_the_last() {
    let host = Host::of("streams").await;
    let mut streams = host.streams().await;
    let (replies, end) = streams.all(&endpoint("Fallible"), &[json!({"number": 1})]).await;
    assert_eq!((replies.len(), end.status, end.message.as_str()), (0, 5, "not found"));
    let (replies, end) = streams.all(&endpoint("Fallible"), &[json!({"number": 4})]).await;
    assert_eq!((replies.len(), end.status), (3, 0), "{end:?}");
    let (replies, end) = streams.all(&endpoint("Fallible"), &[json!({"number": 200})]).await;
    assert_eq!((replies.len(), end.status, end.message.as_str()), (3, 10, "it was too much"));
    assert!(end.trailers.contains_key("grpc-status-details-bin"), "{end:?}");
}

#[tokio::test]
async fn headers_are_sent_before_and_trailers_after_the_messages() {
    let host = Host::of("streams").await;
    let mut streams = host.streams().await;
    let mut call = streams.open_done_with(&endpoint("Metadata"), &[json!({})], &[("x-say", "hello")]).await;
    assert_eq!(call.headers["x-before"], "1");
    assert_eq!(call.next().await, Some(json!({"value": "hello"})));
    let end = call.end().await;
    assert_eq!((end.status, &end.trailers["x-after"]), (0, &"late".parse().expect("a value")), "{end:?}");
}

#[tokio::test]
async fn a_wrong_message_in_mid_stream_ends_the_call_and_says_why() {
    let host = Host::of("streams").await;
    let mut streams = host.streams().await;
    let mut call = streams.open(&endpoint("Shout"), &[json!({"id": 1, "text": "a", "tags": []})]).await;
    assert!(call.next().await.is_some());
    call.send(&json!({"id": "no number"})).await;
    let end = call.end().await;
    assert_eq!(end.status, 3, "{end:?}");
    assert!(end.message.contains("id"), "{end:?}");
}

#[tokio::test]
async fn a_trap_in_mid_stream_is_internal_for_every_stream_of_its_instance() {
    let host = Start::guest("streams").limit("instances=1").ready().await;
    let mut streams = host.streams().await;
    let mut neighbour = streams.open(&endpoint("Shout"), &[json!({"id": 1, "text": "a", "tags": []})]).await;
    assert!(neighbour.next().await.is_some());
    let (replies, end) = streams.all(&endpoint("TrapAfter"), &[json!({"count": 3})]).await;
    assert_eq!((replies.len(), end.status), (3, 13), "{end:?}");
    assert_eq!(neighbour.end().await.status, 13);
    let (replies, end) = streams.all(&endpoint("Countdown"), &[json!({"from": "2"})]).await;
    assert_eq!((replies.len(), end.status), (2, 0), "the next call has a new instance: {end:?}");
    host.metrics().await.sum(metrics::TRAPS, &[]);
}

#[tokio::test]
async fn a_fresh_instance_a_call_is_there_for_streams_too() {
    let host = Start::guest("streams").arg("--isolation").arg("request").ready().await;
    let mut streams = host.streams().await;
    let before = host.metrics().await.sum(metrics::STARTED, &[]);
    for _ in 0..3 {
        let (replies, end) = streams.all(&endpoint("Countdown"), &[json!({"from": "3"})]).await;
        assert_eq!((replies.len(), end.status), (3, 0), "{end:?}");
    }
    assert_eq!(host.metrics().await.sum(metrics::STARTED, &[]) - before, 3.0);
}
