//! The benchmark's call.

use exports::test::echo::echo::{Guest, Message};

microhost_sdk::service!({ world: "test:echo/guest" });

struct Echo;

impl Guest for Echo {
    async fn echo(message: Message) -> Message {
        message
    }

    fn echo_plain(message: Message) -> Message {
        message
    }
}

export!(Echo);
