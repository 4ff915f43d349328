//! A component that runs, and is reachable by the endpoints of what it exports.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::disk::Ledger;
use super::function::{self, Function};
use super::handler::{self, Exported};
use super::health;
use super::hold::{Held, Hold};
use super::http::{Entry as HttpEntry, Gate};
use super::pool::Pool;
use super::tally::Tally;
use crate::registry::Entry;
use crate::rpc::{Endpoint, Gateway, Handler, HttpServed, Offer, Served};
use crate::schema::Schema;
use crate::settings::HttpRoute;
use crate::stats::{EndpointStats, ServiceStats};
use crate::status::{Code, Status};

pub use super::health::HEALTH;

/// What is counted of a service, whichever version of it runs.
#[derive(Clone, Default)]
pub struct Figures {
    /// Of its instances.
    pub service: Arc<ServiceStats>,
    /// Of the calls that its gateway takes.
    pub gateway: Arc<EndpointStats>,
    /// Of the folders that it may write to.
    pub(super) disk: Option<Arc<Ledger>>,
}

/// A service that takes calls.
pub struct Service {
    pub(super) name: Arc<str>,
    pub(super) schema: Arc<Schema>,
    pub(super) pool: Arc<Pool>,
    pub(super) endpoints: Vec<(Endpoint, Way)>,
    pub(super) gateway: Option<Arc<Exported>>,
    pub(super) http: Option<(HttpRoute, Arc<Gate>)>,
    pub(super) figures: Figures,
    pub(super) held: Held,
}

/// What answers at an endpoint.
pub(super) enum Way {
    Function(Arc<Function>),
    Method(Arc<handler::Method>),
}

impl Way {
    fn handler(&self, hold: Hold) -> Arc<dyn Handler> {
        match self {
            Way::Function(function) => Arc::new(function::Entry { function: Arc::clone(function), _hold: hold }),
            Way::Method(method) => Arc::new(handler::Entry { method: Arc::clone(method), _hold: hold }),
        }
    }
}

impl Service {
    /// The service's name in logs and figures.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the component exports.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What is counted of its instances.
    pub fn stats(&self) -> &Arc<ServiceStats> {
        self.pool.stats()
    }

    /// What is counted of it, to be counted on by the version that comes after it.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The ways to it, for a router; its gateway is for these services. While anybody has one of them,
    /// the service is not [`Service::drain`]ed.
    pub fn offer(&self, handles: &[String]) -> Offer {
        let serve = |(endpoint, way): &(Endpoint, Way)| Served {
            endpoint: endpoint.clone(),
            handler: way.handler(self.held.hold()),
            stats: Arc::default(),
            max_request: self.pool.limits().request,
        };
        // Callers ask the host for the health of all that it serves; the component's own is for the host.
        let called = self.endpoints.iter().filter(|(endpoint, _)| *endpoint.service != *HEALTH);
        let gateway = self.gateway.as_ref().map(|handler| {
            let gateway = handler::Open { handler: Arc::clone(handler), hold: self.held.hold() };
            (handles.to_vec(), Arc::new(gateway) as Arc<dyn Gateway>)
        });
        let http = self.http.as_ref().map(|(route, gate)| HttpServed {
            service: Arc::clone(&self.name),
            route: route.clone(),
            handler: Arc::new(HttpEntry { gate: Arc::clone(gate), _hold: self.held.hold() }),
            stats: Arc::default(),
        });
        Offer { endpoints: called.map(serve).collect(), gateway, http }
    }

    /// Whether it takes calls of services beside those that it describes.
    pub fn is_gateway(&self) -> bool {
        self.gateway.is_some()
    }

    /// Where it answers plain HTTP, if it does.
    pub fn http_route(&self) -> Option<&HttpRoute> {
        self.http.as_ref().map(|(route, _)| route)
    }

    /// Makes an instance on each lane, as far as the limit `instances` goes, and asks the service
    /// whether it is well, if it serves [`HEALTH`] itself.
    ///
    /// Fails where an instance cannot be made or says that it is not well.
    pub async fn warm(&self) -> Result<(), Status> {
        self.pool.warm().await?;
        match self.check() {
            Some(check) => health::ask_all(&self.pool, &check).await,
            None => Ok(()),
        }
    }

    /// Whether it can say how it is: it serves [`HEALTH`] itself.
    pub fn tells_health(&self) -> bool {
        self.check().is_some()
    }

    /// Asks how the service is, in one instance, the lanes taking turns by `turn`. What comes of it is told
    /// even if nobody waits for it, within `patience` or the limit `timeout`.
    ///
    /// No instance is made to be asked, unless `insist`, and where each call has one of its own: `None` where
    /// there is none, or the service cannot say.
    pub fn ask(&self, turn: usize, insist: bool, patience: Duration) -> Option<JoinHandle<Result<(), Status>>> {
        health::ask_in_turn(&self.pool, self.check()?, turn, insist, patience)
    }

    /// What answers how the service is, where it says so.
    fn check(&self) -> Option<Arc<dyn Handler>> {
        let asked = |endpoint: &Endpoint| *endpoint.service == *HEALTH && *endpoint.method == *health::METHOD;
        let (_, way) = self.endpoints.iter().find(|(endpoint, _)| asked(endpoint))?;
        Some(way.handler(self.held.hold()))
    }

    /// What this version says of itself: its instances by what they import of the host.
    pub fn entry(&self) -> &Entry {
        self.pool.entry()
    }

    /// How its calls end, while that is counted.
    pub fn tally(&self) -> &Tally {
        self.pool.tally()
    }

    /// The instances of this version that are alive or being made.
    pub fn instances(&self) -> usize {
        self.pool.alive()
    }

    /// Waits until nobody has a way to the service, its calls have ended, and its instances have gone.
    ///
    /// To be called when the ways that were offered have been taken from the router. What is left after
    /// the grace is ended: the calls that somebody still waited for fail with `unavailable`, and are
    /// counted in what this returns.
    pub async fn drain(&self, grace: Duration) -> usize {
        let over = async {
            self.held.released().await;
            self.pool.close();
            self.pool.ended().await;
        };
        if tokio::time::timeout(grace, over).await.is_ok() {
            return 0;
        }
        let why = || Status::new(Code::Unavailable, "the service was replaced, and its last calls have had their time");
        let cut = self.pool.cut(why);
        self.pool.ended().await;
        cut
    }

    /// Takes no more calls, and ends those that run with this failure; how many somebody still waited for.
    pub fn cut(&self, why: impl Fn() -> Status) -> usize {
        self.pool.cut(why)
    }

    /// Takes no more calls, and ends every instance when it has none.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// A service that nobody has has no calls to come.
impl Drop for Service {
    fn drop(&mut self) {
        self.pool.close();
    }
}
