//! The benchmark's caller: it calls other services as its own functions.

use std::time::Instant;

use example::streams::streams;
use exports::test::hop::hop::Guest;
use futures::future::join_all;
use test::echo::echo::{self, Message};
use wit_bindgen::{StreamReader, StreamResult, StreamWriter};

wit_bindgen::generate!({ world: "test:hop/guest", path: ["../echo/wit", "../streams/wit", "wit"], generate_all });

/// Elements that are read and written at once, as `guests/streams` does.
const BATCH: usize = 64;
/// Bytes that are made at once, unless one element has more.
const BATCH_BYTES: usize = 256 << 10;

struct Hop;

export!(Hop);

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The message of the benchmark's unary calls.
fn message() -> Message {
    Message { id: 1, text: "x".repeat(64), tags: vec!["first".to_owned(), "second".to_owned()] }
}

async fn call_often(count: u32) {
    for _ in 0..count {
        let answer = echo::echo(message()).await;
        assert_eq!(answer.text.len(), 64, "the answer is what was sent");
    }
}

/// Reads to the end; how many there were.
async fn read(mut items: StreamReader<Vec<u8>>) -> u32 {
    let mut count = 0;
    loop {
        let (result, read) = items.read(Vec::with_capacity(BATCH)).await;
        count += u32::try_from(read.len()).unwrap_or(u32::MAX);
        if read.is_empty() && result != StreamResult::Complete(0) {
            return count;
        }
    }
}

async fn write(mut out: StreamWriter<Vec<u8>>, count: u32, size: u32) {
    let batch = (BATCH_BYTES / (size as usize).max(1)).clamp(1, BATCH);
    let mut left = count as usize;
    while left > 0 {
        let now = left.min(batch);
        let rest = out.write_all(vec![vec![7; size as usize]; now]).await;
        assert!(rest.is_empty(), "the other side reads all");
        left -= now;
    }
}

impl Guest for Hop {
    async fn calls(count: u32, width: u32) -> u64 {
        let began = Instant::now();
        let width = width.clamp(1, count.max(1));
        // What does not divide evenly is the first one's.
        let share = |place: u32| count / width + if place == 0 { count % width } else { 0 };
        join_all((0..width).map(|place| call_often(share(place)))).await;
        nanoseconds(began)
    }

    async fn produce(count: u32, size: u32) -> u64 {
        let began = Instant::now();
        let came = read(streams::produce(count, size).await).await;
        assert_eq!(came, count, "all messages came");
        nanoseconds(began)
    }

    async fn consume(count: u32, size: u32) -> u64 {
        let began = Instant::now();
        let (out, items) = wit_stream::new();
        let (came, ()) = futures::join!(streams::consume(items), write(out, count, size));
        assert_eq!(came, u64::from(count), "all messages came");
        nanoseconds(began)
    }

    async fn echo(count: u32, size: u32) -> u64 {
        let began = Instant::now();
        let (out, items) = wit_stream::new();
        let back = async { read(streams::echo(items).await).await };
        let (came, ()) = futures::join!(back, write(out, count, size));
        assert_eq!(came, count, "all messages came back");
        nanoseconds(began)
    }
}
