//! Replies and requests of any size.

use exports::test::big::big::Guest;

microhost_sdk::service!({ world: "test:big/guest" });

struct Big;

impl Guest for Big {
    fn bytes(size: u32) -> Vec<u8> {
        (0..size).map(|index| index as u8).collect()
    }

    fn text(size: u32) -> String {
        "x".repeat(size as usize)
    }

    fn numbers(size: u32) -> Vec<u32> {
        (0..size).collect()
    }

    fn take(data: Vec<u8>) -> u32 {
        data.len() as u32
    }
}

export!(Big);
