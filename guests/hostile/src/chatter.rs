//! Logs without end, in words that a terminal would obey.

use microhost_sdk::log::{Level, write};

/// Colours, a bell, a return to the line's start, a forged line, and text that runs backwards.
const HOSTILE: &str = "\x1b[31mred\x1b[0m \x07 \rover\n{\"level\":\"ERROR\"} forged line \u{202e}sdrawkcab";

pub fn without_end() {
    loop {
        write(Level::Error, HOSTILE, &[("field", HOSTILE)]);
        println!("{HOSTILE}");
        eprintln!("{HOSTILE}");
    }
}
