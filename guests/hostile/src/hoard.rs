//! Takes all memory that there is, and keeps it.

use core::arch::wasm32::{memory_grow, memory_size};
use std::hint::black_box;
use std::time::Duration;

use microhost_sdk::time::sleep;

const PAGE: usize = 64 << 10;
const PAGES_PER_MIB: usize = 16;

/// What it has got, in MiB, once it has kept it for a while.
pub async fn all() -> u32 {
    loop {
        let before = memory_grow::<0>(PAGES_PER_MIB);
        if before == usize::MAX {
            break;
        }
        for page in before..before + PAGES_PER_MIB {
            // SAFETY: the page has just been added to the memory, and nothing else knows of it.
            unsafe { black_box((page * PAGE) as *mut u8).write_volatile(1) };
        }
    }
    sleep(Duration::from_millis(500)).await;
    (memory_size::<0>() / PAGES_PER_MIB) as u32
}
