//! The log of a host as its door shows it: the last lines of each service, and new ones as they come.
//! It hears what the log on standard error hears, no more and no less.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::view::{LogEntry, LogLine};
use crate::status::{Code, Status};

/// Lines that are kept of each service, and of the host itself; and their bytes.
const KEPT_LINES: usize = 500;
const KEPT_BYTES: usize = 128 << 10;

/// Lines that wait for one reader; more are lost to it.
const READER_LINES: usize = 2000;

/// Readers at once.
const MAX_READERS: usize = 64;

/// What a line weighs beside its text.
const LINE_WEIGHT: usize = 128;

/// The target of what services write themselves.
const GUEST: &str = "guest";

/// The log of a host: what it keeps, and who reads along.
#[derive(Default)]
pub struct Journal(Mutex<State>);

#[derive(Default)]
struct State {
    /// How many lines there have been.
    written: u64,
    /// The lines by service; the host's own under the empty name.
    rings: HashMap<Arc<str>, Ring>,
    /// The services by every name that the log may call them by. Other names are callers' words, and
    /// are kept with the host's lines, so that nobody makes rings.
    services: HashMap<Box<str>, Arc<str>>,
    readers: Vec<Arc<Reader>>,
    ended: bool,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<(u64, Arc<LogLine>)>,
    bytes: usize,
}

/// What a reader wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// One service's lines, by its name in the settings; all where there is none.
    pub service: Option<String>,
    /// Lines of this level and graver ones.
    pub level: Level,
    /// How many lines that came before, at most.
    pub last: usize,
}

struct Reader {
    wanted: Wanted,
    waiting: Mutex<VecDeque<Waiting>>,
    came: Notify,
}

/// What waits for a reader; `None` is the end.
enum Waiting {
    Line(Arc<LogLine>),
    Lost(u64),
    End,
}

/// The lines that come, for one reader. Dropping it ends the reading.
pub struct Tail {
    journal: Arc<Journal>,
    reader: Arc<Reader>,
}

impl Journal {
    /// Keeps lines of a service from now on, which the log calls by its name in the settings or by the
    /// names of what it serves.
    pub fn know<'n>(&self, service: &str, served: impl Iterator<Item = &'n str>) {
        let mut state = self.state();
        let name: Arc<str> = service.into();
        state.services.retain(|_, known| **known != *name);
        for alias in served {
            state.services.insert(alias.into(), Arc::clone(&name));
        }
        // Last: what a service is called in the settings goes before what another one serves.
        state.services.insert(service.into(), name);
    }

    /// Forgets a service and its lines.
    pub fn forget(&self, service: &str) {
        let mut state = self.state();
        state.services.retain(|_, known| **known != *service);
        state.rings.remove(service);
    }

    /// The last lines that fit, oldest first.
    pub fn last(&self, wanted: &Wanted) -> Vec<Arc<LogLine>> {
        self.state().last(wanted)
    }

    /// The last lines that fit, and those that come from now on, with none between them.
    ///
    /// Fails with `resource_exhausted` where there are too many readers.
    pub fn follow(self: &Arc<Journal>, wanted: Wanted) -> Result<(Vec<Arc<LogLine>>, Tail), Status> {
        let mut state = self.state();
        if state.readers.len() >= MAX_READERS {
            let what = format!("{MAX_READERS} readers follow the log already: end one of them");
            return Err(Status::new(Code::ResourceExhausted, what));
        }
        let last = state.last(&wanted);
        let reader = Arc::new(Reader { wanted, waiting: Mutex::default(), came: Notify::new() });
        if state.ended {
            reader.push(Waiting::End);
        }
        state.readers.push(Arc::clone(&reader));
        Ok((last, Tail { journal: Arc::clone(self), reader }))
    }

    /// Ends all readings: nothing more will come.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        for reader in &state.readers {
            reader.push(Waiting::End);
        }
    }

    /// Keeps a line, and hands it to those who read along. `said` is the name that the log gives.
    fn write(&self, said: Option<&str>, mut line: LogLine) {
        let mut state = self.state();
        let owner = said.and_then(|said| state.services.get(said)).cloned();
        if let Some(owner) = &owner {
            line.service = Some(owner.to_string());
        }
        if let Some(said) = said.filter(|said| owner.as_deref() != Some(*said)) {
            // What is served says more than who serves it, beside the method.
            line.method = Some(line.method.map_or_else(|| said.to_owned(), |method| format!("{said}/{method}")));
        }
        let line = Arc::new(line);
        for reader in &state.readers {
            if reader.wants(&line) {
                reader.push(Waiting::Line(Arc::clone(&line)));
            }
        }
        let number = state.written;
        state.written += 1;
        state.rings.entry(owner.unwrap_or_default()).or_default().push(number, line);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder panics")
    }
}

