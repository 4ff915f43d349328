//! Tells what a call knows of itself.

use std::time::Duration;

use exports::test::context::context::{Entry, Guest, Pair, Refusal, Seen};
use microhost_sdk::context::{self, MetadataError};
use microhost_sdk::log::{Level, write};
use microhost_sdk::time::sleep;

microhost_sdk::service!({ world: "test:context/guest" });

fn look() -> Seen {
    Seen {
        service: context::service(),
        method: context::method(),
        peer: context::caller().peer.map(|peer| peer.to_string()),
        time_left_ms: context::time_left().map(|left| left.as_millis() as u64),
        metadata: context::metadata().iter().map(|(name, value)| Entry { name: name.to_owned(), value: value.to_vec() }).collect(),
    }
}

fn refused(error: MetadataError) -> Refusal {
    Refusal::InvalidArgument(error.to_string())
}

struct Context;

impl Guest for Context {
    async fn look(tag: String, wait_ms: u32) -> Pair {
        write(Level::Info, "looking", &[("tag", &tag)]);
        let before = look();
        sleep(Duration::from_millis(wait_ms.into())).await;
        write(Level::Info, "looking", &[("tag", &tag)]);
        Pair { before, after: look(), tag }
    }

    fn look_plain() -> Seen {
        look()
    }

    async fn answer(headers: Vec<Entry>, trailers: Vec<Entry>, fail: bool) -> Result<(), Refusal> {
        for Entry { name, value } in headers {
            context::add_header(name, value).map_err(refused)?;
        }
        for Entry { name, value } in trailers {
            context::add_trailer(name, value).map_err(refused)?;
        }
        if fail { Err(Refusal::Aborted("as you asked".to_owned())) } else { Ok(()) }
    }
}

export!(Context);
