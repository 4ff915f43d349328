//! What waits in a pool: how a call comes into a queue, and how it leaves it again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Pool, lock, stopped};
use crate::lanes;
use crate::settings::Isolation;
use crate::status::{Code, Status};
use crate::wasm::call::Call;
use crate::wasm::inbox::{Need, Room};
use crate::wasm::queue::Job;

impl Pool {
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

    pub(super) fn pop(&self, lane: usize, room: Room) -> Option<Job> {
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
}
