//! What one service may use. Every limit is always on; a setting only moves it.

use std::time::Duration;

use serde::Deserialize;

use super::SettingsError;
use super::value::{bytes, duration, some, some_time};

/// The bounds of one service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// The component's file, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub component: usize,
    /// Time that compiling it may take.
    #[serde(deserialize_with = "duration")]
    pub compile: Duration,
    /// Linear memory of one instance, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub memory: usize,
    /// Elements of all tables of one instance.
    pub table_elements: usize,
    /// Instances alive at once.
    #[serde(deserialize_with = "some")]
    pub instances: usize,
    /// Calls at once in one instance.
    #[serde(deserialize_with = "some")]
    pub concurrency: usize,
    /// Calls that may wait for a place in an instance.
    pub queue: usize,
    /// Wall time of one call, its wait in the queue included.
    #[serde(deserialize_with = "some_time")]
    pub timeout: Duration,
    /// Calls with streams under way at once, over all instances.
    pub streams: usize,
    /// Wall time of one call with streams.
    #[serde(deserialize_with = "duration")]
    pub stream_timeout: Duration,
    /// Bytes of one stream's reply that wait for a slow reader; one message may go over it.
    #[serde(deserialize_with = "bytes")]
    pub stream_buffer: usize,
    /// Time that one call's guest code may compute; for streams, between two messages.
    #[serde(deserialize_with = "some_time")]
    pub cpu: Duration,
    /// Time that making an instance may take.
    #[serde(deserialize_with = "duration")]
    pub start: Duration,
    /// One request, unpacked, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub request: usize,
    /// One reply, before it is packed, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub reply: usize,
    /// Bytes that the host holds for one instance on its behalf, arguments of host calls included.
    #[serde(deserialize_with = "bytes")]
    pub host_memory: usize,
    /// Log lines a second; ten times as many may come at once.
    pub log_lines: u32,
    /// Length of one log line, in bytes; the rest is cut.
    #[serde(deserialize_with = "bytes")]
    pub log_line: usize,
    /// Calls after which an instance is replaced.
    #[serde(deserialize_with = "some")]
    pub calls_per_instance: u64,
    /// Age at which an instance is replaced.
    #[serde(deserialize_with = "duration")]
    pub instance_age: Duration,
    /// Time without a call after which an instance is dropped.
    #[serde(deserialize_with = "duration")]
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            component: 256 << 20,
            compile: Duration::from_secs(300),
            memory: 256 << 20,
            table_elements: 100_000,
            instances: 64,
            concurrency: 16,
            queue: 1024,
            timeout: Duration::from_secs(30),
            streams: 10_000,
            stream_timeout: Duration::from_secs(24 * 3600),
            stream_buffer: 64 << 10,
            cpu: Duration::from_secs(10),
            start: Duration::from_secs(10),
            request: 4 << 20,
            reply: 4 << 20,
            host_memory: 64 << 20,
            log_lines: 1_000,
            log_line: 8 << 10,
            calls_per_instance: 1_000_000,
            instance_age: Duration::from_secs(3600),
            idle: Duration::from_secs(60),
        }
    }
}

/// A limit on the command line: its name, what it means, how its value is set.
struct Row {
    name: &'static str,
    about: &'static str,
    set: fn(&mut Limits, &str) -> Result<(), String>,
}