impl State {
    fn last(&self, wanted: &Wanted) -> Vec<Arc<LogLine>> {
        let rings = self.rings.iter().filter(|(name, _)| wanted.service.as_deref().is_none_or(|service| service == &***name));
        let fits = |line: &&(u64, Arc<LogLine>)| fits(&line.1, wanted.level);
        let mut lines: Vec<&(u64, Arc<LogLine>)> =
            rings.flat_map(|(_, ring)| ring.lines.iter().rev().filter(fits).take(wanted.last)).collect();
        lines.sort_unstable_by_key(|(number, _)| *number);
        lines[lines.len().saturating_sub(wanted.last)..].iter().map(|(_, line)| Arc::clone(line)).collect()
    }
}

impl Ring {
    fn push(&mut self, number: u64, line: Arc<LogLine>) {
        self.bytes += weight(&line);
        self.lines.push_back((number, line));
        while self.lines.len() > KEPT_LINES || self.bytes > KEPT_BYTES {
            let Some((_, line)) = self.lines.pop_front() else { return };
            self.bytes -= weight(&line);
        }
    }
}

fn weight(line: &LogLine) -> usize {
    let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    LINE_WEIGHT + line.message.len() + fields
}

fn fits(line: &LogLine, level: Level) -> bool {
    line.level.parse::<Level>().is_ok_and(|of_line| of_line <= level)
}

impl Reader {
    fn wants(&self, line: &LogLine) -> bool {
        let of_service = self.wanted.service.is_none() || self.wanted.service == line.service;
        of_service && fits(line, self.wanted.level)
    }

    fn push(&self, new: Waiting) {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        match (waiting.len() >= READER_LINES, new, waiting.back_mut()) {
            (true, Waiting::Line(_), Some(Waiting::Lost(lost))) => *lost += 1,
            (true, Waiting::Line(_), _) => waiting.push_back(Waiting::Lost(1)),
            (_, new, _) => waiting.push_back(new),
        }
        drop(waiting);
        self.came.notify_one();
    }
}

impl Tail {
    /// What has come since the last time, waited for where nothing has; `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<LogEntry>> {
        loop {
            let came: Vec<Waiting> = {
                let mut waiting = self.reader.waiting.lock().expect("no holder panics");
                if matches!(waiting.front(), Some(Waiting::End)) {
                    return None;
                }
                let end = waiting.iter().position(|one| matches!(one, Waiting::End)).unwrap_or(waiting.len());
                waiting.drain(..end).collect()
            };
            if !came.is_empty() {
                return Some(came.into_iter().filter_map(entry).collect());
            }
            self.reader.came.notified().await;
        }
    }
}

fn entry(waiting: Waiting) -> Option<LogEntry> {
    match waiting {
        Waiting::Line(line) => Some(LogEntry::Line(LogLine::clone(&line))),
        Waiting::Lost(lost) => Some(LogEntry::Lost { lost }),
        Waiting::End => None,
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.journal.state().readers.retain(|reader| !Arc::ptr_eq(reader, &self.reader));
    }
}

/// The journal as a part of the program's log.
pub struct Listener(pub Arc<Journal>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut parts = Parts::default();
        event.record(&mut parts);
        let line = LogLine {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            level: metadata.level().as_str().to_ascii_lowercase(),
            service: None,
            guest: metadata.target() == GUEST,
            method: parts.method,
            message: parts.message,
            fields: parts.fields,
        };
        self.0.write(parts.service.as_deref(), line);
    }
}

/// The fields of an event.
#[derive(Default)]
struct Parts {
    service: Option<String>,
    method: Option<String>,
    message: String,
    fields: BTreeMap<String, String>,
}

impl Parts {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "service" => self.service = Some(value),
            "method" => self.method = Some(value),
            name => drop(self.fields.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: &str, message: &str) -> LogLine {
        LogLine {
            time: String::new(),
            level: level.into(),
            service: None,
            guest: false,
            method: None,
            message: message.into(),
            fields: BTreeMap::new(),
        }
    }

