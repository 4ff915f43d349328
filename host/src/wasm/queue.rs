//! What waits on one lane for an instance.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::abi::Width;
use super::call::Call;
use super::http::Exchange;
use super::inbox::{Inbox, Need, Room};
use crate::schema::Value;

/// A call with its arguments, on its way to an instance.
pub struct Job {
    /// The call.
    pub call: Arc<Call>,
    /// What the instance is to do.
    pub work: Work,
}

/// What a call is to the instance.
pub enum Work {
    /// A function, with one value for each parameter and the width of its result.
    Function(Vec<Value>, Width),
    /// A request for the component's HTTP handler.
    Http(Box<Exchange>),
}

impl Work {
    /// About how much memory of the host it takes while it waits, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Work::Function(args, _) => args.iter().map(Value::size).sum(),
            // Its body stays in the socket.
            Work::Http(_) => 0,
        }
    }
}

/// What waits on one lane, and the instances that take from it.
#[derive(Default)]
pub struct Lane {
    /// The calls, in their order.
    pub queue: Mutex<VecDeque<Job>>,
    /// As many as the queue holds; read by other lanes without its lock.
    pub waiting: AtomicUsize,
    /// How many of them are calls with streams.
    pub streams: AtomicUsize,
    /// The lane's instances that take calls.
    pub instances: Mutex<Vec<Arc<Inbox>>>,
    /// Instances of other lanes may take from this queue: its own have no room. Without need they
    /// do not, since a call that changes its lane crosses threads twice.
    pub overflows: AtomicBool,
    /// A task looks whether more instances are needed.
    pub looking: AtomicBool,
}

/// Room for whatever waits, to end it.
pub const ANY: Room = Room { open: true, calls: true, empty: true };

impl Lane {
    /// Notes for readers without the lock that this call comes into the queue.
    pub fn entered(&self, queue: &VecDeque<Job>, call: &Call) {
        self.waiting.store(queue.len() + 1, Relaxed);
        self.streams.fetch_add(usize::from(call.flow.is_some()), Relaxed);
    }

    /// Notes that this call left the queue.
    pub fn left(&self, queue: &VecDeque<Job>, call: &Call) {
        self.waiting.store(queue.len(), Relaxed);
        self.streams.fetch_sub(usize::from(call.flow.is_some()), Relaxed);
    }

    /// Notes what the queue holds, after many calls came or went.
    pub fn recount(&self, queue: &VecDeque<Job>) {
        self.waiting.store(queue.len(), Relaxed);
        self.streams.store(queue.iter().filter(|job| job.call.flow.is_some()).count(), Relaxed);
    }

    /// The first call that fits. Streams pass by the calls before them, which go in order: one that
    /// wants an instance for itself would never get it otherwise.
    pub fn first(&self, queue: &VecDeque<Job>, room: Room, need: impl Fn(&Call) -> Need) -> Option<usize> {
        let mut held = false;
        for (place, job) in queue.iter().enumerate() {
            let need = need(&job.call);
            if need == Need::Stream || !held {
                if room.fits(need) {
                    return Some(place);
                }
                held = true;
                if self.streams.load(Relaxed) == 0 {
                    return None;
                }
            }
        }
        None
    }
}
