//! Calls another service as its own, in every way that there is.

use exports::test::front::front::Guest;
use microhost_sdk::wit_bindgen::{FutureReader, StreamReader};
use test::back::back::{self, Fault, Note, Order};

microhost_sdk::service!({ world: "test:front/guest" });

struct Front;

impl Guest for Front {
    async fn greet(name: String) -> String {
        back::greet(&name)
    }

    async fn ping() {
        back::ping().await;
    }

    async fn add(a: u32, b: u32) -> u32 {
        back::add(a, b).await
    }

    async fn wide(order: Order) -> (String, Order, u64) {
        back::wide(1 << 40, "text".to_owned(), vec![1, 2, 255], order, Some(7), 2.5, (1, 2, 3)).await
    }

    async fn pass(order: Order) -> Result<Order, Fault> {
        back::pass(order).await
    }

    async fn fail(how: Fault) -> Result<(), Fault> {
        back::fail(how).await
    }

    async fn who() -> String {
        back::who().await
    }

    async fn time_left() -> u64 {
        back::time_left().await
    }

    async fn sleep(ms: u32) -> u32 {
        back::sleep(ms).await
    }

    async fn trap() -> Result<u32, Fault> {
        back::trap().await
    }

    async fn many(calls: u32, at_once: u32) -> u64 {
        use futures::StreamExt;
        let calls = futures::stream::iter(0..calls).map(|number| back::add(number, 1)).buffer_unordered(at_once.max(1) as usize);
        calls.fold(0, async |sum, number| sum + u64::from(number)).await
    }

    async fn count(to: u32) -> StreamReader<u32> {
        back::count(to).await
    }

    async fn sum(numbers: StreamReader<u32>) -> u64 {
        back::sum(numbers).await
    }

    async fn shout(notes: StreamReader<Note>) -> StreamReader<Note> {
        back::shout(notes).await
    }

    async fn bytes(data: StreamReader<u8>) -> StreamReader<u8> {
        back::bytes(data).await
    }

    async fn count_then(to: u32, fails: Option<Fault>) -> Result<(StreamReader<u32>, FutureReader<Result<(), Fault>>), Fault> {
        back::count_then(to, fails).await
    }

    async fn read_trap(to: u32) -> u32 {
        let mut numbers = back::count_trap(to).await;
        let mut count = 0;
        while numbers.next().await.is_some() {
            count += 1;
        }
        count
    }

    async fn read_some(count: u32) -> u32 {
        let mut numbers = back::count(u32::MAX).await;
        let mut last = 0;
        for _ in 0..count {
            last = numbers.next().await.unwrap_or(0);
        }
        last
    }

    async fn later(number: FutureReader<u32>) -> FutureReader<String> {
        back::later(number).await
    }

    async fn await_never() -> String {
        back::never().await.await
    }

    async fn never() -> FutureReader<String> {
        back::never().await
    }
}

export!(Front);
