//! The channel to services wherever they run: in this host, else in one that is known to offer them.
//! What fails there is tried elsewhere, as far as that cannot do harm.

use std::sync::Arc;
use std::time::Instant;

use super::local::{self, Local};
use crate::registry::{Address, View};
use crate::remote::Remote;
use crate::rpc::{CallFuture, Channel, OpenFuture, Request, Route, Router, StreamRequest};
use crate::settings::Calls;
use crate::stats::CalleesStats;
use crate::status::Status;
use known::Known;
use lookup::Ways;
use tries::Tries;
use way::Via;

mod budget;
mod hedge;
mod known;
mod lookup;
mod retry;
mod source;
#[cfg(test)]
mod tests;
mod tries;
mod watched;
mod way;

/// A way to reach other hosts.
pub trait Reach: Send + Sync {
    /// The channel to the host that is at each of these addresses, the best first. It is asked for ahead of
    /// calls, so nothing is connected yet. `None` where none of them is of use from here.
    fn channel(&self, addresses: &[Address]) -> Option<Arc<dyn Channel>>;
}

impl Reach for Remote {
    fn channel(&self, addresses: &[Address]) -> Option<Arc<dyn Channel>> {
        Remote::channel(self, addresses)
    }
}

/// What [`Cluster`] is made of.
pub struct Parts {
    /// What this host serves.
    pub router: Arc<Router>,
    /// This host's own id among the nodes.
    pub own: Arc<str>,
    /// Where it stands.
    pub zone: Option<String>,
    /// What is known of other hosts.
    pub view: Arc<View>,
    /// How they are reached.
    pub reach: Arc<dyn Reach>,
    /// How calls fail.
    pub settings: Calls,
    /// What is counted.
    pub stats: Arc<CalleesStats>,
}

/// Calls what this host serves and what others do.
pub struct Cluster {
    local: Local,
    ways: Ways,
}

/// Where a call goes.
enum Found {
    /// To this host alone.
    Here(Route),
    /// Wherever it is answered.
    Anywhere(Tries),
}

impl Cluster {
    /// The channel to what is known, now and later.
    pub fn new(parts: Parts) -> Cluster {
        let Parts { router, own, zone, view, reach, settings, stats } = parts;
        let here = Arc::new(Local::new(Arc::clone(&router)));
        Cluster { local: Local::new(router), ways: Ways::new(view, Known { own, zone, here, reach, settings, stats }) }
    }

    /// Names before gateways; of either, this host before others.
    fn find(&self, path: &str) -> Result<Found, Status> {
        let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return Err(self.local.missing(path));
        };
        let (named, rest) = (self.local.named(path), || self.local.rest(path));
        let Some(way) = self.ways.to(service) else {
            return named.or_else(rest).map(Found::Here).ok_or_else(|| self.nobody(service, path));
        };
        let there = way.method(method, self.ways.known());
        let route = if way.via == Via::Name && there.is_some() { named } else { named.or_else(rest) };
        match (route, there) {
            (route, Some(method)) if way.via == Via::Name || route.is_none() => {
                let here = route.filter(|_| way.retrying.local_first && !way.unwell_here);
                let path = method.path.clone().unwrap_or_else(|| path.into());
                Ok(Found::Anywhere(Tries { way, method, path, here }))
            }
            (Some(route), _) => Ok(Found::Here(route)),
            (None, _) if self.local.offers(service) => Err(self.local.missing(path)),
            (None, _) => Err(way.nobody()),
        }
    }

    /// Why nobody takes a call of a service to which no way is open.
    fn nobody(&self, service: &str, path: &str) -> Status {
        let elsewhere = if self.local.offers(service) { None } else { self.ways.nobody(service) };
        elsewhere.unwrap_or_else(|| self.local.missing(path))
    }
}

impl Channel for Cluster {
    fn call(&self, path: &str, request: Request) -> CallFuture {
        match self.find(path) {
            Ok(Found::Here(route)) => local::call(route, request),
            Ok(Found::Anywhere(tries)) => Box::pin(tries.call(request)),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }

    fn open(&self, path: &str, request: StreamRequest) -> OpenFuture {
        match self.find(path) {
            Ok(Found::Here(route)) => Box::pin(local::begin(route, request)),
            Ok(Found::Anywhere(tries)) => Box::pin(tries.open(request)),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }
}

/// The clock that tokio's timers go by.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
