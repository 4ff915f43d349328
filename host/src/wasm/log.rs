//! What guests write becomes log lines: bounded in length and number, and with nothing in them that
//! a terminal would obey.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::settings::Limits;
use crate::stats::ServiceStats;

/// How many seconds' worth of lines, and of their bytes, may come at once.
const BURST_SECONDS: u64 = 10;

/// One service's log: its name, its bounds, and what it has used of them.
pub struct ServiceLog {
    service: Arc<str>,
    line_bytes: usize,
    /// Lines and bytes that may still be written. One lock, since every line needs both.
    budget: Mutex<(Bucket, Bucket)>,
    /// Lines dropped since the last one that was written.
    dropped: AtomicU64,
    stats: Arc<ServiceStats>,
}

impl ServiceLog {
    /// The log of a service.
    pub fn new(service: Arc<str>, limits: &Limits, stats: Arc<ServiceStats>) -> ServiceLog {
        let now = Instant::now();
        let lines = Bucket::full(limits.log_lines.into(), now);
        let bytes = Bucket::full(u64::try_from(limits.log_bytes).unwrap_or(u64::MAX), now);
        ServiceLog { service, line_bytes: limits.log_line, budget: Mutex::new((lines, bytes)), dropped: AtomicU64::new(0), stats }
    }

    /// Writes one line, if the service has not written too many. `method` is empty outside of calls.
    pub fn write<'f>(&self, level: Level, method: &str, message: &str, fields: impl Iterator<Item = (&'f str, &'f str)>) {
        // Seen first and not written: who logs too much does not get to spend the host's time on it.
        if !enabled(level) || !self.admit(message.len().min(self.line_bytes)) {
            return;
        }
        let message = visible(message, self.line_bytes);
        let mut text = String::new();
        for (name, value) in fields {
            if text.len() > self.line_bytes {
                text.push('…');
                break;
            }
            let room = self.line_bytes - text.len().min(self.line_bytes);
            let space = if text.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{space}{}={}", visible(name, room), visible(value, room));
        }
        self.spend(text.len());
        let (method, fields) = ((!method.is_empty()).then_some(method), (!text.is_empty()).then_some(text));
        let service = &*self.service;
        match level {
            Level::ERROR => tracing::error!(target: "guest", service, method, guest = fields, "{message}"),
            Level::WARN => tracing::warn!(target: "guest", service, method, guest = fields, "{message}"),
            Level::INFO => tracing::info!(target: "guest", service, method, guest = fields, "{message}"),
            Level::DEBUG => tracing::debug!(target: "guest", service, method, guest = fields, "{message}"),
            Level::TRACE => tracing::trace!(target: "guest", service, method, guest = fields, "{message}"),
        }
    }

    /// Whether the host may write a line of about this length that the service has caused; it is counted
    /// like one of the service's own.
    pub fn allows(&self, bytes: usize) -> bool {
        self.admit(bytes)
    }

    /// Takes one line of this length from the budget.
    fn admit(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut budget = self.budget.lock().expect("no holder panics");
        let (line_budget, byte_budget) = &mut *budget;
        let now = Instant::now();
        line_budget.fill(now);
        byte_budget.fill(now);
        if line_budget.left == 0 || byte_budget.left == 0 {
            drop(budget);
            self.dropped.fetch_add(1, Relaxed);
            self.stats.log_lines_dropped.fetch_add(1, Relaxed);
            return false;
        }
        line_budget.left -= 1;
        byte_budget.left = byte_budget.left.saturating_sub(bytes);
        drop(budget);
        self.stats.log_lines.fetch_add(1, Relaxed);
        self.stats.log_bytes.fetch_add(bytes, Relaxed);
        let (service, dropped) = (&*self.service, self.dropped.swap(0, Relaxed));
        if dropped > 0 {
            tracing::warn!(
                service,
                dropped,
                "the service logs more than its limits log-lines and log-bytes allow; lines were dropped. \
                 To raise them, write log-lines or log-bytes in [service.{service}.limits]"
            );
        }
        true
    }

    /// Takes bytes of a line that was admitted from the budget.
    fn spend(&self, bytes: usize) {
        if bytes > 0 {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            self.stats.log_bytes.fetch_add(bytes, Relaxed);
            let budget = &mut self.budget.lock().expect("no holder panics").1;
            budget.left = budget.left.saturating_sub(bytes);
        }
    }
}

