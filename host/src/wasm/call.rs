//! One call, as the guest floor sees it: what an import may know of the call that it serves, and
//! the thread back to whoever waits.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use futures::future::AbortHandle;
use http::HeaderMap;
use tokio::sync::oneshot;

use super::bell::Bell;
use super::quota;
use super::streams::Flow;
use crate::rpc::Caller;
use crate::schema::Value;
use crate::status::Status;

/// What the guest returned: its value, with the metadata that it set for the reply.
pub type Outcome = Result<Option<Value>, Status>;

/// What is the same for every call of one function.
#[derive(Debug)]
pub struct Target {
    /// The service's full name.
    pub service: Arc<str>,
    /// The method's name.
    pub method: Arc<str>,
    /// The function's place among the exports of the component.
    pub export: usize,
    /// Takes the instance for itself: a plain `func` cannot be interleaved with others.
    pub exclusive: bool,
    /// The host itself calls it, to hear how the service is: nobody uses an instance by that.
    pub by_host: bool,
}

/// Metadata that a guest sets for its reply.
#[derive(Debug, Default)]
pub struct ReplyMetadata {
    /// The headers have been sent.
    pub begun: bool,
    /// To be sent before the message.
    pub headers: HeaderMap,
    /// To be sent after it.
    pub trailers: HeaderMap,
    /// The bytes of both.
    pub size: usize,
}

/// A call that is queued or under way. Shared by whoever waits for it and the instance that runs it.
#[derive(Debug)]
pub struct Call {
    /// What is called.
    pub target: Arc<Target>,
    /// The request's headers, the protocols' own among them.
    pub headers: HeaderMap,
    /// Who calls.
    pub caller: Caller,
    /// When the answer is no longer waited for.
    pub deadline: Instant,
    /// What the guest set for the reply.
    pub reply: Mutex<ReplyMetadata>,
    /// The streams of the call, where it has any.
    pub flow: Option<Flow>,
    /// Nobody waits any longer.
    abandoned: AtomicBool,
    /// Where the call runs, once it does.
    runs_in: Mutex<Option<Arc<Bell>>>,
    cpu_ns: AtomicU64,
    /// The caller has gone.
    left: AtomicBool,
    /// Calls of other services that were made for it.
    outgoing: Mutex<Vec<AbortHandle>>,
    done: Mutex<Option<oneshot::Sender<Outcome>>>,
    /// What is counted of the call for its service, for as long as anything of the call is left.
    held: OnceLock<quota::Held>,
}

impl Call {
    /// A call, and where its outcome arrives.
    pub fn new(
        target: Arc<Target>,
        headers: HeaderMap,
        caller: Caller,
        deadline: Instant,
        flow: Option<Flow>,
    ) -> (Arc<Call>, oneshot::Receiver<Outcome>) {
        let (done, outcome) = oneshot::channel();
        let call = Call {
            target,
            headers,
            caller,
            deadline,
            reply: Mutex::default(),
            flow,
            abandoned: AtomicBool::new(false),
            runs_in: Mutex::new(None),
            cpu_ns: AtomicU64::new(0),
            left: AtomicBool::new(false),
            outgoing: Mutex::default(),
            done: Mutex::new(Some(done)),
            held: OnceLock::new(),
        };
        (Arc::new(call), outcome)
    }

    /// Ends the call. Only the first end counts; where a streaming reply has begun, a failure ends its
    /// messages.
    pub fn end(&self, outcome: Outcome) {
        match (self.done(), outcome, &self.flow) {
            // Whoever waited may have gone.
            (Some(done), outcome, _) => drop(done.send(outcome)),
            (None, Err(status), Some(flow)) => flow.reply.fail(status),
            (None, ..) => {}
        }
        // After the reply has failed: a guest whose messages end may end its reply well at once.
        if let Some(flow) = &self.flow {
            flow.stop();
        }
    }

    /// Tells whoever waits that the reply begins; its messages follow.
    pub fn begin_reply(&self) {
        // Here and not where the headers are taken: what the guest does next finds them gone, however
        // long whoever waited takes to wake.
        self.reply.lock().expect("no holder panics").begun = true;
        if let Some(done) = self.done() {
            // Whoever waited may have gone.
            drop(done.send(Ok(None)));
        }
    }

    fn done(&self) -> Option<oneshot::Sender<Outcome>> {
        self.done.lock().expect("no holder panics").take()
    }

    /// Keeps what is counted of the call until the call is dropped. Only the first counts: a call is
    /// queued once.
    pub fn hold(&self, held: quota::Held) {
        // What is not kept is given back.
        drop(self.held.set(held));
    }

    /// Whether nobody waits any longer.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }

    /// Notes that nobody waits any longer, and tells the instance that runs the call. Whether one does.
    pub fn abandon(&self) -> bool {
        self.abandoned.store(true, Relaxed);
        if let Some(flow) = &self.flow {
            flow.stop();
        }
        self.leave();
        let bell = self.runs_in.lock().expect("no holder panics").take();
        if let Some(bell) = &bell {
            bell.abandoned();
        }
        bell.is_some()
    }

    /// Ends the call because of a failure that its guest cannot be told, and gives the guest's part of it
    /// up.
    pub fn fail(&self, status: Status) {
        // It is the status of another call, which may not have been seen; this one has.
        self.end(Err(status.seen()));
        self.abandon();
    }

    /// Notes that the caller has gone: what was called for it ends. The guest learns of it by that, or by
    /// its next message.
    pub fn leave(&self) {
        self.left.store(true, Relaxed);
        for outgoing in self.outgoing().drain(..) {
            outgoing.abort();
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.outgoing.lock().expect("no holder panics")
    }

    /// Notes where the call runs.
    pub fn runs_in(&self, bell: &Arc<Bell>) {
        *self.runs_in.lock().expect("no holder panics") = Some(Arc::clone(bell));
    }

    /// A message was passed: what a stream may compute counts from one to the next.
    pub fn progressed(&self) {
        self.cpu_ns.store(0, Relaxed);
    }

    /// Adds time that the guest computed for this call; the sum so far.
    pub fn computed(&self, time: Duration) -> Duration {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.cpu_ns.fetch_add(ns, Relaxed) + ns)
    }
}

/// A call of another service for as long as it is under way: it ends with the call that it was made for.
pub struct Held<C: Deref<Target = Call>> {
    call: C,
    abort: AbortHandle,
}

impl<C: Deref<Target = Call>> Held<C> {
    /// Ends what `abort` aborts when the caller of `call` goes.
    pub fn new(call: C, abort: AbortHandle) -> Held<C> {
        call.outgoing().push(abort.clone());
        if call.left.load(Relaxed) {
            // It may have gone just before.
            abort.abort();
        }
        Held { call, abort }
    }
}

impl<C: Deref<Target = Call>> Drop for Held<C> {
    fn drop(&mut self) {
        // Marked, so that it is known which one is to go.
        self.abort.abort();
        self.call.outgoing().retain(|outgoing| !outgoing.is_aborted());
    }
}
