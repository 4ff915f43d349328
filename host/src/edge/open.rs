//! The connections that are open, so that a drain reaches each of them. Waking one costs nothing
//! while nobody drains: a connection looks at its own flag only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use futures::task::AtomicWaker;
use tokio::sync::Notify;

/// What a connection is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(super) enum Wish {
    /// To go on.
    Serve = 0,
    /// To end when its calls have.
    Drain = 1,
    /// To end now.
    End = 2,
}

/// The way to reach one connection.
#[derive(Debug, Default)]
pub(super) struct Control {
    wish: AtomicU8,
    waker: AtomicWaker,
}

impl Control {
    /// What is wished; the waker is woken when that changes.
    pub(super) fn poll(&self, waker: &Waker) -> Wish {
        self.waker.register(waker);
        match self.wish.load(SeqCst) {
            0 => Wish::Serve,
            1 => Wish::Drain,
            _ => Wish::End,
        }
    }

    fn wish(&self, wish: Wish) {
        self.wish.fetch_max(wish as u8, SeqCst);
        self.waker.wake();
    }
}

#[derive(Default)]
struct Table {
    next: u64,
    by_id: HashMap<u64, Arc<Control>>,
    /// What a connection is asked for that is entered from now on.
    wish: Option<Wish>,
}

/// The open connections.
#[derive(Default)]
pub(super) struct Open {
    table: Mutex<Table>,
    empty: Notify,
}

/// An open connection, until it is dropped.
pub(super) struct Entry {
    edge: Arc<super::Edge>,
    id: u64,
    pub(super) control: Arc<Control>,
}

impl Entry {
    /// Enters a connection.
    pub(super) fn new(edge: Arc<super::Edge>) -> Entry {
        let control = Arc::new(Control::default());
        let mut table = edge.open.table.lock().expect("no holder panics");
        let id = table.next;
        table.next += 1;
        table.by_id.insert(id, control.clone());
        if let Some(wish) = table.wish {
            control.wish(wish);
        }
        drop(table);
        Entry { edge, id, control }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = self.edge.open.table.lock().expect("no holder panics");
        table.by_id.remove(&self.id);
        if table.by_id.is_empty() {
            self.edge.open.empty.notify_waiters();
        }
    }
}

impl Open {
    /// Asks every connection to end when its calls have.
    pub(super) fn drain(&self) {
        self.wish(Wish::Drain);
    }

    /// Asks every connection to end now, and says how many there are.
    pub(super) fn cut(&self) -> usize {
        self.wish(Wish::End)
    }

    fn wish(&self, wish: Wish) -> usize {
        let mut table = self.table.lock().expect("no holder panics");
        table.wish = Some(wish);
        table.by_id.values().for_each(|control| control.wish(wish));
        table.by_id.len()
    }

    /// Waits until there are none.
    pub(super) async fn emptied(&self) {
        loop {
            let empty = self.empty.notified();
            if self.table.lock().expect("no holder panics").by_id.is_empty() {
                return;
            }
            empty.await;
        }
    }
}
