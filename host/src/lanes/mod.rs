//! A lane is one core's own runtime: its connections, its instances, its calls. A call that is
//! decoded, run and answered on one lane crosses no thread.
//!
//! Guests that compute for long leave the lanes for the low-priority threads of [`Lanes::heavy`],
//! so that nobody waits behind them.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

mod attention;

pub use attention::answered;

/// The niceness of the threads for guests that compute long, on Linux's scale of -20 to 19.
const HEAVY_NICENESS: i32 = 10;

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The lane that this thread is, if it is one.
pub fn current() -> Option<usize> {
    CURRENT.get()
}

struct Lane {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

struct Inner {
    lanes: Vec<Lane>,
    heavy: Mutex<Option<Runtime>>,
    heavy_handle: Handle,
}

/// The host's lanes. Clones share them.
#[derive(Clone)]
pub struct Lanes(Arc<Inner>);

impl Lanes {
    /// Starts `count` lanes, and as many threads for heavy guests.
    pub fn start(count: NonZeroUsize) -> io::Result<Lanes> {
        let lanes = (0..count.get()).map(|index| start_lane(index, count.get() > 1)).collect::<io::Result<Vec<_>>>()?;
        let heavy = Builder::new_multi_thread()
            .worker_threads(count.get())
            .max_blocking_threads(32)
            .thread_name("heavy")
            .enable_all()
            .on_thread_start(lower_priority)
            .build()?;
        let heavy_handle = heavy.handle().clone();
        Ok(Lanes(Arc::new(Inner { lanes, heavy: Mutex::new(Some(heavy)), heavy_handle })))
    }

    /// How many lanes there are; at least one.
    pub fn count(&self) -> usize {
        self.0.lanes.len()
    }

    /// Runs a future on one lane, from any thread.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn spawn_on<F>(&self, lane: usize, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.lanes[lane].handle.spawn(future)
    }

    /// The runtime for guests that compute long. Its blocking threads serve compilation too.
    pub fn heavy(&self) -> &Handle {
        &self.0.heavy_handle
    }

    /// Ends all lanes and what still runs on them; waits for the threads up to `limit`.
    ///
    /// Not to be called on a lane.
    pub fn stop(&self, limit: Duration) {
        for lane in &self.0.lanes {
            if let Some(stop) = lane.stop.lock().expect("no holder panics").take() {
                // A lane whose thread is gone needs no telling.
                let _ = stop.send(());
            }
        }
        let began = std::time::Instant::now();
        for lane in &self.0.lanes {
            let thread = lane.thread.lock().expect("no holder panics").take();
            while thread.as_ref().is_some_and(|thread| !thread.is_finished()) && began.elapsed() < limit {
                thread::sleep(Duration::from_millis(1));
            }
        }
        if let Some(heavy) = self.0.heavy.lock().expect("no holder panics").take() {
            heavy.shutdown_background();
        }
    }
}

/// With a single core, what a lane spends looking for calls its clients cannot spend making them.
fn start_lane(index: usize, attentive: bool) -> io::Result<Lane> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(32).build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("lane-{index}")).spawn(move || {
        CURRENT.set(Some(index));
        if attentive {
            runtime.spawn(attention::look());
        }
        // An error means that the sender was dropped: nobody needs the lane any more.
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background();
    })?;
    Ok(Lane { handle, stop: Mutex::new(Some(stop)), thread: Mutex::new(Some(thread)) })
}

/// Lowers the calling thread's priority. Where that is refused, heavy guests merely compete.
fn lower_priority() {
    // Elsewhere it would be the whole process.
    #[cfg(target_os = "linux")]
    // SAFETY: `setpriority` takes plain numbers; on Linux 0 names the calling thread alone.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, HEAVY_NICENESS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_knows_its_lane() {
        let lanes = Lanes::start(NonZeroUsize::new(2).expect("two is not zero")).expect("lanes start");
        let outside = Builder::new_current_thread().build().expect("a runtime");
        for lane in 0..2 {
            let seen = outside.block_on(lanes.spawn_on(lane, async { current() })).expect("the task ends");
            assert_eq!(seen, Some(lane));
        }
        assert_eq!(current(), None);
        lanes.stop(Duration::from_secs(5));
    }
}
