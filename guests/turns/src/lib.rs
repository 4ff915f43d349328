//! Tells which version of a service answers.

use std::env;
use std::time::Duration;

use exports::test::turns::turns::Guest;
use microhost_sdk::spawn;
use microhost_sdk::time::sleep;
use microhost_sdk::wit_bindgen::StreamReader;

microhost_sdk::service!({ world: "test:turns/guest" });

fn version() -> String {
    env::var("VERSION").unwrap_or_else(|_| "none".to_owned())
}

struct Turns;

impl Guest for Turns {
    async fn which() -> String {
        version()
    }

    async fn later(ms: u32) -> String {
        sleep(Duration::from_millis(ms.into())).await;
        version()
    }

    fn alone() -> String {
        version()
    }

    async fn tell(times: u32, ms: u32) -> StreamReader<String> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            for _ in 0..times {
                sleep(Duration::from_millis(ms.into())).await;
                if out.write_one(version()).await.is_some() {
                    return;
                }
            }
        });
        reader
    }

    async fn echo(mut items: StreamReader<String>) -> StreamReader<String> {
        let (mut out, reader) = wit_stream::new();
        spawn(async move {
            while let Some(item) = items.next().await {
                if out.write_one(format!("{} {item}", version())).await.is_some() {
                    return;
                }
            }
        });
        reader
    }

    async fn work() -> String {
        assert!(env::var("BROKEN").is_err(), "broken, as the environment wants it");
        version()
    }
}

export!(Turns);
