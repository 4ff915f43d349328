//! A service's instances, spread over the lanes.
//!
//! Each lane has a queue, and instances that take from it. A call goes to the lane it came in on. A
//! lane makes another instance only when its instances have had their chance and calls still wait;
//! before that it looks whether another lane has room.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::call::Call;
use super::http::Door;
use super::inbox::{Inbox, Need, Room};
use super::keeper;
use super::log::ServiceLog;
use super::outgoing::Client as HttpClient;
use super::queue::{ANY, Job, Lane};
use super::quota::{Held, Quota};
use super::state::State;
use super::tally::Tally;
use super::voices::Voices;
use crate::lanes::{self, Lanes};
use crate::middleware::Client;
use crate::registry::{Entry, Outlook};
use crate::settings::{Grants, Isolation, Limits};
use crate::stats::ServiceStats;
use crate::status::{Code, Status};

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

/// Held by whoever waits: if it goes before the outcome comes, the call is abandoned, and taken out
/// of the queue if it is still there.
pub struct Waiting<'a> {
    call: &'a Arc<Call>,
    pool: &'a Pool,
    over: bool,
}

impl<'a> Waiting<'a> {
    /// Waits for this call, which goes to this pool.
    pub fn new(call: &'a Arc<Call>, pool: &'a Pool) -> Waiting<'a> {
        Waiting { call, pool, over: false }
    }

    /// The outcome has come.
    pub fn over(mut self) {
        self.over = true;
    }

    /// What a caller is told whose deadline has passed: also why, where a limit of the service held it up.
    pub fn late(&self, status: Status) -> Status {
        self.pool.late(status)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over && !self.call.abandon() {
            self.pool.forget(self.call);
        }
    }
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

/// An open stream of a service, counted until it is dropped.
pub struct StreamSlot {
    pool: Arc<Pool>,
    _held: Held,
}

impl StreamSlot {
    /// The stream has ended with this code.
    pub fn ended(&self, code: Code) {
        self.pool.tally.ended(code);
    }
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

    /// Queues a call.
    ///
    /// Fails with `resource_exhausted` where the queue is full or another limit of the service is reached,
    /// and with `unavailable` where the service is being stopped. The guest has not seen the call then.
    pub fn submit(self: &Arc<Pool>, job: Job) -> Result<(), Status> {
        self.admit(job).map_err(Status::unseen)
    }

    fn admit(self: &Arc<Pool>, job: Job) -> Result<(), Status> {
        let lane = lanes::current().unwrap_or(0);
        if self.queued.load(Relaxed) >= self.parts.limits.queue.max(1) && !self.purge() {
            self.parts.stats.shed.fetch_add(1, Relaxed);
            return Err(self.overcrowded());
        }
        let arguments = job.work.size();
        match &job.call.flow {
            None => job.call.hold(self.quota.call(arguments)?),
            // Its place among the streams is held by whoever opened it.
            Some(_) if arguments > 0 => job.call.hold(self.quota.hold(arguments)?),
            Some(_) => {}
        }
        self.push(lane, job)?;
        if !self.wake(lane) {
            self.look_for_more(lane);
        }
        Ok(())
    }

    /// Counts a stream that is opened.
    ///
    /// Fails with `resource_exhausted` where the service has as many as its limit `streams` allows.
    pub fn open_stream(self: &Arc<Pool>) -> Result<StreamSlot, Status> {
        let held = self.quota.stream().map_err(Status::unseen)?;
        Ok(StreamSlot { pool: Arc::clone(self), _held: held })
    }

    /// What callers are told when the queue is full: why calls wait, where that is known.
    fn overcrowded(&self) -> Status {
        let queue = self.parts.limits.queue;
        if self.quota.is_full_of(self.alive.load(Relaxed)) {
            return self.quota.full();
        }
        match self.quota.throttled() {
            Some(why) => Status::new(Code::ResourceExhausted, why),
            None => self.quota.reached("queue", queue, &queue.max(1).saturating_mul(2).to_string()),
        }
    }

    /// What a caller is told whose deadline has passed: also why, where a limit of the service held it up.
    pub fn late(&self, status: Status) -> Status {
        match self.quota.throttled() {
            Some(why) => Status::new(status.code(), format!("{}: {why}", status.message())),
            None => status,
        }
    }

