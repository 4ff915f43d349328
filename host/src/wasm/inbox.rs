//! What an instance shares with the pool, with the calls that run in it, and with its clock.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wasmtime::component::GuestTaskId;

use super::bell::Bell;
use super::call::Call;
use super::engine::TICK;
use crate::status::Status;

/// What a call wants of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A place among others.
    Place,
    /// The instance for itself: while a plain function waits, nothing else in it moves. Streams may be
    /// open meanwhile; else it would never have its turn beside them.
    All,
    /// No place: a stream may last for hours, and must not keep calls out.
    Stream,
}

/// What an instance could take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// It takes calls at all.
    pub open: bool,
    /// It has a place for a call.
    pub calls: bool,
    /// No call without streams runs.
    pub empty: bool,
}

impl Room {
    /// Whether a call that needs this could be taken.
    pub fn fits(self, need: Need) -> bool {
        self.open
            && match need {
                Need::Place => self.calls,
                Need::All => self.calls && self.empty,
                Need::Stream => true,
            }
    }
}

/// An instance as others see it.
#[derive(Debug)]
pub struct Inbox {
    /// Wakes the instance and its keeper.
    pub bell: Arc<Bell>,
    /// Takes calls with streams, of which there may be any number.
    pub open: AtomicBool,
    /// Calls without streams that the instance could take now.
    pub free: AtomicUsize,
    /// No call runs but those with streams, so that it could take one that wants it for itself.
    pub empty: AtomicBool,
    /// Takes no more calls.
    pub retiring: AtomicBool,
    /// Ends as soon as no call runs, whatever the guest would still do.
    pub cut: AtomicBool,
    /// Has begun to take calls.
    pub started: AtomicBool,
    /// Plain functions of the host that the guest waits in, and all of the instance with it.
    pub occupied: AtomicUsize,
    /// Has ended; what its guest leaves unfinished did not end well.
    pub ended: AtomicBool,
    /// Belongs on the threads for guests that compute long.
    pub heavy: AtomicBool,
    /// A call in it computes long: until it is done, the instance takes no more calls.
    pub absorbed: AtomicBool,
    /// Ticks that the guest computed since it last paused.
    pub ticks: AtomicU64,
    /// How long the guest computes.
    pub computing: Computing,
    running: Mutex<Vec<(GuestTaskId, Arc<Call>)>>,
}

impl Inbox {
    /// The inbox of an instance that is being made.
    pub fn new() -> Inbox {
        Inbox {
            bell: Arc::default(),
            open: AtomicBool::new(false),
            free: AtomicUsize::new(0),
            empty: AtomicBool::new(true),
            retiring: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            started: AtomicBool::new(false),
            occupied: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            heavy: AtomicBool::new(false),
            absorbed: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            computing: Computing::new(),
            running: Mutex::new(Vec::new()),
        }
    }

    /// What the instance could take now.
    pub fn room(&self) -> Room {
        let open = self.open.load(Relaxed) && self.occupied.load(Relaxed) == 0;
        Room { open, calls: self.free.load(Relaxed) > 0, empty: self.empty.load(Relaxed) }
    }

    /// Tells the instance to look for calls.
    pub fn wake(&self) {
        self.bell.instance.wake();
    }

    /// Tells the instance to take no more calls and to end when it has none.
    pub fn retire(&self) {
        self.retiring.store(true, Relaxed);
        self.free.store(0, Relaxed);
        self.open.store(false, Relaxed);
        self.bell.instance.wake();
    }

    /// Ends every call with a failure, and the instance with them; how many calls it had.
    pub fn cut(&self, failure: impl Fn() -> Status) -> usize {
        self.retire();
        let calls: Vec<Arc<Call>> = self.lock().iter().map(|(_, call)| Arc::clone(call)).collect();
        let live = calls.iter().filter(|call| !call.is_abandoned()).count();
        for call in calls {
            call.end(Err(failure()));
            call.abandon();
        }
        self.cut.store(true, Relaxed);
        self.bell.abandoned();
        live
    }

