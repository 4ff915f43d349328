//! Dies in every way, on demand.

use std::hint::black_box;
use std::time::Duration;

use exports::test::trap::trap::Guest;
use microhost_sdk::time::sleep;

microhost_sdk::service!({ world: "test:trap/guest" });

/// Past the largest memory that a 32-bit guest may have been given.
const BEYOND: usize = 0xffff_fff0;

fn recurse(depth: u64) -> u64 {
    // By a pointer that the compiler cannot follow, or it would make a loop of it. Little is kept in
    // memory, so that the engine's stack ends before the guest's own.
    let again: fn(u64) -> u64 = black_box(recurse);
    depth ^ again(depth + 1)
}

struct Trap;

impl Guest for Trap {
    fn ok() -> String {
        "ok".to_owned()
    }

    fn panic(message: String) -> String {
        panic!("{message}")
    }

    fn unreachable() -> String {
        core::arch::wasm32::unreachable()
    }

    fn out_of_bounds() -> u32 {
        // SAFETY: there is none; the engine is to notice.
        unsafe { black_box(BEYOND as *const u32).read_volatile() }
    }

    fn stack_overflow() -> u64 {
        recurse(black_box(0))
    }

    fn divide_by_zero() -> u32 {
        // Rust's own check would panic before the engine sees the division.
        unsafe { black_box(7_u32).checked_div(black_box(0)).unwrap_unchecked() }
    }

    fn exit(code: u8) -> String {
        std::process::exit(code.into())
    }

    async fn panic_later(ms: u32) -> String {
        sleep(Duration::from_millis(ms.into())).await;
        panic!("later")
    }

    async fn wait(ms: u32) -> String {
        sleep(Duration::from_millis(ms.into())).await;
        "ok".to_owned()
    }
}

export!(Trap);
