//! A host with several addresses: connections lead to the best one that answers, and the better ones are
//! looked at again now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{sleep, timeout_at};

use super::Context;
use super::fault::late;
use super::host::Host;
use super::pool::Pool;
use crate::registry::Address;
use crate::rpc::{CallFuture, Channel, OpenFuture, Request, StreamRequest};
use crate::status::{Code, Status};

/// How long an address may take before the next one is tried beside it: a network that drops packets tells
/// nothing. It is more than a connection across the world takes.
const HEAD_START: Duration = Duration::from_millis(500);

/// How often the addresses that are better than the one in use are tried again, while there are calls.
const AGAIN: Duration = Duration::from_secs(10);

/// The channel to a host by whichever of its addresses works.
pub struct Paths(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    /// By address, the best first.
    hosts: Box<[(Address, Arc<Host>)]>,
    /// The one in use.
    at: AtomicUsize,
    began: Instant,
    /// When better ones are tried again, in milliseconds from when this began.
    again: AtomicU64,
}

impl Paths {
    /// To a host that is at all of these, of which there is at least one.
    pub(super) fn new(hosts: Box<[(Address, Arc<Host>)]>, context: &Arc<Context>) -> Paths {
        let context = Arc::clone(context);
        Paths(Arc::new(Inner { context, hosts, at: AtomicUsize::new(0), began: Instant::now(), again: AtomicU64::new(0) }))
    }

    /// The host by the address in use, where there is a connection.
    fn connected(&self) -> Option<&Arc<Host>> {
        let at = self.0.at.load(Relaxed);
        let (_, host) = &self.0.hosts[at];
        if !host.is_connected() {
            return None;
        }
        if at > 0 {
            self.0.look_again();
        }
        Some(host)
    }
}

impl Inner {
    /// The host by an address that has a connection now. Whatever it fails with, nothing was sent.
    async fn connect(&self, deadline: Option<Instant>) -> Result<&Arc<Host>, Status> {
        let connecting = self.race();
        let at = match deadline {
            None => connecting.await,
            Some(deadline) => timeout_at(deadline.into(), connecting).await.unwrap_or_else(|_| Err(late())),
        };
        let at = at.map_err(Status::unseen)?;
        self.take(at);
        Ok(&self.hosts[at].1)
    }

    /// The address that is the first to have a connection: the one that was in use begins, then the others
    /// follow by their order, each when those before have had their time or have failed.
    async fn race(&self) -> Result<usize, Status> {
        let used = self.at.load(Relaxed);
        let mut order = std::iter::once(used).chain((0..self.hosts.len()).filter(|at| *at != used));
        let mut under_way = FuturesUnordered::new();
        let mut failed: Option<(Code, String)> = None;
        loop {
            let begun = order.next().map(|at| under_way.push(async move { (at, connected(self.hosts[at].1.pool()).await) }));
            let (at, answer) = tokio::select! {
                Some(answer) = under_way.next() => answer,
                () = sleep(HEAD_START), if begun.is_some() => continue,
                else => {
                    let (code, why) = failed.expect("there is at least one address");
                    return Err(Status::new(code, "there is no connection to the other host").because(why));
                }
            };
            let Err(status) = answer else { return Ok(at) };
            let why = format!("{}: {}", self.hosts[at].0, status.cause().map_or_else(|| status.to_string(), ToString::to_string));
            failed = Some(match failed {
                None => (status.code(), why),
                Some((code, before)) => (code, format!("{before}; {why}")),
            });
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Uses an address from now on.
    fn take(&self, at: usize) {
        if self.at.swap(at, Relaxed) != at {
            self.again.store(self.now() + AGAIN.as_millis() as u64, Relaxed);
            tracing::debug!(address = %self.hosts[at].0, "another host is reached by another of its addresses");
        }
    }

    /// Tries those that are better than the one in use, where that is due.
    fn look_again(self: &Arc<Inner>) {
        let (now, due) = (self.now(), self.again.load(Relaxed));
        if now < due || self.again.compare_exchange(due, now + AGAIN.as_millis() as u64, Relaxed, Relaxed).is_err() {
            return;
        }
        let inner = Arc::clone(self);
        let better = self.at.load(Relaxed);
        let pools: Vec<Arc<Pool>> = self.hosts[..better].iter().map(|(_, host)| host.pool()).collect();
        let lane = self.hosts[0].1.pool().lane;
        self.context.lanes.spawn_on(lane, async move {
            for (at, pool) in pools.into_iter().enumerate() {
                if connected(pool).await.is_ok() {
                    // Calls that run stay where they are; that connection closes when it is idle.
                    return inner.take(at);
                }
            }
        });
    }
}

async fn connected(pool: Arc<Pool>) -> Result<(), Status> {
    pool.connected().await
}

impl Channel for Paths {
    fn call(&self, path: &str, request: Request) -> CallFuture {
        if let Some(host) = self.connected() {
            return host.call(path, request);
        }
        let (inner, path) = (Arc::clone(&self.0), path.to_owned());
        Box::pin(async move { inner.connect(request.deadline).await?.call(&path, request).await })
    }

    fn open(&self, path: &str, request: StreamRequest) -> OpenFuture {
        if let Some(host) = self.connected() {
            return host.open(path, request);
        }
        let (inner, path) = (Arc::clone(&self.0), path.to_owned());
        Box::pin(async move { inner.connect(request.deadline).await?.open(&path, request).await })
    }
}
