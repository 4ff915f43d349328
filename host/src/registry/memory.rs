//! A registry within one process: for hosts that share it, and for one that is to know of nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::board::Board;
use super::{Changes, MAX_NODES, Node, Registry, RegistryError};

const NAME: &str = "in-host";

/// A registry that is shared by its clones, and by nobody else. It needs a tokio runtime with a clock.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    board: Arc<Board>,
    /// When each lease runs out, by id.
    leases: Mutex<HashMap<String, Instant>>,
    /// The next time at which one does. Who watches waits for it: there is no task that nobody owns, and
    /// where nobody watches, leases are looked at when nodes are.
    next: watch::Sender<Option<Instant>>,
}

impl Shared {
    /// Has those gone whose leases have run out.
    fn expire(&self) {
        self.change(|_| ());
    }

    /// Changes the leases, after those that have run out are gone.
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<String, Instant>) -> T) -> T {
        let now = Instant::now();
        let mut leases = self.leases.lock().expect("no holder panics");
        leases.retain(|id, ends| {
            let holds = *ends > now;
            if !holds {
                self.board.remove(id);
            }
            holds
        });
        let result = change(&mut leases);
        let next = leases.values().min().copied();
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
        result
    }
}

impl Registry for Memory {
    fn name(&self) -> &str {
        NAME
    }

    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            self.0.change(|leases| {
                if leases.len() >= MAX_NODES && !leases.contains_key(&node.id) {
                    return Err(RegistryError::Refused(NAME.into(), format!("it holds {MAX_NODES} nodes already")));
                }
                leases.insert(node.id.clone(), Instant::now() + lease);
                self.0.board.put(node);
                Ok(())
            })
        })
    }

    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        let id = id.to_owned();
        Box::pin(async move {
            self.0.change(|leases| {
                leases.remove(&id);
                self.0.board.remove(&id);
            });
            Ok(())
        })
    }

    fn watch(&self) -> Changes {
        self.0.expire();
        self.0.board.complete();
        let next = self.0.next.subscribe();
        let state = (self.0.board.watch(), next, Arc::downgrade(&self.0));
        Box::pin(stream::unfold(state, |(mut changes, mut next, shared)| async move {
            loop {
                let ends = *next.borrow_and_update();
                tokio::select! {
                    change = changes.next() => return Some((change?, (changes, next, shared))),
                    // It fails when the registry ends, which the changes tell too.
                    Ok(()) = next.changed() => {}
                    () = until(ends) => Weak::upgrade(&shared)?.expire(),
                }
            }
        }))
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::conformance::{Suite, node};
    use crate::registry::{Change, LEASE};

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_contract() {
        let memory = Memory::default();
        let suite = Suite { lease: LEASE, nodes: 200, large: 300 << 10 };
        suite.all(|| std::future::ready(memory.clone()), || std::future::ready(())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_runs_out_where_nobody_watches() {
        let memory = Memory::default();
        memory.register(Arc::new(node("a", 1)), LEASE).await.expect("room");
        tokio::time::advance(LEASE).await;
        assert_eq!(memory.watch().next().await, Some(Change::Complete));
    }

    #[tokio::test]
    async fn a_watch_ends_with_the_registry() {
        let memory = Memory::default();
        let mut changes = memory.watch();
        drop(memory);
        assert_eq!(changes.next().await, Some(Change::Complete));
        assert_eq!(changes.next().await, None);
    }
}
