//! The connections from one lane to one host: one to begin with, and more when the other host takes no more
//! calls on it at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};

use super::Context;
use super::connect::connect;
use super::fault::late;
use super::line::{Line, Turn};
use crate::registry::Address;
use crate::status::{Code, Status};

/// Connections from one lane to one host.
const MAX_LINES: usize = 4;

/// Calls of one lane that may wait: for a connection, or for a place on one where there are no more.
const MAX_WAITING: usize = 1024;

/// Where connections lead.
pub struct Target {
    pub address: Address,
    pub context: Arc<Context>,
}

/// An attempt to connect, for all who wait for it; fails with the reason.
type Opening = Shared<BoxFuture<'static, Result<(), Arc<str>>>>;

/// The connections of one lane.
pub struct Pool {
    pub lane: usize,
    pub target: Arc<Target>,
    lines: ArcSwap<Vec<Arc<Line>>>,
    opening: Mutex<Option<Opening>>,
    waiting: AtomicUsize,
}

/// One of the calls that wait, until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn unreachable(why: Arc<str>) -> Status {
    Status::new(Code::Unavailable, "there is no connection to the other host").because(&*why)
}

impl Pool {
    pub fn new(lane: usize, target: Arc<Target>) -> Pool {
        Pool { lane, target, lines: ArcSwap::default(), opening: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// A place for a call, on a connection that is opened if need be. Whatever it fails with, the call is
    /// unseen.
    pub async fn turn(self: &Arc<Pool>, deadline: Option<Instant>) -> Result<Turn, Status> {
        if let Some(turn) = self.free() {
            return Ok(turn);
        }
        let turn = self.opened();
        let turn = match deadline {
            None => turn.await,
            Some(deadline) => timeout_at(deadline.into(), turn).await.unwrap_or_else(|_| Err(late())),
        };
        turn.map_err(Status::unseen)
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.lines.load().iter().any(|line| line.is_live())
    }

    /// Has a connection, which is opened if there is none.
    pub async fn connected(self: &Arc<Pool>) -> Result<(), Status> {
        let _waits = self.wait()?;
        match if self.is_connected() { None } else { self.open() } {
            None => Ok(()),
            Some(opening) => opening.await.map_err(unreachable),
        }
    }

    /// A place on a connection that there is.
    fn free(&self) -> Option<Turn> {
        self.lines.load().iter().find_map(|line| line.turn(0))
    }

    /// A place for a call that waits until another one on its connection is over.
    fn queued(&self) -> Option<Turn> {
        let lines = self.lines.load();
        lines.iter().filter(|line| line.is_open()).min_by_key(|line| line.calls())?.turn(MAX_WAITING)
    }

    async fn opened(self: &Arc<Pool>) -> Result<Turn, Status> {
        let _waits = self.wait()?;
        let mut failure = None;
        // A connection that has just come may be full at once, so there may be several.
        for _ in 0..=MAX_LINES {
            if let Some(turn) = self.free() {
                return Ok(turn);
            }
            let Some(opening) = self.open() else { break };
            if let Err(why) = opening.await {
                failure = Some(why);
                break;
            }
        }
        self.queued().ok_or_else(|| match failure {
            Some(why) => unreachable(why),
            None => Status::new(Code::ResourceExhausted, "too many calls wait for the other host"),
        })
    }

    fn wait(&self) -> Result<Waits<'_>, Status> {
        let waits = Waits(&self.waiting);
        if self.waiting.fetch_add(1, Relaxed) >= MAX_WAITING {
            return Err(Status::new(Code::ResourceExhausted, "too many calls wait for a connection to the other host"));
        }
        Ok(waits)
    }

    /// The attempt that is under way, or a new one; `None` where there are as many connections as may be.
    fn open(self: &Arc<Pool>) -> Option<Opening> {
        let mut opening = self.opening.lock().expect("no holder panics");
        if let Some(opening) = &*opening {
            return Some(opening.clone());
        }
        let open: Vec<Arc<Line>> = self.lines.load().iter().filter(|line| line.is_open()).cloned().collect();
        if open.len() >= MAX_LINES {
            return None;
        }
        let (done, opened) = oneshot::channel();
        let opened = opened.map(|result| result.unwrap_or_else(|_| Err("the host ends".into()))).boxed().shared();
        *opening = Some(opened.clone());
        let pool = Arc::clone(self);
        // On its lane, as its socket belongs to the lane's reactor; and whoever waits may give up.
        self.target.context.lanes.spawn_on(self.lane, async move {
            let result = pool.connect().await;
            if let Err(why) = &result {
                tracing::debug!(address = %pool.target.address, %why, "no connection to another host");
            }
            *pool.opening.lock().expect("no holder panics") = None;
            // Nobody may wait any more.
            drop(done.send(result));
        });
        Some(opened)
    }

    /// Makes a connection and has it driven.
    async fn connect(self: &Arc<Pool>) -> Result<(), Arc<str>> {
        let Target { address, context } = &*self.target;
        let limit = context.bounds.connect;
        let connecting = async {
            let socket = connect(address, context).await.map_err(|error| error.to_string())?;
            Line::open(socket, context.patience).await.map_err(|error| error.to_string())
        };
        let (line, run) = timeout(limit, connecting).await.unwrap_or_else(|_| Err(format!("it took more than {limit:?}")))?;
        self.add(&line);
        let (pool, line) = (Arc::downgrade(self), Arc::downgrade(&line));
        context.lanes.spawn_on(self.lane, async move {
            run.await;
            if let (Some(pool), Some(line)) = (pool.upgrade(), line.upgrade()) {
                pool.remove(&line);
            }
        });
        Ok(())
    }

    fn add(&self, line: &Arc<Line>) {
        self.lines.rcu(|lines| {
            let mut lines: Vec<Arc<Line>> = lines.iter().filter(|line| line.is_open()).cloned().collect();
            lines.push(Arc::clone(line));
            lines
        });
    }

    fn remove(&self, line: &Arc<Line>) {
        self.lines.rcu(|lines| lines.iter().filter(|other| !Arc::ptr_eq(other, line)).cloned().collect::<Vec<_>>());
    }
}
