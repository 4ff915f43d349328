//! What one service may use. Every limit is always on; a setting only moves it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SettingsError;
use super::cores::CpuShare;
use super::value::{bytes, duration, some, some_time};

/// The bounds of one service, most of them over all its instances.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    /// Linear memory of all instances together, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub total_memory: usize,
    /// Elements of all tables of one instance.
    pub table_elements: usize,
    /// Handles of one instance: resources, streams, futures, calls of its own that are under way.
    pub handles: usize,
    /// Instances alive at once.
    #[serde(deserialize_with = "some")]
    pub instances: usize,
    /// Calls at once in one instance.
    #[serde(deserialize_with = "some")]
    pub concurrency: usize,
    /// Calls that may wait for a place in an instance.
    pub queue: usize,
    /// Calls without streams under way at once, over all instances, those that wait included.
    pub calls: usize,
    /// Wall time of one call, its wait in the queue included.
    #[serde(deserialize_with = "some_time")]
    pub timeout: Duration,
    /// Calls with streams under way at once, over all instances.
    pub streams: usize,
    /// Calls of other services under way at once, over all instances.
    pub outgoing_calls: usize,
    /// Wall time of one call with streams.
    #[serde(deserialize_with = "duration")]
    pub stream_timeout: Duration,
    /// Bytes of one stream's reply that wait for a slow reader; one message may go over it.
    #[serde(deserialize_with = "bytes")]
    pub stream_buffer: usize,
    /// Time that one call's guest code may compute; for streams, between two messages.
    #[serde(deserialize_with = "some_time")]
    pub cpu: Duration,
    /// Cores that the guest code of all instances may keep busy; none for as many as there are.
    pub cpu_share: CpuShare,
    /// Time that making an instance may take.
    #[serde(deserialize_with = "duration")]
    pub start: Duration,
    /// One request, unpacked, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub request: usize,
    /// One reply, before it is packed, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub reply: usize,
    /// What one host call or one reply of a guest may copy into the host, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub host_call: usize,
    /// What the host holds for all instances together, in bytes: arguments, and replies that wait for
    /// their readers.
    #[serde(deserialize_with = "bytes")]
    pub host_memory: usize,
    /// What may be in the folders that the service may write to, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub disk: usize,
    /// Files, folders and links that may be in these.
    pub files: u64,
    /// Connections for `wasi:http` open at once, over all instances.
    pub connections: usize,
    /// Log lines a second; ten times as many may come at once.
    pub log_lines: u32,
    /// Length of one log line, in bytes; the rest is cut.
    #[serde(deserialize_with = "bytes")]
    pub log_line: usize,
    /// Bytes of log lines a second; ten times as many may come at once.
    #[serde(deserialize_with = "bytes")]
    pub log_bytes: usize,
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
            total_memory: 2 << 30,
            table_elements: 100_000,
            handles: 65_536,
            instances: 64,
            concurrency: 16,
            queue: 1024,
            calls: 10_000,
            timeout: Duration::from_secs(30),
            streams: 10_000,
            outgoing_calls: 10_000,
            stream_timeout: Duration::from_secs(24 * 3600),
            stream_buffer: 64 << 10,
            cpu: Duration::from_secs(10),
            cpu_share: CpuShare::UNLIMITED,
            start: Duration::from_secs(10),
            request: 4 << 20,
            reply: 4 << 20,
            host_call: 64 << 20,
            host_memory: 256 << 20,
            disk: 1 << 30,
            files: 100_000,
            connections: 256,
            log_lines: 1_000,
            log_line: 8 << 10,
            log_bytes: 1 << 20,
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
        name: "total-memory",
        about: "linear memory of all instances together (2GiB)",
        set: |l, v| parse_bytes(v).map(|v| l.total_memory = v),
    },
    Row {
        name: "table-elements",
        about: "elements of all tables of one instance (100000)",
        set: |l, v| number(v).map(|v| l.table_elements = v),
    },
    Row { name: "handles", about: "handles of one instance (65536)", set: |l, v| number(v).map(|v| l.handles = v) },
    Row { name: "instances", about: "instances alive at once (64)", set: |l, v| number(v).map(|v| l.instances = v) },
    Row { name: "concurrency", about: "calls at once in one instance (16)", set: |l, v| number(v).map(|v| l.concurrency = v) },
    Row { name: "queue", about: "calls that may wait for an instance (1024)", set: |l, v| number(v).map(|v| l.queue = v) },
    Row { name: "calls", about: "calls without streams under way at once (10000)", set: |l, v| number(v).map(|v| l.calls = v) },
    Row { name: "timeout", about: "wall time of one call (30s)", set: |l, v| parse_duration(v).map(|v| l.timeout = v) },
    Row { name: "streams", about: "calls with streams under way at once (10000)", set: |l, v| number(v).map(|v| l.streams = v) },
    Row {
        name: "outgoing-calls",
        about: "calls of other services under way at once (10000)",
        set: |l, v| number(v).map(|v| l.outgoing_calls = v),
    },
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
    Row { name: "cpu-share", about: "cores that all instances may keep busy (unlimited)", set: |l, v| v.parse().map(|v| l.cpu_share = v) },
    Row { name: "start", about: "time to make an instance (10s)", set: |l, v| parse_duration(v).map(|v| l.start = v) },
    Row { name: "request", about: "one request, unpacked (4MiB)", set: |l, v| parse_bytes(v).map(|v| l.request = v) },
    Row { name: "reply", about: "one reply (4MiB)", set: |l, v| parse_bytes(v).map(|v| l.reply = v) },
    Row {
        name: "host-call",
        about: "what one host call or reply copies into the host (64MiB)",
        set: |l, v| parse_bytes(v).map(|v| l.host_call = v),
    },
    Row {
        name: "host-memory",
        about: "host memory held for all instances together (256MiB)",
        set: |l, v| parse_bytes(v).map(|v| l.host_memory = v),
    },
    Row { name: "disk", about: "what is in the folders that it may write to (1GiB)", set: |l, v| parse_bytes(v).map(|v| l.disk = v) },
    Row {
        name: "files",
        about: "files, folders and links in the folders that it may write to (100000)",
        set: |l, v| number(v).map(|v| l.files = v),
    },
    Row { name: "connections", about: "connections for wasi:http open at once (256)", set: |l, v| number(v).map(|v| l.connections = v) },
    Row { name: "log-lines", about: "log lines a second (1000)", set: |l, v| number(v).map(|v| l.log_lines = v) },
    Row { name: "log-line", about: "length of one log line (8KiB)", set: |l, v| parse_bytes(v).map(|v| l.log_line = v) },
    Row { name: "log-bytes", about: "bytes of log lines a second (1MiB)", set: |l, v| parse_bytes(v).map(|v| l.log_bytes = v) },
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

    /// The limits by name, each as it could be set.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else { return BTreeMap::new() };
        fields.into_iter().map(|(name, value)| (name.clone(), shown(&name, &value))).collect()
    }

    /// Refuses limits that would leave a service unable to do anything.
    pub fn check(&self) -> Result<(), SettingsError> {
        let zero = [
            ("instances", self.instances == 0),
            ("concurrency", self.concurrency == 0),
            ("calls", self.calls == 0),
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

/// A limit's value for people: a time, a size where the help names its default as one, or a number.
fn shown(name: &str, value: &serde_json::Value) -> String {
    if let Ok(time) = Duration::deserialize(value) {
        return humantime::format_duration(time).to_string();
    }
    let is_size = ROWS.iter().any(|row| row.name == name && row.about.ends_with("iB)"));
    match (value.as_u64(), value.as_str()) {
        (Some(bytes), _) if is_size => size(bytes),
        (_, Some(text)) => text.to_owned(),
        _ => value.to_string(),
    }
}

/// A size in the largest unit that leaves no rest: `64MiB`.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
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
    fn limits_are_shown_as_they_could_be_set() {
        let limits = Limits { memory: 64 << 20, request: 1000, ..Limits::default() };
        let shown = limits.shown();
        assert_eq!([&shown["memory"], &shown["request"], &shown["timeout"], &shown["queue"]], ["64MiB", "1000", "30s", "1024"]);
        let mut same = Limits::default();
        for (name, value) in &shown {
            same.set(&format!("{name}={value}")).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(same, limits);
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
