//! What a registry of this process knows, and those who watch it: a snapshot and then each change, with
//! nothing between them lost or told twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use futures::stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Change, Changes, Node};

/// Changes that a watcher may be behind; one that is further behind begins anew, with all that there is.
pub(super) const MAX_BEHIND: usize = 1024;

/// Nodes, and who hears of them.
#[derive(Debug)]
pub(super) struct Board {
    told: Mutex<Told>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug, Default)]
struct Told {
    nodes: BTreeMap<String, Arc<Node>>,
    /// All that there was has been told.
    complete: bool,
}

impl Default for Board {
    fn default() -> Board {
        Board { told: Mutex::default(), changes: broadcast::Sender::new(MAX_BEHIND) }
    }
}

impl Board {
    /// Makes a node known, in place of what it told before. What is known already is not told again.
    pub(super) fn put(&self, node: Arc<Node>) {
        let mut told = self.told();
        if told.nodes.get(&node.id).is_some_and(|known| *known == node) {
            return;
        }
        told.nodes.insert(node.id.clone(), Arc::clone(&node));
        self.tell(Change::Put(node));
    }

    /// Forgets a node.
    pub(super) fn remove(&self, id: &str) {
        // Told under the lock, as all changes are: watchers hear them in the order in which they came.
        let mut told = self.told();
        if told.nodes.remove(id).is_some() {
            self.tell(Change::Gone(id.to_owned()));
        }
    }

    /// Says that all that there was has been told. It is heard once.
    pub(super) fn complete(&self) {
        let mut told = self.told();
        if !std::mem::replace(&mut told.complete, true) {
            self.tell(Change::Complete);
        }
    }

    /// The node that is known by an id.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Node>> {
        self.told().nodes.get(id).cloned()
    }

    /// Tells what there is, and then what changes, for as long as the board is there.
    pub(super) fn watch(self: &Arc<Board>) -> Changes {
        // Weakly, or a board that is watched would never end.
        let board = Arc::downgrade(self);
        let (snapshot, receiver) = self.snapshot();
        let changes = stream::unfold((VecDeque::from(snapshot), receiver), move |(mut waiting, mut receiver)| {
            let board = Weak::clone(&board);
            async move {
                if let Some(change) = waiting.pop_front() {
                    return Some((change, (waiting, receiver)));
                }
                match receiver.recv().await {
                    Ok(change) => Some((change, (waiting, receiver))),
                    Err(RecvError::Lagged(missed)) => {
                        let (snapshot, receiver) = board.upgrade()?.snapshot();
                        let why = format!("{missed} changes came faster than they were taken");
                        Some((Change::Lost(why), (snapshot.into(), receiver)))
                    }
                    Err(RecvError::Closed) => None,
                }
            }
        });
        Box::pin(changes)
    }

    fn snapshot(&self) -> (Vec<Change>, broadcast::Receiver<Change>) {
        let told = self.told();
        let complete = told.complete.then_some(Change::Complete);
        let snapshot = told.nodes.values().cloned().map(Change::Put).chain(complete).collect();
        (snapshot, self.changes.subscribe())
    }

    fn tell(&self, change: Change) {
        // It fails where nobody listens.
        let _ = self.changes.send(change);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::registry::conformance::node;

    #[tokio::test]
    async fn a_watcher_that_is_left_behind_begins_anew_with_all_there_is() {
        let board = Arc::new(Board::default());
        board.complete();
        let mut changes = board.watch();
        assert_eq!(changes.next().await, Some(Change::Complete));
        let last = u64::try_from(MAX_BEHIND).expect("small") + 5;
        (1..=last).for_each(|revision| board.put(Arc::new(node("a", revision))));
        assert!(matches!(changes.next().await, Some(Change::Lost(why)) if why.starts_with("5 changes")));
        assert!(matches!(changes.next().await, Some(Change::Put(node)) if node.revision == last));
        assert_eq!(changes.next().await, Some(Change::Complete));
        board.remove("a");
        assert_eq!(changes.next().await, Some(Change::Gone("a".into())));
    }

    #[tokio::test]
    async fn what_is_known_is_not_told_twice_and_the_end_is_heard() {
        let board = Arc::new(Board::default());
        let mut changes = board.watch();
        for _ in 0..2 {
            board.put(Arc::new(node("a", 1)));
            board.complete();
            board.remove("b");
        }
        assert!(matches!(changes.next().await, Some(Change::Put(_))));
        assert_eq!(changes.next().await, Some(Change::Complete));
        assert_eq!(changes.next().now_or_never(), None);
        drop(board);
        assert_eq!(changes.next().await, None);
    }

    #[test]
    fn a_watch_that_is_dropped_leaves_nothing() {
        let board = Arc::new(Board::default());
        drop(board.watch());
        board.put(Arc::new(node("a", 1)));
        assert_eq!((board.changes.receiver_count(), board.changes.len()), (0, 0));
    }
}
