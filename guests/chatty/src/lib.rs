//! Logs too much, and what must not reach a terminal.

use std::io::{Write, stdout};

use exports::test::chatty::chatty::{Field, Guest, Refusal};
use microhost_sdk::log::{Level, write};

microhost_sdk::service!({ world: "test:chatty/guest" });

/// Colours, a bell, a return to the line's start, a forged line, and text that runs backwards.
const HOSTILE: &str = "\x1b[31mred\x1b[0m \x07 \rover\nERROR forged line \u{202e}sdrawkcab";

fn line(length: u32) -> String {
    "x".repeat(length as usize)
}

struct Chatty;

impl Guest for Chatty {
    fn flood(lines: u32, length: u32) {
        let line = line(length);
        (0..lines).for_each(|_| write(Level::Info, &line, &[]));
    }

    fn print(lines: u32, length: u32) {
        let line = line(length);
        (0..lines).for_each(|_| println!("{line}"));
    }

    fn print_error(lines: u32, length: u32) {
        let line = line(length);
        (0..lines).for_each(|_| eprintln!("{line}"));
    }

    fn endless(bytes: u32) {
        const PIECE: usize = 4096;
        let mut left = bytes as usize;
        while left > 0 {
            let now = left.min(PIECE);
            print!("{}", "x".repeat(now));
            left -= now;
        }
        // Without the end of a line, the rest would stay in the guest. A host that has closed stdout
        // is none of this guest's business.
        let _ = stdout().flush();
    }

    fn escapes() {
        write(Level::Info, HOSTILE, &[("field", HOSTILE)]);
        println!("{HOSTILE}");
        eprintln!("{HOSTILE}");
    }

    fn say(level: String, message: String, fields: Vec<Field>) -> Result<(), Refusal> {
        let level = match level.as_str() {
            "trace" => Level::Trace,
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            other => return Err(Refusal::InvalidArgument(format!("no level {other:?}"))),
        };
        let fields: Vec<(&str, &str)> = fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        write(level, &message, &fields);
        Ok(())
    }

    fn facade(text: String) {
        log::info!(text:%; "by log");
    }
}

export!(Chatty);