    fn push(&self, lane: usize, job: Job) -> Result<(), Status> {
        let mut queue = lock(&self.lanes[lane].queue);
        // Under the lock by which the queue is emptied at the end: what comes after that would stay.
        if self.closed.load(Relaxed) {
            return Err(stopped());
        }
        self.lanes[lane].entered(&queue, &job.call);
        queue.push_back(job);
        self.queued.fetch_add(1, Relaxed);
        self.parts.stats.queued.fetch_add(1, Relaxed);
        Ok(())
    }

    /// What a call wants of an instance.
    pub fn need(&self, call: &Call) -> Need {
        match (call.target.exclusive, &call.flow, self.parts.isolation) {
            (true, ..) => Need::All,
            (false, Some(_), Isolation::Shared) => Need::Stream,
            (false, ..) => Need::Place,
        }
    }

    fn pop(&self, lane: usize, room: Room) -> Option<Job> {
        if self.lanes[lane].waiting.load(Relaxed) == 0 {
            return None;
        }
        let mut queue = lock(&self.lanes[lane].queue);
        loop {
            let place = self.lanes[lane].first(&queue, room, |call| self.need(call))?;
            let job = queue.remove(place)?;
            self.lanes[lane].left(&queue, &job.call);
            self.queued.fetch_sub(1, Relaxed);
            self.parts.stats.queued.fetch_sub(1, Relaxed);
            if queue.is_empty() {
                self.lanes[lane].overflows.store(false, Relaxed);
            }
            if !job.call.is_abandoned() {
                return Some(job);
            }
        }
    }

    /// The next call for an instance of this lane, from another lane where this one has none and that
    /// one overflows.
    pub fn take(&self, lane: usize, room: Room) -> Option<Job> {
        let own = self.pop(lane, room);
        own.or_else(|| {
            self.others(lane).find_map(|other| if self.lanes[other].overflows.load(Relaxed) { self.pop(other, room) } else { None })
        })
    }

    /// The other lanes, the next one first.
    fn others(&self, lane: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.lanes.len();
        (1..count).map(move |step| (lane + step) % count)
    }

    /// Drops queued calls that nobody waits for. Whether there were any.
    fn purge(&self) -> bool {
        let mut dropped = 0;
        for lane in &self.lanes {
            let mut queue = lock(&lane.queue);
            let before = queue.len();
            queue.retain(|job| !job.call.is_abandoned());
            dropped += before - queue.len();
            lane.recount(&queue);
        }
        self.queued.fetch_sub(dropped, Relaxed);
        self.parts.stats.queued.fetch_sub(i64::try_from(dropped).unwrap_or(0), Relaxed);
        dropped > 0
    }

    /// Drops a queued call that nobody waits for any longer, if it is still queued.
    pub fn forget(&self, call: &Arc<Call>) {
        for lane in &self.lanes {
            if lane.waiting.load(Relaxed) == 0 {
                continue;
            }
            let mut queue = lock(&lane.queue);
            if let Some(place) = queue.iter().position(|job| Arc::ptr_eq(&job.call, call)) {
                queue.remove(place);
                lane.left(&queue, call);
                self.queued.fetch_sub(1, Relaxed);
                self.parts.stats.queued.fetch_sub(1, Relaxed);
                return;
            }
        }
    }

    /// Wakes an instance of this lane that has room for the first call that waits here, or for the
    /// first stream. Whether there is one.
    fn wake(&self, lane: usize) -> bool {
        self.needs(lane).any(|need| self.wake_for(lane, need))
    }

    /// What the calls that wait on this lane want of an instance: the first one, and the first one with
    /// streams.
    fn needs(&self, lane: usize) -> impl Iterator<Item = Need> + use<> {
        let queue = lock(&self.lanes[lane].queue);
        let call = queue.iter().map(|job| self.need(&job.call)).find(|need| *need != Need::Stream);
        let streams = self.lanes[lane].streams.load(Relaxed) > 0;
        call.into_iter().chain(streams.then_some(Need::Stream))
    }

