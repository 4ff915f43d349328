//! Calls itself until there is no stack left, and the host at each step: it runs on the same stack.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::now;
use wasip2::random::random::get_random_bytes;

fn deeper(depth: u64) -> u64 {
    // By a pointer that the compiler cannot follow, or it would make a loop of it. Little is kept in
    // memory, so that the engine's stack ends before the guest's own.
    let again: fn(u64) -> u64 = black_box(deeper);
    // The second lets the host call back, for memory to put its answer in.
    let asked = if depth.is_multiple_of(2) { now() } else { get_random_bytes(8).len() as u64 };
    asked ^ again(depth + 1)
}

pub fn to_the_end() -> u64 {
    deeper(black_box(0))
}