    fn wanted(service: Option<&str>, level: Level, last: usize) -> Wanted {
        Wanted { service: service.map(str::to_owned), level, last }
    }

    fn messages(lines: &[Arc<LogLine>]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    fn journal() -> Arc<Journal> {
        let journal = Arc::new(Journal::default());
        journal.know("orders", ["shop.Orders"].into_iter());
        journal.know("stock", std::iter::empty());
        journal
    }

    #[test]
    fn lines_are_kept_by_service_and_told_in_their_order() {
        let journal = journal();
        journal.write(Some("orders"), line("info", "1"));
        journal.write(Some("stock"), line("warn", "2"));
        journal.write(Some("shop.Orders"), line("debug", "3"));
        journal.write(Some("nobody.Knows"), line("info", "4"));
        journal.write(None, line("info", "5"));
        let all = |service, level, last| journal.last(&wanted(service, level, last));
        assert_eq!(messages(&all(None, Level::TRACE, 9)), ["1", "2", "3", "4", "5"]);
        assert_eq!(messages(&all(None, Level::TRACE, 2)), ["4", "5"]);
        assert_eq!(messages(&all(Some("orders"), Level::TRACE, 9)), ["1", "3"]);
        assert_eq!(messages(&all(Some("orders"), Level::INFO, 9)), ["1"]);
        assert_eq!(messages(&all(Some("nobody.Knows"), Level::TRACE, 9)), [""; 0]);
    }

    #[test]
    fn a_line_about_what_is_served_is_of_the_service_that_serves_it() {
        let journal = journal();
        journal.write(Some("shop.Orders"), LogLine { method: Some("Place".into()), ..line("warn", "failed") });
        let line = &journal.last(&wanted(Some("orders"), Level::TRACE, 1))[0];
        assert_eq!((line.service.as_deref(), line.method.as_deref()), (Some("orders"), Some("shop.Orders/Place")));
    }

    #[test]
    fn what_is_kept_has_a_bound_in_lines_and_in_bytes() {
        let journal = journal();
        for number in 0..KEPT_LINES + 7 {
            journal.write(Some("orders"), line("info", &number.to_string()));
        }
        let kept = journal.last(&wanted(None, Level::TRACE, usize::MAX));
        assert_eq!((kept.len(), kept[0].message.as_str()), (KEPT_LINES, "7"));
        journal.write(Some("orders"), line("info", &"x".repeat(KEPT_BYTES - 2 * LINE_WEIGHT)));
        assert!(journal.last(&wanted(None, Level::TRACE, usize::MAX)).len() < 3);
    }

    #[tokio::test]
    async fn a_follower_misses_nothing_and_sees_nothing_twice() {
        let journal = journal();
        journal.write(Some("orders"), line("info", "before"));
        let (last, mut tail) = journal.follow(wanted(Some("orders"), Level::INFO, 10)).expect("room");
        assert_eq!(messages(&last), ["before"]);
        journal.write(Some("stock"), line("info", "another's"));
        journal.write(Some("orders"), line("debug", "too fine"));
        journal.write(Some("orders"), line("error", "after"));
        journal.end();
        let came = tail.next().await.expect("a line");
        assert!(matches!(&came[..], [LogEntry::Line(line)] if line.message == "after"), "{came:?}");
        assert_eq!(tail.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_lines_it_lost() {
        let journal = journal();
        let (_, mut tail) = journal.follow(wanted(None, Level::INFO, 0)).expect("room");
        for _ in 0..READER_LINES + 5 {
            journal.write(None, line("info", "x"));
        }
        let came = tail.next().await.expect("lines");
        assert_eq!((came.len(), came.last()), (READER_LINES + 1, Some(&LogEntry::Lost { lost: 5 })));
    }

    #[test]
    fn readers_are_bounded_and_leave_when_they_are_dropped() {
        let journal = journal();
        let tails: Vec<Tail> = (0..MAX_READERS).map(|_| journal.follow(wanted(None, Level::INFO, 0)).expect("room").1).collect();
        assert!(journal.follow(wanted(None, Level::INFO, 0)).is_err());
        drop(tails);
        assert!(journal.follow(wanted(None, Level::INFO, 0)).is_ok());
    }
}
