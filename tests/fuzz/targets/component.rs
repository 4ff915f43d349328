//! Components from outside, as their schema is read.
#![no_main]

use std::sync::Once;

use microhost_fuzz::entry;

static QUIET: Once = Once::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The hook of libfuzzer aborts at every panic, those too that the schema catches on purpose; a
    // panic that leaves the target is found all the same.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    entry::component(bytes);
});
