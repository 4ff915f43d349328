//! A host's log as it comes: kept, and waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::watch;

use crate::SOON;

/// The lines that a process has written so far. Clones share them.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many lines there are, and whether the stream has ended.
    state: watch::Receiver<(usize, bool)>,
}

impl Log {
    /// Reads `stream` to its end, on a thread that ends with it.
    pub fn of(stream: impl Read + Send + 'static) -> Log {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sender, state) = watch::channel((0, false));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // An error ends the log as the end of the stream does: the process is gone.
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let mut kept = kept.lock().expect("no holder panics");
                kept.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
                sender.send_replace((kept.len(), false));
            }
            let read = kept.lock().expect("no holder panics").len();
            sender.send_replace((read, true));
        });
        Log { lines, state }
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no holder panics").clone()
    }

    /// All lines so far that are JSON.
    pub fn records(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What `wanted` makes of the first line that it takes, waited for.
    ///
    /// # Panics
    /// If none comes in time, or the log ends before.
    pub async fn find<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut state = self.state.clone();
        let mut seen = 0;
        let found = tokio::time::timeout(SOON, async {
            loop {
                let ended = state.borrow_and_update().1;
                let lines = self.lines();
                if let Some(found) = lines[seen..].iter().find_map(|line| wanted(line)) {
                    return Some(found);
                }
                seen = lines.len();
                if ended || state.changed().await.is_err() {
                    return None;
                }
            }
        })
        .await;
        match found {
            Ok(Some(found)) => found,
            Ok(None) => panic!("the log ended without {what}"),
            Err(_) => panic!("no {what} in the log within {SOON:?}"),
        }
    }

    /// The first line that is JSON and that `wanted` accepts, waited for.
    ///
    /// # Panics
    /// As [`Log::find`].
    pub async fn record(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.find(what, |line| serde_json::from_str(line).ok().filter(|record| wanted(record))).await
    }

    /// Waits until the process has closed its end.
    pub async fn ended(&self) {
        let mut state = self.state.clone();
        // An error means that the reading thread is gone, which it is only after the end.
        let _ = state.wait_for(|(_, ended)| *ended).await;
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "  | {line}"))
    }
}

/// The message of a log record.
pub fn message(record: &Value) -> &str {
    record["fields"]["message"].as_str().unwrap_or_default()
}