/// What fills with time, up to a burst.
struct Bucket {
    left: u64,
    per_second: u64,
    filled: Instant,
}

impl Bucket {
    fn full(per_second: u64, now: Instant) -> Bucket {
        Bucket { left: per_second.saturating_mul(BURST_SECONDS), per_second, filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = u64::try_from(now.duration_since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let fresh = passed.saturating_mul(self.per_second) / 1_000_000;
        // A moment too short for one more is kept for the next time.
        if fresh > 0 {
            self.left = self.left.saturating_add(fresh).min(self.per_second.saturating_mul(BURST_SECONDS));
            self.filled = now;
        }
    }
}

/// Whether a guest's line of this level would be shown.
pub fn enabled(level: Level) -> bool {
    match level {
        Level::ERROR => tracing::enabled!(target: "guest", Level::ERROR),
        Level::WARN => tracing::enabled!(target: "guest", Level::WARN),
        Level::INFO => tracing::enabled!(target: "guest", Level::INFO),
        Level::DEBUG => tracing::enabled!(target: "guest", Level::DEBUG),
        Level::TRACE => tracing::enabled!(target: "guest", Level::TRACE),
    }
}

/// The text with control characters made visible, cut at `limit` bytes. Bidirectional overrides
/// count as control characters: they make a line look like another.
fn visible(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        if out.len() >= limit {
            out.push('…');
            break;
        }
        match c {
            '\t' => out.push('\t'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// A guest's stdout or stderr, as lines of its service's log.
#[derive(Clone)]
pub struct Output {
    log: Arc<ServiceLog>,
    level: Level,
    line: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    /// An output whose lines are logged at this level.
    pub fn new(log: Arc<ServiceLog>, level: Level) -> Output {
        Output { log, level, line: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock().expect("no holder panics");
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            // What is over the limit would be cut anyway; one byte more tells that it was.
            let room = (self.log.line_bytes + 1).saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.emit(&line);
                line.clear();
            }
        }
    }

    fn emit(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if !text.is_empty() {
            self.log.write(self.level, "", &text, std::iter::empty());
        }
    }

    /// Logs what was written without an end of line.
    pub fn finish(&self) {
        let line = std::mem::take(&mut *self.line.lock().expect("no holder panics"));
        self.emit(&line);
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_made_visible_and_long_lines_cut() {
        assert_eq!(visible("a\x1b[31mb\u{202e}c\td", 100), "a\\u{1b}[31mb\\u{202e}c\td");
        assert_eq!(visible("0123456789", 4), "0123…");
    }

    #[test]
    fn a_service_that_logs_too_much_loses_lines() {
        let stats = Arc::new(ServiceStats::default());
        let limits = Limits { log_lines: 1, ..Limits::default() };
        let log = ServiceLog::new("noisy".into(), &limits, Arc::clone(&stats));
        let admitted = (0..100).filter(|_| log.admit(1)).count();
        assert!((10..=11).contains(&admitted), "{admitted}");
        assert!(stats.log_lines_dropped.load(Relaxed) >= 89);
    }

    #[test]
    fn few_lines_that_are_long_are_too_much_as_well() {
        let stats = Arc::new(ServiceStats::default());
        let limits = Limits { log_bytes: 100, ..Limits::default() };
        let log = ServiceLog::new("noisy".into(), &limits, Arc::clone(&stats));
        let admitted = (0..10).filter(|_| log.admit(500)).count();
        assert_eq!(admitted, 2);
        assert_eq!((stats.log_lines.load(Relaxed), stats.log_bytes.load(Relaxed)), (2, 1000));
    }
}
