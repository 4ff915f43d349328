//! A watch that outlives connections: when one breaks it says so, begins anew, and tells again all there is.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::leases::Leases;
use super::source::{Heard, Source};
use super::wire::WireError;
use crate::connections::{Link, Nats};
use crate::registry::{Change, Changes, PATIENCE};

/// How long a server that is there and cannot be watched is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Keys that are warned of at most.
const MAX_WARNINGS: usize = 100;

/// All that happens in a bucket.
struct Watch {
    server: Arc<Nats>,
    bucket: Bucket,
    source: Option<Source>,
    leases: Leases,
    /// What is to be told next.
    changes: VecDeque<Change>,
    /// Why it could not be watched the last time.
    lost: Option<String>,
    /// Keys whose values are no nodes.
    foreign: HashSet<String>,
}

/// Tells what there is in a bucket, and then what changes, for ever.
pub(super) fn watch(server: Arc<Nats>, bucket: Bucket) -> Changes {
    let (changes, foreign) = (VecDeque::new(), HashSet::new());
    let watch = Watch { server, bucket, source: None, leases: Leases::default(), changes, lost: None, foreign };
    Box::pin(stream::unfold(watch, |mut watch| async {
        let change = watch.next().await;
        Some((change, watch))
    }))
}

impl Watch {
    async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return change;
            }
            let done = match self.source.take() {
                Some(source) => self.listen(source).await,
                None => self.open().await,
            };
            match done {
                Ok(source) => self.source = Some(source),
                Err(why) => {
                    // The same reason over and over is no news.
                    if self.lost.as_ref() != Some(&why) {
                        self.changes.push_back(Change::Lost(why.clone()));
                        self.lost = Some(why);
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Source, String> {
        if self.lost.is_some() {
            self.pause().await;
        }
        let opening = Source::open(&self.server, &self.bucket);
        let source = tokio::time::timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))?;
        self.leases.begin();
        Ok(self.after(source))
    }

    /// Until it is worth another attempt.
    async fn pause(&self) {
        let mut link = self.server.link();
        if matches!(*link.borrow_and_update(), Link::Up(_)) {
            tokio::time::sleep(PAUSE).await;
            return;
        }
        // Ends early where another attempt to connect has failed for another reason.
        let _ = link.changed().await;
    }

    /// Hears one thing.
    async fn listen(&mut self, mut source: Source) -> Result<Source, String> {
        match source.next().await? {
            Heard::Put { key, value, lease, age } => match self.leases.put(&key, &value, lease, age, Instant::now()) {
                Ok(change) => self.changes.extend(change),
                Err(why) => self.warn(key, &why),
            },
            Heard::Removed { key } => self.changes.extend(self.leases.remove(&key)),
            Heard::Beat => {}
        }
        Ok(self.after(source))
    }

    /// What follows from what was heard.
    fn after(&mut self, source: Source) -> Source {
        if source.is_complete() && !self.leases.is_complete() {
            self.changes.extend(self.leases.complete(Instant::now()));
            self.lost = None;
        }
        self.changes.extend(self.leases.lapse(source.sign()));
        source
    }

    fn warn(&mut self, key: String, why: &WireError) {
        if self.foreign.len() < MAX_WARNINGS && !self.foreign.contains(&key) {
            tracing::warn!(registry = self.server.name(), key, "a value in the bucket of hosts is passed over: {why}");
            self.foreign.insert(key);
            if self.foreign.len() == MAX_WARNINGS {
                tracing::warn!(registry = self.server.name(), "more such values are not told of");
            }
        }
    }
}
