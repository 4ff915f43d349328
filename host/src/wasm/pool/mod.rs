//! A service's instances, spread over the lanes.
//!
//! Each lane has a queue, and instances that take from it. A call goes to the lane it came in on. A
//! lane makes another instance only when its instances have had their chance and calls still wait;
//! before that it looks whether another lane has room.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::http::Door;
use super::inbox::Inbox;
use super::keeper;
use super::log::ServiceLog;
use super::outgoing::Client as HttpClient;
use super::queue::{ANY, Lane};
use super::quota::Quota;
use super::state::State;
use super::tally::Tally;
use super::voices::Voices;
use crate::lanes::Lanes;
use crate::middleware::Client;
use crate::registry::{Entry, Outlook};
use crate::settings::{Grants, Isolation, Limits};
use crate::stats::ServiceStats;
use crate::status::{Code, Status};

mod calls;
mod places;
mod slot;
mod waiting;

pub use slot::StreamSlot;
pub use waiting::Waiting;

/// What a pool is made of.
pub struct Parts {
    /// The service's name, for the log.
    pub name: Arc<str>,
    /// The linked component.
    pub pre: InstancePre<State>,
    /// The functions that calls name by their place here.
    pub exports: Vec<ComponentExportIndex>,
    /// What takes HTTP requests, if the component does.
    pub door: Option<Door>,
    /// The service's bounds.
    pub limits: Limits,
    /// What it is allowed.
    pub grants: Grants,
    /// How calls share instances.
    pub isolation: Isolation,
    /// Where instances live.
    pub lanes: Lanes,
    /// What is counted.
    pub stats: Arc<ServiceStats>,
    /// What its instances call other services by.
    pub peers: Client,
    /// Which services there are.
    pub outlook: Arc<Outlook>,
}

/// The instances of one service.
pub struct Pool {
    parts: Parts,
    log: Arc<ServiceLog>,
    client: Arc<HttpClient>,
    quota: Arc<Quota>,
    lanes: Vec<Lane>,
    /// Instances alive or being made.
    alive: AtomicUsize,
    /// Calls in all queues.
    queued: AtomicUsize,
    closed: AtomicBool,
    /// Told when the last instance has ended.
    emptied: Notify,
    tally: Tally,
    /// What its instances say of the service.
    voices: Arc<Voices>,
}

impl Pool {
    /// An empty pool: instances come with calls.
    pub fn new(parts: Parts) -> Arc<Pool> {
        let lanes = (0..parts.lanes.count()).map(|_| Lane::default()).collect();
        let log = Arc::new(ServiceLog::new(Arc::clone(&parts.name), &parts.limits, Arc::clone(&parts.stats)));
        let quota = Quota::new(Arc::clone(&parts.name), &parts.limits, Arc::clone(&parts.stats));
        let connections = parts.limits.connections;
        let client = Arc::new(HttpClient::new(Arc::clone(&parts.name), &parts.grants.http, connections, &quota, Arc::clone(&log)));
        Arc::new(Pool {
            parts,
            log,
            client,
            quota,
            lanes,
            alive: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            emptied: Notify::new(),
            tally: Tally::default(),
            voices: Arc::default(),
        })
    }

    /// The lanes that have an instance.
    pub fn warmed(&self) -> impl Iterator<Item = usize> {
        (0..self.lanes.len()).filter(|lane| self.has_instance(*lane))
    }

    fn has_instance(&self, lane: usize) -> bool {
        !lock(&self.lanes[lane].instances).is_empty()
    }

    /// Makes an instance on each lane that has none, as far as the limit goes, and waits for them.
    ///
    /// Fails where one of them cannot be made.
    pub async fn warm(self: &Arc<Pool>) -> Result<(), Status> {
        let mut making = Vec::new();
        for lane in (0..self.lanes.len()).filter(|lane| !self.has_instance(*lane)) {
            if !self.reserve() {
                break;
            }
            let (started, outcome) = oneshot::channel();
            keeper::spawn(self, lane, started);
            making.push(outcome);
        }
        for outcome in making {
            outcome.await.unwrap_or_else(|_| Err(stopped()))?;
        }
        Ok(())
    }

