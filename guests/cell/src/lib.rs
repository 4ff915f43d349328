//! A service as small as they come: the benchmark runs a thousand of them.

use exports::test::cell0000::cell::Guest;

wit_bindgen::generate!({ world: "guest" });

struct Cell;

impl Guest for Cell {
    fn greet(name: String) -> String {
        let mut greeting = "Hello, ".to_owned();
        greeting.push_str(&name);
        greeting
    }
}

export!(Cell);
