//! A component as toolchains without `async` make it.

use std::time::Duration;

use exports::test::plain::plain::Guest;

wit_bindgen::generate!({ world: "guest" });

struct Plain;

impl Guest for Plain {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }

    fn sleep(ms: u32) -> u32 {
        std::thread::sleep(Duration::from_millis(ms.into()));
        ms
    }
}

export!(Plain);
