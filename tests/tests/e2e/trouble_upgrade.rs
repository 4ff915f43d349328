//! Hosts that are replaced one after the other, as a new version is rolled out: calls and streams that have begun
//! end where they are, and new ones go elsewhere.

use std::time::Instant;

use e2e::host::Host;
use e2e::streams::{Stream, Streams};
use e2e::{cluster, soon};
use serde_json::json;

use crate::trouble::{Callee, all_serve, another, load, three};

/// Numbers of a stream, which are read after its host was told to stop: few enough to come within the time that it
/// has for that, also where much else is done.
const NUMBERS: u64 = 10_000;

/// Messages that are sent on each stream while its host drains.
const NOTES: u64 = 20;

/// Opens streams in both directions until a host has one of them.
async fn talks(streams: &mut Streams, callee: &mut Callee<Host>) -> Vec<Stream> {
    let mut open = Vec::new();
    soon("a stream of each host", async {
        while !callee.streams("Shout").await {
            open.push(streams.open("test.front.Front/Shout", &[]).await);
            say(open.last_mut().expect("one was opened"), 0).await;
        }
    })
    .await;
    open
}

/// Sends a message and waits for its answer.
async fn say(stream: &mut Stream, id: u64) {
    stream.send(&json!({"id": id, "text": "a"})).await;
    match stream.next().await {
        Some(answer) => assert_eq!(answer, json!({"id": id, "text": "A"})),
        None => panic!("a stream ended before its message {id}: {:?}", stream.end().await),
    }
}

async fn ends_well(mut stream: Stream) {
    let end = stream.end().await;
    assert_eq!(end.status, 0, "{end:?}");
}

#[tokio::test]
async fn hosts_that_are_replaced_under_load_fail_no_call_and_break_no_stream() {
    let cluster = cluster::unique("trouble-upgrade");
    let (front, mut backs) = three(&cluster, "", "").await;
    let load = load(&front).await;
    all_serve(&mut backs, 100.0).await;
    let mut streams = front.streams().await;
    for _ in 0..3 {
        let mut old = backs.remove(0);
        let mut numbers = streams.open_done("test.front.Front/Count", &[json!({ "to": NUMBERS })]).await;
        let mut talks = talks(&mut streams, &mut old).await;
        old.host.terminate();
        let since = Instant::now();
        let mut new = another(&cluster, &front, "").await;
        let ready = since.elapsed();
        new.serves(1.0).await;
        println!("a new host was ready after {ready:?}, and called after {:?}", since.elapsed());
        backs.push(new);
        for id in 1..=NOTES {
            for stream in &mut talks {
                say(stream, id).await;
            }
        }
        for number in 1..=NUMBERS {
            assert_eq!(numbers.next().await, Some(json!({ "value": number })));
        }
        ends_well(numbers).await;
        println!("{} streams go on {:?} after their host was told to stop", talks.len(), since.elapsed());
        for mut stream in talks {
            stream.half_close();
            ends_well(stream).await;
        }
        let status = old.host.exited().await;
        assert!(status.success(), "a host that has drained ended with {status}");
    }
    all_serve(&mut backs, 100.0).await;
    load.end().await.none_failed("three of three hosts replaced");
}
