//! Where a run was, and whether the machine was its own.

use std::fmt;
use std::fs;

use serde::Serialize;

use crate::load::Measured;
use crate::statistics::Spread;

/// Cores that others may keep busy without a warning: what a machine does by itself, and the kernel for
/// the sockets.
const QUIET: f64 = 0.15;
/// The part of its core above which the load generator may be what is measured.
const LOADED: f64 = 0.95;

/// Where it ran: figures of two machines do not compare.
#[derive(Serialize)]
pub struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
}

impl Machine {
    /// The one that this program runs on.
    pub fn this() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let processor = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, name)| name);
        let kernel = read("/proc/sys/kernel/osrelease");
        Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor.to_owned(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Machine { cores, processor, kernel } = self;
        write!(f, "{cores} cores, {processor}, Linux {kernel}; servers and load share them")
    }
}

/// Says so when other processes took much of the machine.
pub fn warn_of_others<'a>(f: &mut fmt::Formatter, all: impl Iterator<Item = &'a Measured>) -> fmt::Result {
    match median(all, |measured| measured.others) {
        Some(others) if others >= QUIET => {
            writeln!(f, "WARNING: other processes kept {others:.1} cores busy, so the ratios scatter; run it again on a quiet machine")
        }
        _ => Ok(()),
    }
}

/// Whether the load generator was as busy as one thread can be, so that no server could be faster.
pub fn load_was_the_limit<'a>(all: impl Iterator<Item = &'a Measured>) -> bool {
    median(all, |measured| measured.load_busy).is_some_and(|busy| busy >= LOADED)
}

fn median<'a>(all: impl Iterator<Item = &'a Measured>, of: fn(&Measured) -> f64) -> Option<f64> {
    let mut values = all.map(of).peekable();
    values.peek()?;
    Some(Spread::of(values).median)
}

/// Bytes, as a table shows them.
pub fn mebibytes(bytes: f64) -> String {
    format!("{:.1}", bytes / f64::from(1 << 20))
}
