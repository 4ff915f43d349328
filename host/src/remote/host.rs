//! Another host, as a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::head::Origin;
use super::manner::Manner;
use super::pool::{Pool, Target};
use super::{Context, stream, unary};
use crate::lanes;
use crate::registry::Address;
use crate::rpc::{CallFuture, Channel, OpenFuture, Request, StreamRequest};

/// The connections to one host, by lane.
pub struct Host {
    origin: Origin,
    pools: Box<[Arc<Pool>]>,
    /// Where callers that are on no lane come by in turn.
    turns: AtomicUsize,
}

impl Host {
    pub(super) fn new(address: &Address, context: &Arc<Context>) -> Host {
        let target = Arc::new(Target { address: address.clone(), context: Arc::clone(context) });
        let pools = (0..context.lanes.count()).map(|lane| Arc::new(Pool::new(lane, Arc::clone(&target)))).collect();
        Host { origin: Origin::of(address), pools, turns: AtomicUsize::new(0) }
    }

    /// The connections of the caller's lane.
    pub(super) fn pool(&self) -> Arc<Pool> {
        let lane = lanes::current().unwrap_or_else(|| self.turns.fetch_add(1, Relaxed));
        Arc::clone(&self.pools[lane % self.pools.len()])
    }

    /// Whether the caller's lane has a connection; for callers that are on no lane, whether any has.
    pub(super) fn is_connected(&self) -> bool {
        match lanes::current() {
            Some(lane) => self.pools[lane % self.pools.len()].is_connected(),
            None => self.pools.iter().any(|pool| pool.is_connected()),
        }
    }
}

impl Channel for Host {
    fn call(&self, path: &str, request: Request) -> CallFuture {
        let Request { form, body, headers, deadline, caller, idempotent: _, plan } = request;
        let prepared = Manner::of(form, plan).and_then(|manner| {
            let head = self.origin.head(path, headers, &manner, deadline, &caller)?;
            Ok((manner, head))
        });
        match prepared {
            Ok((manner, head)) => Box::pin(unary::call(self.pool(), head, manner, body, deadline)),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }

    fn open(&self, path: &str, request: StreamRequest) -> OpenFuture {
        let StreamRequest { form, headers, deadline, caller, idempotent: _, plan, messages } = request;
        let prepared = Manner::of(form, plan).and_then(|manner| {
            let head = self.origin.head(path, headers, &manner, deadline, &caller)?;
            Ok((manner, head))
        });
        match prepared {
            Ok((manner, head)) => Box::pin(stream::open(self.pool(), head, manner, messages, deadline)),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }
}