const ROWS: &[Row] = &[
    Row { name: "component", about: "size of the component's file (256MiB)", set: |l, v| parse_bytes(v).map(|v| l.component = v) },
    Row { name: "compile", about: "time to compile the component (5m)", set: |l, v| parse_duration(v).map(|v| l.compile = v) },
    Row { name: "memory", about: "linear memory of one instance (256MiB)", set: |l, v| parse_bytes(v).map(|v| l.memory = v) },
    Row {
        name: "table-elements",
        about: "elements of all tables of one instance (100000)",
        set: |l, v| number(v).map(|v| l.table_elements = v),
    },
    Row { name: "instances", about: "instances alive at once (64)", set: |l, v| number(v).map(|v| l.instances = v) },
    Row { name: "concurrency", about: "calls at once in one instance (16)", set: |l, v| number(v).map(|v| l.concurrency = v) },
    Row { name: "queue", about: "calls that may wait for an instance (1024)", set: |l, v| number(v).map(|v| l.queue = v) },
    Row { name: "timeout", about: "wall time of one call (30s)", set: |l, v| parse_duration(v).map(|v| l.timeout = v) },
    Row { name: "streams", about: "calls with streams under way at once (10000)", set: |l, v| number(v).map(|v| l.streams = v) },
    Row {
        name: "stream-timeout",
        about: "wall time of one call with streams (1day)",
        set: |l, v| parse_duration(v).map(|v| l.stream_timeout = v),
    },
    Row {
        name: "stream-buffer",
        about: "reply of one stream that waits for its reader (64KiB)",
        set: |l, v| parse_bytes(v).map(|v| l.stream_buffer = v),
    },
    Row {
        name: "cpu",
        about: "computing time of one call, of a stream between two messages (10s)",
        set: |l, v| parse_duration(v).map(|v| l.cpu = v),
    },
    Row { name: "start", about: "time to make an instance (10s)", set: |l, v| parse_duration(v).map(|v| l.start = v) },
    Row { name: "request", about: "one request, unpacked (4MiB)", set: |l, v| parse_bytes(v).map(|v| l.request = v) },
    Row { name: "reply", about: "one reply (4MiB)", set: |l, v| parse_bytes(v).map(|v| l.reply = v) },
    Row { name: "host-memory", about: "host memory held for one instance (64MiB)", set: |l, v| parse_bytes(v).map(|v| l.host_memory = v) },
    Row { name: "log-lines", about: "log lines a second (1000)", set: |l, v| number(v).map(|v| l.log_lines = v) },
    Row { name: "log-line", about: "length of one log line (8KiB)", set: |l, v| parse_bytes(v).map(|v| l.log_line = v) },
    Row {
        name: "calls-per-instance",
        about: "calls until an instance is replaced (1000000)",
        set: |l, v| number(v).map(|v| l.calls_per_instance = v),
    },
    Row {
        name: "instance-age",
        about: "age at which an instance is replaced (1h)",
        set: |l, v| parse_duration(v).map(|v| l.instance_age = v),
    },
    Row { name: "idle", about: "idle time until an instance is dropped (60s)", set: |l, v| parse_duration(v).map(|v| l.idle = v) },
];

impl Limits {
    /// Sets one limit from the command line: `memory=64MiB`.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingsError> {
        let (name, value) = assignment.split_once('=').ok_or_else(|| SettingsError::Value {
            what: format!("limit {assignment:?}"),
            why: "expected NAME=VALUE, for example memory=64MiB".into(),
        })?;
        let row = ROWS
            .iter()
            .find(|row| row.name == name)
            .ok_or_else(|| SettingsError::unknown("limit", name, ROWS.iter().map(|row| row.name)))?;
        (row.set)(self, value).map_err(|why| SettingsError::Value { what: format!("limit {name}"), why })
    }

    /// The limits by name with one line on each, for help.
    pub fn help() -> impl Iterator<Item = (&'static str, &'static str)> {
        ROWS.iter().map(|row| (row.name, row.about))
    }

    /// Refuses limits that would leave a service unable to do anything.
    pub fn check(&self) -> Result<(), SettingsError> {
        let zero = [
            ("instances", self.instances == 0),
            ("concurrency", self.concurrency == 0),
            ("timeout", self.timeout.is_zero()),
            ("cpu", self.cpu.is_zero()),
            ("calls-per-instance", self.calls_per_instance == 0),
        ];
        match zero.iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err(SettingsError::Value { what: format!("limit {name}"), why: "must be more than zero".into() }),
            None => Ok(()),
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("expected a whole number, got {text:?}"))
}

/// Reads a size: `65536`, `64KiB`, `4MB`.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let size: bytesize::ByteSize = text.parse().map_err(|_| format!("expected a size such as 64MiB, got {text:?}"))?;
    usize::try_from(size.as_u64()).map_err(|_| format!("{text} is more than this machine can address"))
}

/// Reads a time: `500ms`, `5s`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| format!("expected a time such as 500ms or 5s, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_name() {
        let mut limits = Limits::default();
        limits.set("memory=64MiB").expect("a size");
        limits.set("timeout=500ms").expect("a time");
        assert_eq!((limits.memory, limits.timeout), (64 << 20, Duration::from_millis(500)));
    }

    #[test]
    fn an_unknown_limit_is_answered_with_the_nearest() {
        let error = Limits::default().set("memroy=1").expect_err("no such limit").to_string();
        assert!(error.contains("did you mean memory?"), "{error}");
    }

    #[test]
    fn every_field_of_the_file_has_a_row_for_the_command_line() {
        let mut limits = Limits::default();
        for row in ROWS {
            let good = ["1", "1s"].iter().any(|value| (row.set)(&mut limits, value).is_ok());
            assert!(good, "{} takes neither a number nor a time", row.name);
        }
    }
}