    /// Whether there is nothing left to wait for.
    pub fn is_cut_off(&self) -> bool {
        self.cut.load(Relaxed) && self.lock().is_empty()
    }

    /// A call in it computes long: the instance leaves the lane, and takes no more calls until then. Whether
    /// that is new.
    pub fn absorb(&self) -> bool {
        self.heavy.store(true, Relaxed);
        if self.absorbed.swap(true, Relaxed) {
            return false;
        }
        // Until the guest pauses, nobody else would notice that there is no room.
        self.free.store(0, Relaxed);
        self.open.store(false, Relaxed);
        true
    }

    /// A call has begun as this task.
    pub fn began(&self, task: GuestTaskId, call: &Arc<Call>) {
        self.lock().push((task, Arc::clone(call)));
    }

    /// A call is done. Whether it was still among those that run.
    pub fn finished(&self, call: &Arc<Call>) -> bool {
        let mut running = self.lock();
        let place = running.iter().rposition(|(_, running)| Arc::ptr_eq(running, call));
        // In order, for `call`. Streams are few or come first, so little has to move.
        place.map(|place| running.remove(place)).is_some()
    }

    /// The call that began as this task.
    ///
    /// The last one of these: a task ends before its call where the guest returned a stream that it no longer
    /// writes itself, such as another service's, and the task's id is then that of the next one.
    pub fn call(&self, task: GuestTaskId) -> Option<Arc<Call>> {
        self.lock().iter().rfind(|(running, _)| *running == task).map(|(_, call)| Arc::clone(call))
    }

    /// The calls that run in the order in which they began, by the task as which each did. Tasks do not tell
    /// them apart, see [`Inbox::call`].
    pub fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(GuestTaskId, Arc<Call>)>> {
        self.running.lock().expect("no holder panics")
    }

    /// The calls that run, and how many of them somebody still waits for.
    pub fn count(&self) -> (usize, usize) {
        let running = self.lock();
        (running.len(), running.iter().filter(|(_, call)| !call.is_abandoned()).count())
    }
}

/// Says for as long as it lives that the instance waits in a plain function, and could take nothing.
pub struct Occupied(Arc<Inbox>);

impl Occupied {
    /// Begins to say so.
    pub fn new(inbox: &Arc<Inbox>) -> Occupied {
        inbox.occupied.fetch_add(1, Relaxed);
        Occupied(Arc::clone(inbox))
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.occupied.fetch_sub(1, Relaxed);
        // Calls may have come meanwhile.
        self.0.wake();
    }
}

/// How long the guest computes, by a clock that is read whenever the instance is resumed, pauses or is
/// interrupted. Whose computing it was is decided by who computes at a tick: over many ticks that is
/// fair, and it costs a call nothing.
#[derive(Debug)]
pub struct Computing {
    base: Instant,
    /// When the clock was last read, in nanoseconds from `base`.
    mark: AtomicU64,
    /// Nanoseconds computed since the last tick.
    since_tick: AtomicU64,
}

impl Computing {
    fn new() -> Computing {
        Computing { base: Instant::now(), mark: AtomicU64::new(0), since_tick: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instance is resumed: the time before was not its own.
    pub fn resume(&self) {
        self.mark.store(self.now(), Relaxed);
    }

    /// The guest pauses, or is interrupted: the time since the mark was its own.
    pub fn pause(&self) {
        let now = self.now();
        let since = now.saturating_sub(self.mark.swap(now, Relaxed));
        self.since_tick.fetch_add(since, Relaxed);
    }

    /// What was computed since the last tick; at most two ticks, since the system may have let others
    /// compute meanwhile.
    pub fn tick(&self) -> Duration {
        self.pause();
        Duration::from_nanos(self.since_tick.swap(0, Relaxed)).min(2 * TICK)
    }
}
