//! What a process has used, from /proc: the same reading for every server.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a process has used so far, and holds now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time, in seconds; the kernel counts in hundredths.
    pub cpu: f64,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Resident memory without the pages of files: what the process itself filled.
    pub anonymous: u64,
}

impl Usage {
    /// Reads the usage of a process.
    pub fn of(pid: u32) -> Result<Usage> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let cpu = ticks(&stat).with_context(|| format!("/proc/{pid}/stat has no times"))? as f64 / ticks_per_second();
        let memory = |name| bytes(&status, name).with_context(|| format!("/proc/{pid}/status has no {name}"));
        Ok(Usage { cpu, resident: memory("VmRSS")?, anonymous: memory("RssAnon")? })
    }
}

/// The memory of a process, in bytes, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Held {
    /// What the process filled itself.
    pub anonymous: u64,
    /// What it filled of memory that could be shared.
    pub shared: u64,
    /// Resident pages of files: of programs, and of code from the compile cache.
    pub files: u64,
    /// What the kernel needs to keep track of all of it.
    pub page_tables: u64,
}

impl Held {
    /// Reads what a process holds now.
    pub fn of(pid: u32) -> Result<Held> {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let memory = |name| bytes(&status, name).with_context(|| format!("{path} has no {name}"));
        Ok(Held { anonymous: memory("RssAnon")?, shared: memory("RssShmem")?, files: memory("RssFile")?, page_tables: memory("VmPTE")? })
    }
}

/// Seconds for which the machine's cores were busy since it started, added; time that a hypervisor gave
/// to others counts as busy.
pub fn machine_busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    Ok(busy_ticks(&stat).context("/proc/stat has no times of all cores")? as f64 / ticks_per_second())
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal, and then parts of these.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let fields: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let idle = fields.get(3)? + fields.get(4)?;
    Some(fields.iter().sum::<u64>() - idle)
}

/// The fields utime and stime, added. The second field is the program's name, which may hold spaces
/// and brackets, so counting starts after its last bracket.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf only reads a constant of the system.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_an_awkward_name() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 90 0 0 0 30 12 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn a_busy_machine_is_all_but_idle() {
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 9 9"), Some(21));
        assert_eq!(busy_ticks("intr 1 2"), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        let usage = Usage::of(std::process::id()).expect("this process exists");
        assert!(usage.resident >= usage.anonymous && usage.anonymous > 0, "{usage:?}");
        let held = Held::of(std::process::id()).expect("this process exists");
        assert!(held.anonymous > 0 && held.page_tables > 0, "{held:?}");
    }
}
