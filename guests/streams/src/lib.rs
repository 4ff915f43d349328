//! Streams of every kind.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use exports::example::streams::streams::{Failure, Guest, Note};
use microhost_sdk::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use microhost_sdk::{context, spawn, time};

microhost_sdk::service!({ world: "example:streams/guest" });

/// Elements that are read and written at once.
const BATCH: usize = 256;
/// Bytes that are made at once, unless one element has more: many streams share the instance's memory.
const BATCH_BYTES: usize = 256 << 10;

/// Streams that have ended because nobody read them any more.
static ENDED: AtomicU64 = AtomicU64::new(0);

struct Streams;

/// Reads what is there, up to a batch; `None` at the end.
async fn batch<T: 'static>(items: &mut StreamReader<T>) -> Option<Vec<T>> {
    let (result, read) = items.read(Vec::with_capacity(BATCH)).await;
    match result {
        StreamResult::Dropped | StreamResult::Cancelled if read.is_empty() => None,
        _ => Some(read),
    }
}

impl Guest for Streams {
    async fn produce(count: u32, size: u32) -> StreamReader<Vec<u8>> {
        let (mut out, reader) = wit_stream::new();
        let batch = (BATCH_BYTES / (size as usize).max(1)).clamp(1, BATCH);
        spawn(async move {
            let mut left = count as usize;
            while left > 0 {
                let now = left.min(batch);
                if !out.write_all(vec![vec![7; size as usize]; now]).await.is_empty() {
                    return;
                }
                left -= now;
            }
        });
        reader
    }

    async fn consume(mut items: StreamReader<Vec<u8>>) -> u64 {
        let mut count = 0;
        while let Some(read) = batch(&mut items).await {
            count += read.len() as u64;
        }
        count
    }

    async fn echo(mut items: StreamReader<Vec<u8>>) -> StreamReader<Vec<u8>> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while let Some(read) = batch(&mut items).await {
                if !out.write_all(read).await.is_empty() {
                    return;
                }
            }
        });
        reader
    }

    async fn shout(mut notes: StreamReader<Note>) -> StreamReader<Note> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while let Some(note) = notes.next().await {
                let note = Note { text: note.text.to_uppercase(), ..note };
                if out.write_one(note).await.is_some() {
                    return;
                }
            }
        });
        reader
    }

    async fn pass(notes: StreamReader<Note>) -> StreamReader<Note> {
        notes
    }

    async fn sum(mut numbers: StreamReader<i32>) -> i64 {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += i64::from(number);
        }
        sum
    }

    async fn countdown(from: u64) -> StreamReader<u64> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            for number in (0..from).rev() {
                if out.write_one(number).await.is_some() {
                    return;
                }
            }
        });
        reader
    }

    async fn texts(mut items: StreamReader<String>) -> StreamReader<Option<String>> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while let Some(text) = items.next().await {
                let item = (!text.is_empty()).then_some(text);
                if out.write_one(item).await.is_some() {
                    return;
                }
            }
        });
        reader
    }

    async fn pairs(mut items: StreamReader<(bool, f64)>) -> StreamReader<Vec<u16>> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while let Some(read) = batch(&mut items).await {
                let lists = read.into_iter().map(|(up, number)| vec![u16::from(up), number as u16]).collect();
                if !out.write_all(lists).await.is_empty() {
                    return;
                }
            }
        });
        reader
    }

    async fn bytes(mut data: StreamReader<u8>) -> StreamReader<u8> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            loop {
                let (result, read) = data.read(Vec::with_capacity(32 << 10)).await;
                if read.is_empty() && !matches!(result, StreamResult::Complete(_)) {
                    return;
                }
                if !out.write_all(read).await.is_empty() {
                    return;
                }
            }
        });
        reader
    }

    async fn later(number: FutureReader<u32>) -> FutureReader<String> {
        let (out, reader) = wit_future::new(String::new);
        spawn(async move {
            let number = number.await;
            // The caller may have gone.
            let _ = out.write(format!("it was {number}")).await;
        });
        reader
    }

    async fn fallible(number: u32) -> Result<(StreamReader<u32>, FutureReader<Result<(), Failure>>), Failure> {
        if number % 2 == 1 {
            return Err(Failure::NotFound);
        }
        let (mut out, reader) = wit_stream::new();
        let (end, ending) = wit_future::new(|| Ok(()));
        spawn(async move {
            out.write_all((0..number.min(3)).collect()).await;
            drop(out);
            let result = if number > 100 { Err(Failure::Aborted("it was too much".to_owned())) } else { Ok(()) };
            // The caller may have gone.
            let _ = end.write(result).await;
        });
        Ok((reader, ending))
    }

    async fn trap_after(count: u32) -> StreamReader<u32> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            out.write_all((0..count).collect()).await;
            panic!("as asked");
        });
        reader
    }

    async fn tick(milliseconds: u32) -> StreamReader<u64> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            for number in 0.. {
                if out.write_one(number).await.is_some() {
                    break;
                }
                time::sleep(std::time::Duration::from_millis(milliseconds.into())).await;
            }
            ENDED.fetch_add(1, Relaxed);
        });
        reader
    }

    async fn endless(size: u32) -> StreamReader<Vec<u8>> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while out.write_one(vec![7; size as usize]).await.is_none() {}
            ENDED.fetch_add(1, Relaxed);
        });
        reader
    }

    async fn deaf(items: StreamReader<Vec<u8>>) -> u64 {
        time::sleep(std::time::Duration::from_secs(3600)).await;
        drop(items);
        0
    }

    async fn first(mut items: StreamReader<String>) -> Result<String, Failure> {
        items.next().await.ok_or(Failure::NotFound)
    }

    async fn metadata() -> StreamReader<String> {
        let (mut out, reader) = wit_stream::new();
        context::add_header("x-before", "1").expect("valid");
        let metadata = context::metadata();
        let said: Vec<String> = metadata.get_all("x-say").map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        spawn(async move {
            out.write_all(said).await;
            let late = context::add_header("x-late", "1").is_err();
            context::add_trailer("x-after", if late { "late" } else { "not late" }).expect("valid");
        });
        reader
    }

    async fn collect(mut items: StreamReader<u32>) -> StreamReader<u32> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            let mut all = Vec::new();
            while let Some(read) = batch(&mut items).await {
                all.extend(read);
            }
            out.write_all(all).await;
        });
        reader
    }

    fn ended() -> u64 {
        ENDED.load(Relaxed)
    }
}

export!(Streams);
