//! Does harm, a file for each way.

use exports::test::hostile::hostile::Guest;
use microhost_sdk::wit_bindgen::StreamReader;

mod bursts;
mod chatter;
mod handles;
mod hoard;
mod random;
mod recurse;
mod replies;
mod shout;
mod timers;

microhost_sdk::service!({ world: "test:hostile/guest" });

struct Hostile;

impl Guest for Hostile {
    async fn bursts(ms: u32) {
        bursts::without_end(ms).await
    }

    async fn burst(ms: u32) {
        bursts::compute(ms)
    }

    fn recurse() -> u64 {
        recurse::to_the_end()
    }

    fn shout(mib: u32) {
        shout::shout(mib)
    }

    fn chatter() {
        chatter::without_end()
    }

    fn random(bytes: u64) -> u64 {
        random::of(bytes)
    }

    fn pollables(count: u32) -> u32 {
        handles::pollables(count)
    }

    fn streams(count: u32) -> u32 {
        handles::streams(count)
    }

    async fn timers(count: u32, ms: u32) -> u32 {
        timers::wait(count, ms).await
    }

    async fn endless() -> StreamReader<Vec<u8>> {
        replies::endless()
    }

    async fn unfinished() -> StreamReader<u32> {
        replies::unfinished()
    }

    async fn hoard() -> u32 {
        hoard::all().await
    }

    fn ok() -> String {
        "ok".to_owned()
    }
}

export!(Hostile);
