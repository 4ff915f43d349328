//! What cannot be carried beside what can.

use std::cell::Cell;

use exports::test::resource::counters::{self, GuestCounter};
use exports::test::resource::sums;

microhost_sdk::service!({ world: "test:%resource/guest" });

struct Counter(Cell<u32>);

impl GuestCounter for Counter {
    fn new(start: u32) -> Counter {
        Counter(Cell::new(start))
    }

    fn next(&self) -> u32 {
        self.0.replace(self.0.get() + 1)
    }
}

struct Resource;

impl counters::Guest for Resource {
    type Counter = Counter;

    fn open() -> counters::Counter {
        counters::Counter::new(Counter(Cell::new(0)))
    }

    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
}

impl sums::Guest for Resource {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
}

export!(Resource);
