//! What another service calls as its own, with functions of every shape.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use exports::test::back::back::{Fault, Guest, Line, Note, Order};
use microhost_sdk::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use microhost_sdk::{context, spawn, time};

microhost_sdk::service!({ world: "test:back/guest" });

/// Elements that are written at once.
const BATCH: u32 = 64;

/// Sleeps that began, and those that ended well.
static SLEPT: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

struct Back;

/// Numbers from 1 on, then what is left to do.
fn counting(to: u32, then: impl Future<Output = ()> + 'static) -> StreamReader<u32> {
    let (mut out, reader) = wit_stream::new();
    spawn(async move {
        let mut next = 1;
        while next <= to {
            let last = to.min(next.saturating_add(BATCH - 1));
            if !out.write_all((next..=last).collect()).await.is_empty() {
                return;
            }
            next = last + 1;
        }
        drop(out);
        then.await;
    });
    reader
}

impl Guest for Back {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }

    async fn ping() {}

    async fn add(a: u32, b: u32) -> u32 {
        a + b
    }

    async fn wide(a: u64, b: String, c: Vec<u8>, d: Order, e: Option<u32>, f: f64, g: (u8, u8, u8)) -> (String, Order, u64) {
        let sum = a + c.iter().map(|byte| u64::from(*byte)).sum::<u64>() + u64::from(e.unwrap_or(0)) + f as u64;
        (format!("{b}{}{}{}", g.0, g.1, g.2), d, sum)
    }

    async fn pass(order: Order) -> Result<Order, Fault> {
        let Order { id, mut lines, .. } = order;
        lines.push(Line { item: "last".to_owned(), count: 0 });
        Ok(Order { id: format!("{id}+"), lines, ..order })
    }

    async fn fail(how: Fault) -> Result<(), Fault> {
        Err(how)
    }

    async fn who() -> String {
        let caller = context::caller();
        let peer = caller.peer.map_or_else(|| "nobody".to_owned(), |peer| peer.to_string());
        let metadata = context::metadata();
        format!("{} {peer} {}", caller.service.unwrap_or_default(), metadata.get("traceparent").unwrap_or("untraced"))
    }

    async fn time_left() -> u64 {
        context::time_left().map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))
    }

    async fn sleep(ms: u32) -> u32 {
        SLEPT[0].fetch_add(1, Relaxed);
        time::sleep(Duration::from_millis(ms.into())).await;
        SLEPT[1].fetch_add(1, Relaxed);
        ms
    }

    async fn trap() -> Result<u32, Fault> {
        panic!("as asked")
    }

    fn slept() -> (u32, u32) {
        (SLEPT[0].load(Relaxed), SLEPT[1].load(Relaxed))
    }

    async fn count(to: u32) -> StreamReader<u32> {
        counting(to, async {})
    }

    async fn sum(mut numbers: StreamReader<u32>) -> u64 {
        let mut sum = 0;
        loop {
            let (result, read) = numbers.read(Vec::with_capacity(64)).await;
            sum += read.iter().map(|number| u64::from(*number)).sum::<u64>();
            if read.is_empty() && result != StreamResult::Complete(0) {
                return sum;
            }
        }
    }

    async fn shout(mut notes: StreamReader<Note>) -> StreamReader<Note> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while let Some(note) = notes.next().await {
                if out.write_one(Note { text: note.text.to_uppercase(), ..note }).await.is_some() {
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
                if (read.is_empty() && !matches!(result, StreamResult::Complete(_))) || !out.write_all(read).await.is_empty() {
                    return;
                }
            }
        });
        reader
    }

    async fn count_then(to: u32, fails: Option<Fault>) -> Result<(StreamReader<u32>, FutureReader<Result<(), Fault>>), Fault> {
        if to == 0 {
            return Err(fails.unwrap_or(Fault::NotFound("nothing".to_owned())));
        }
        let (end, ending) = wit_future::new(|| Ok(()));
        let items = counting(to, async move {
            // The caller may have gone.
            let _ = end.write(fails.map_or(Ok(()), Err)).await;
        });
        Ok((items, ending))
    }

    async fn count_trap(to: u32) -> StreamReader<u32> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            out.write_all((1..=to).collect()).await;
            panic!("as asked");
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

    async fn never() -> FutureReader<String> {
        let (out, reader) = wit_future::new(|| panic!("as asked"));
        spawn(async move { drop(out) });
        reader
    }

    fn newer() -> u32 {
        1
    }
}

export!(Back);
