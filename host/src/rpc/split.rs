//! Two versions of one service at once: a share of its calls, and exactly that over many, goes to the
//! version that is tried.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{Gateway, HttpServed, Offer, Route};
use crate::settings::Share;

/// The version that is tried, and its share.
pub struct Split {
    /// The service whose calls are split.
    pub(super) owner: String,
    share: Share,
    held_back: AtomicBool,
    calls: AtomicU64,
    /// Counted apart: whoever looks for a route of HTTP may call an endpoint in the end.
    requests: AtomicU64,
    routes: HashMap<Box<str>, Route>,
    gateway: Option<Arc<dyn Gateway>>,
    http: Option<Arc<HttpServed>>,
}

impl Split {
    /// Splits what is offered here and is there already: endpoints that `serving` has, and the route of
    /// HTTP where there is one.
    pub(super) fn new<'r>(
        owner: &str,
        offer: Offer,
        share: Share,
        serving: impl Fn(&str) -> Option<&'r Route>,
        http: Option<&Arc<HttpServed>>,
    ) -> Split {
        let routes = offer.endpoints.into_iter().filter_map(|mut served| {
            let path: Box<str> = served.endpoint.path().into();
            served.stats = Arc::clone(&serving(&path)?.stats);
            Some((path, Arc::new(served)))
        });
        let routes = routes.collect();
        let http = offer.http.zip(http).map(|(mut served, before)| {
            served.stats = Arc::clone(&before.stats);
            Arc::new(served)
        });
        Split {
            owner: owner.to_owned(),
            share,
            held_back: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            routes,
            gateway: offer.gateway.map(|(_, gateway)| gateway),
            http,
        }
    }

    /// Has all calls go to the version that serves, or, again, the share of them to the one that is tried.
    pub fn hold_back(&self, held_back: bool) {
        self.held_back.store(held_back, Relaxed);
    }

    /// The endpoint at a path, where this call is for the version that is tried.
    pub(super) fn route(&self, path: &str) -> Option<&Route> {
        self.routes.get(path).filter(|_| self.falls_to(&self.calls))
    }

    /// The gateway, where this call is for the version that is tried.
    pub(super) fn gateway(&self) -> Option<&Arc<dyn Gateway>> {
        self.gateway.as_ref().filter(|_| self.falls_to(&self.calls))
    }

    /// What answers plain HTTP, where this request is for the version that is tried.
    pub(super) fn http(&self) -> Option<&Arc<HttpServed>> {
        self.http.as_ref().filter(|_| self.falls_to(&self.requests))
    }

    fn falls_to(&self, turns: &AtomicU64) -> bool {
        !self.held_back.load(Relaxed) && self.share.takes(turns.fetch_add(1, Relaxed))
    }
}
