//! Where calls that wait get a place: in an instance of their lane, in a new one, or on another lane.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::oneshot;

use super::{Pool, lock};
use crate::status::Status;
use crate::wasm::inbox::Need;
use crate::wasm::keeper;
use crate::wasm::queue::ANY;

impl Pool {
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

    /// Wakes an instance of this lane that has room for the first call that waits here, or for the
    /// first stream. Whether there is one.
    pub(super) fn wake(&self, lane: usize) -> bool {
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

    /// Wakes an instance of another lane that has room, to take from this one. Whether there is one.
    fn overflow(&self, lane: usize) -> bool {
        self.lanes[lane].overflows.store(true, Relaxed);
        self.needs(lane).any(|need| self.others(lane).any(|other| self.wake_for(other, need)))
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

    /// The other lanes, the next one first.
    pub(super) fn others(&self, lane: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.lanes.len();
        (1..count).map(move |step| (lane + step) % count)
    }

    /// Takes the right to make an instance.
    pub(super) fn reserve(&self) -> bool {
        if self.closed.load(Relaxed) {
            return false;
        }
        self.alive.fetch_update(Relaxed, Relaxed, |alive| self.may_make(alive).then_some(alive + 1)).is_ok()
    }

    /// Whether there may be another instance beside so many.
    pub(super) fn may_make(&self, alive: usize) -> bool {
        alive < self.parts.limits.instances && (alive == 0 || !self.quota.is_full_of(alive))
    }
}
