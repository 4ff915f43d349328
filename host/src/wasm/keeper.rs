//! Keeps an instance: polls it where it belongs, and gives it up when it is stuck.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::inbox::Inbox;
use super::instance::live;
use super::pool::Pool;
use crate::status::Status;

/// How long an abandoned call may go on before its instance is given up: most end by themselves
/// sooner, and a new instance costs more than that.
const ABANDONED_GRACE: Duration = Duration::from_millis(100);

/// Begins an instance on this lane. `started` hears when it can take calls, or why it cannot.
pub fn spawn(pool: &Arc<Pool>, lane: usize, started: oneshot::Sender<Result<(), Status>>) {
    let inbox = Arc::new(Inbox::new());
    let inner = Box::pin(live(Arc::clone(pool), lane, Arc::clone(&inbox), started));
    let keeper = Keeper { inner, inbox, pool: Arc::clone(pool), lane, on_heavy: false, grace: None };
    pool.lanes().spawn_on(lane, keeper);
}

/// Polls an instance, moves it between its lane and the heavy threads, and gives it up when all that
/// is left in it is calls that nobody waits for.
///
/// It stands outside of the store, because a guest that waits within a plain `func` holds the store
/// and all that runs inside it.
struct Keeper {
    inner: BoxFuture<'static, ()>,
    inbox: Arc<Inbox>,
    pool: Arc<Pool>,
    lane: usize,
    on_heavy: bool,
    grace: Option<Pin<Box<Sleep>>>,
}

impl Future for Keeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.inbox.bell.keeper.register(cx.waker());
        self.inbox.computing.resume();
        if self.inner.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.is_stuck(cx) || self.inbox.is_cut_off() {
            // It may hold a lot, which takes a while to give back: not on a lane, where others wait.
            let stuck = std::mem::replace(&mut self.inner, Box::pin(std::future::ready(())));
            self.pool.lanes().heavy().spawn_blocking(move || drop(stuck));
            return Poll::Ready(());
        }
        if self.inbox.heavy.load(Relaxed) != self.on_heavy {
            let me = &mut *self;
            let moved = Keeper {
                // What is left behind is polled no more.
                inner: std::mem::replace(&mut me.inner, Box::pin(std::future::ready(()))),
                inbox: Arc::clone(&me.inbox),
                pool: Arc::clone(&me.pool),
                lane: me.lane,
                on_heavy: !me.on_heavy,
                grace: me.grace.take(),
            };
            if moved.on_heavy {
                me.pool.lanes().heavy().spawn(moved);
            } else {
                me.pool.lanes().spawn_on(me.lane, moved);
            }
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Keeper {
    /// Whether, for longer than the grace, the instance has held nothing but abandoned calls.
    fn is_stuck(&mut self, cx: &mut Context<'_>) -> bool {
        let (running, live) = self.inbox.count();
        if running == live {
            self.grace = None;
            return false;
        }
        let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(ABANDONED_GRACE)));
        if grace.as_mut().poll(cx).is_pending() {
            return false;
        }
        // The places of the abandoned calls are made free by a new instance.
        self.inbox.retire();
        live == 0
    }
}
