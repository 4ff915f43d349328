//! Requests from outside, as the codec reads them.
#![no_main]

use microhost_fuzz::schema::Codec;
use microhost_fuzz::{ZOO, entry};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::message(&ZOO, Codec::Bson, bytes));
