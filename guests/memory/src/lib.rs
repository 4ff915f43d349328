//! Wants memory.

use std::cell::RefCell;

use core::arch::wasm32::{memory_grow, memory_size};
use exports::test::memory::memory::{Growth, Guest};

microhost_sdk::service!({ world: "test:memory/guest" });

const MIB: usize = 1 << 20;
const PAGES_PER_MIB: usize = MIB / (64 << 10);

thread_local! {
    static HELD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn size() -> u32 {
    (memory_size::<0>() / PAGES_PER_MIB) as u32
}

struct Memory;

impl Guest for Memory {
    fn grow(mib: u32) -> Growth {
        let before = memory_grow::<0>(mib as usize * PAGES_PER_MIB);
        Growth { grown: before != usize::MAX, mib: size() }
    }

    fn hold(mib: u32) -> u32 {
        // In pieces, so that memory is taken step by step up to the limit. Not zero, so that it is
        // written and not only reserved.
        for _ in 0..mib {
            HELD.with_borrow_mut(|held| held.push(vec![1; MIB]));
        }
        size()
    }

    fn size() -> u32 {
        size()
    }
}

export!(Memory);
