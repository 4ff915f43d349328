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

/// How many seconds' worth of lines may come at once.
const BURST_SECONDS: u64 = 10;

/// One service's log: its name, its bounds, and what it has used of them.
pub struct ServiceLog {
    service: Arc<str>,
    line_bytes: usize,
    lines_per_second: u64,
    /// Lines that may still be written, as of a moment. Taken apart, so that a line costs one lock.
    budget: Mutex<(u64, Instant)>,
    /// Lines dropped since the last one that was written.
    dropped: AtomicU64,
    stats: Arc<ServiceStats>,
}

impl ServiceLog {
    /// The log of a service.
    pub fn new(service: Arc<str>, limits: &Limits, stats: Arc<ServiceStats>) -> ServiceLog {
        let lines_per_second = u64::from(limits.log_lines);
        ServiceLog {
            service,
            line_bytes: limits.log_line,
            lines_per_second,
            budget: Mutex::new((lines_per_second * BURST_SECONDS, Instant::now())),
            dropped: AtomicU64::new(0),
            stats,
        }
    }

    /// Writes one line, if the service has not written too many. `method` is empty outside of calls.
    pub fn write<'f>(&self, level: Level, method: &str, message: &str, fields: impl Iterator<Item = (&'f str, &'f str)>) {
        if !enabled(level) || !self.admit() {
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

    /// Takes one line from the budget. A token bucket: it fills with time, up to the burst.
    fn admit(&self) -> bool {
        let mut budget = self.budget.lock().expect("no holder panics");
        let now = Instant::now();
        let fresh =
            u64::try_from(now.duration_since(budget.1).as_micros()).unwrap_or(u64::MAX).saturating_mul(self.lines_per_second) / 1_000_000;
        if fresh > 0 {
            *budget = ((budget.0 + fresh).min(self.lines_per_second * BURST_SECONDS), now);
        }
        if budget.0 == 0 {
            self.dropped.fetch_add(1, Relaxed);
            self.stats.log_lines_dropped.fetch_add(1, Relaxed);
            return false;
        }
        budget.0 -= 1;
        drop(budget);
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(service = &*self.service, dropped, "the service logs more than its limit log-lines allows; lines were dropped");
        }
        true
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
        let admitted = (0..100).filter(|_| log.admit()).count();
        assert!((10..=11).contains(&admitted), "{admitted}");
        assert!(stats.log_lines_dropped.load(Relaxed) >= 89);
    }
}