    /// Notes an instance that can take calls.
    pub fn instance_started(self: &Arc<Pool>, lane: usize, inbox: &Arc<Inbox>) {
        self.parts.stats.instances.fetch_add(1, Relaxed);
        self.parts.stats.instances_started.fetch_add(1, Relaxed);
        lock(&self.lanes[lane].instances).push(Arc::clone(inbox));
        // It was being made while the others were told.
        if self.closed.load(Relaxed) {
            inbox.retire();
        }
        // Lanes that may have none of their own can hand their calls over now.
        for other in self.others(lane) {
            self.look_for_more(other);
        }
    }

    /// Notes the end of an instance, of one that never came to take calls too.
    pub fn instance_ended(self: &Arc<Pool>, lane: usize, inbox: &Arc<Inbox>) {
        let mut instances = lock(&self.lanes[lane].instances);
        if let Some(place) = instances.iter().position(|known| Arc::ptr_eq(known, inbox)) {
            instances.swap_remove(place);
            self.parts.stats.instances.fetch_sub(1, Relaxed);
        }
        drop(instances);
        if self.alive.fetch_sub(1, Relaxed) == 1 {
            self.emptied.notify_waiters();
        }
        // Its place is free for others: on whichever lane calls wait.
        for lane in 0..self.lanes.len() {
            self.look_for_more(lane);
        }
    }

    /// Takes no more calls, fails those that wait, and ends each instance when it has none.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
        for lane in 0..self.lanes.len() {
            while let Some(job) = self.pop(lane, ANY) {
                job.call.end(Err(stopped()));
            }
            for inbox in lock(&self.lanes[lane].instances).iter() {
                inbox.retire();
            }
        }
    }

    /// Ends every call and every instance that is left after [`Pool::close`]; how many calls somebody
    /// still waited for.
    pub fn cut(&self, failure: impl Fn() -> Status) -> usize {
        self.close();
        let cut = |lane: &Lane| {
            let instances = lock(&lane.instances).clone();
            instances.iter().map(|inbox| inbox.cut(&failure)).sum::<usize>()
        };
        self.lanes.iter().map(cut).sum()
    }

    /// Waits until there is no instance.
    pub async fn ended(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.alive.load(Relaxed) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// The instances that are alive or being made.
    pub fn alive(&self) -> usize {
        self.alive.load(Relaxed)
    }

    /// What the service says of itself.
    pub fn entry(&self) -> &Entry {
        self.voices.entry()
    }

    /// What its instances say of the service.
    pub fn voices(&self) -> &Arc<Voices> {
        &self.voices
    }

    /// Which services there are.
    pub fn outlook(&self) -> &Arc<Outlook> {
        &self.parts.outlook
    }

    /// How its calls end.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether each call has an instance of its own.
    pub fn makes_for_each_call(&self) -> bool {
        self.parts.isolation == Isolation::Request
    }

    /// Calls at once in one instance.
    pub fn places(&self) -> usize {
        match self.parts.isolation {
            Isolation::Shared => self.parts.limits.concurrency,
            Isolation::Request => 1,
        }
    }

    /// Calls until an instance is replaced.
    pub fn calls_per_instance(&self) -> u64 {
        match self.parts.isolation {
            Isolation::Shared => self.parts.limits.calls_per_instance,
            Isolation::Request => 1,
        }
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// The service's bounds.
    pub fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    /// What the service is allowed.
    pub fn grants(&self) -> &Grants {
        &self.parts.grants
    }

    /// What is counted.
    pub fn stats(&self) -> &Arc<ServiceStats> {
        &self.parts.stats
    }

    /// The service's bounds over all its instances.
    pub fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// The service's log.
    pub fn log(&self) -> &Arc<ServiceLog> {
        &self.log
    }

    /// What its instances call other services by.
    pub fn peers(&self) -> &Client {
        &self.parts.peers
    }

    /// What its instances send requests of HTTP by.
    pub fn client(&self) -> &Arc<HttpClient> {
        &self.client
    }

    /// The linked component.
    pub fn pre(&self) -> &InstancePre<State> {
        &self.parts.pre
    }

    /// The functions that calls name by their place.
    pub fn exports(&self) -> &[ComponentExportIndex] {
        &self.parts.exports
    }

    /// What takes HTTP requests, if the component does.
    pub fn door(&self) -> Option<&Door> {
        self.parts.door.as_ref()
    }

    /// Where instances live.
    pub fn lanes(&self) -> &Lanes {
        &self.parts.lanes
    }
}

fn stopped() -> Status {
    Status::new(Code::Unavailable, "the service is being stopped").unseen()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}
