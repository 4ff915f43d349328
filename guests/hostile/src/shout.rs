//! Calls the host with arguments of many megabytes.

use microhost_sdk::log::{Level, write};

pub fn shout(mib: u32) {
    let text = "x".repeat((mib as usize) << 20);
    write(Level::Error, &text, &[]);
    write(Level::Error, "a field", &[("field", &text)]);
}