    fn wake_for(&self, lane: usize, need: Need) -> bool {
        match lock(&self.lanes[lane].instances).iter().find(|inbox| inbox.room().fits(need)) {
            Some(inbox) => {
                inbox.wake();
                true
            }
            None => false,
        }
    }

    /// Sees to it that calls which wait on this lane get an instance, if they wait for long enough to
    /// need one.
    pub fn look_for_more(self: &Arc<Pool>, lane: usize) {
        if self.lanes[lane].waiting.load(Relaxed) == 0 || self.lanes[lane].looking.swap(true, Relaxed) {
            return;
        }
        let pool = Arc::clone(self);
        self.parts.lanes.spawn_on(lane, async move {
            pool.find_places(lane).await;
            pool.lanes[lane].looking.store(false, Relaxed);
            // What changed while the flag was being lowered: a place for another instance, or an
            // instance of another lane where this one has none.
            let may_make = pool.may_make(pool.alive.load(Relaxed));
            let may_move = || !pool.has_instance(lane) && pool.others(lane).any(|other| pool.has_instance(other));
            if pool.lanes[lane].waiting.load(Relaxed) > 0 && (may_make || may_move()) && !pool.wake(lane) {
                pool.look_for_more(lane);
            }
        });
    }

    /// Sees to it on every lane: an instance has just become unable to take what waits.
    pub fn look_for_more_everywhere(self: &Arc<Pool>) {
        for lane in 0..self.lanes.len() {
            self.look_for_more(lane);
        }
    }

    async fn find_places(self: &Arc<Pool>, lane: usize) {
        loop {
            // The instances that were woken run first, and may take all that waits.
            tokio::task::yield_now().await;
            if self.lanes[lane].waiting.load(Relaxed) == 0 || self.wake(lane) {
                self.lanes[lane].overflows.store(false, Relaxed);
                return;
            }
            // A lane's first instance is worth more than room elsewhere: its calls stay on it.
            if self.has_instance(lane) && self.overflow(lane) {
                return;
            }
            if !self.reserve() {
                self.hand_over(lane);
                return;
            }
            let (started, outcome) = oneshot::channel();
            keeper::spawn(self, lane, started);
            match outcome.await {
                Ok(Ok(())) => {}
                Ok(Err(status)) => {
                    self.fail(lane, &status);
                    return;
                }
                // The lane is being stopped.
                Err(_) => return,
            }
        }
    }

    /// Wakes an instance of another lane that has room, to take from this one. Whether there is one.
    fn overflow(&self, lane: usize) -> bool {
        self.lanes[lane].overflows.store(true, Relaxed);
        self.needs(lane).any(|need| self.others(lane).any(|other| self.wake_for(other, need)))
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

    /// Takes the right to make an instance.
    fn reserve(&self) -> bool {
        if self.closed.load(Relaxed) {
            return false;
        }
        self.alive.fetch_update(Relaxed, Relaxed, |alive| self.may_make(alive).then_some(alive + 1)).is_ok()
    }

    /// Whether there may be another instance beside so many.
    fn may_make(&self, alive: usize) -> bool {
        alive < self.parts.limits.instances && (alive == 0 || !self.quota.is_full_of(alive))
    }

    /// A lane without an instance, when no more can be made, gives its calls to one that has some.
    fn hand_over(&self, lane: usize) {
        if self.has_instance(lane) {
            return;
        }
        let Some(other) = self.others(lane).find(|other| self.has_instance(*other)) else { return };
        let mut own = lock(&self.lanes[lane].queue);
        let jobs = std::mem::take(&mut *own);
        self.lanes[lane].recount(&own);
        drop(own);
        let mut queue = lock(&self.lanes[other].queue);
        queue.extend(jobs);
        self.lanes[other].recount(&queue);
        drop(queue);
        self.wake(other);
    }

    /// Fails all calls that wait on a lane whose instance could not be made.
    fn fail(&self, lane: usize, status: &Status) {
        let cause = status.cause().map_or_else(String::new, |cause| format!(": {cause}"));
        tracing::error!(service = self.name(), "{}{cause}", status.message());
        while let Some(job) = self.pop(lane, ANY) {
            job.call.end(Err(Status::new(status.code(), status.message().to_owned()).unseen()));
        }
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
