//! One instance: it takes calls from its lane's queue, runs several at once, and ends when it is
//! spent, idle, trapped or stuck.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::sleep;
use wasmtime::component::{Accessor, Func, GuestTaskId, ResourceTableError};
use wasmtime::{AsContextMut, Store, UpdateDeadline};

use super::abi::{self, Width};
use super::call::Call;
use super::engine::TICK;
use super::http::{Exchange, Exported};
use super::inbox::{Inbox, Need};
use super::limiter::Limiter;
use super::pool::Pool;
use super::queue::{Job, Work};
use super::state::State;
use super::streams::{self, Flow};
use crate::schema::Value;
use crate::status::{Code, Status};

/// A call that has computed for this many ticks makes its instance leave the lane.
const HEAVY_AFTER: u32 = 4;

/// Linear memory from which on an instance is not dropped on a lane, in bytes.
const LARGE: usize = 16 << 20;

/// Counts the instance for as long as it lives.
struct Counted {
    pool: Arc<Pool>,
    lane: usize,
    inbox: Arc<Inbox>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.pool.instance_ended(self.lane, &self.inbox);
    }
}

/// Fails the calls that are left when an instance goes; before its store does, with which their
/// streams would seem to have ended well.
struct Unfinished<'a>(&'a Inbox);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Relaxed);
        let left = std::mem::take(&mut *self.0.lock());
        for (_, call) in left {
            call.end(Err(Status::new(Code::Internal, "the service ended while it served the call")));
        }
    }
}

/// What calls of an instance call.
struct Exports {
    funcs: Vec<Func>,
    http: Option<Exported>,
}

/// An instance, from its making to its end. `started` hears when it can take calls, or why it cannot.
pub async fn live(pool: Arc<Pool>, lane: usize, inbox: Arc<Inbox>, started: oneshot::Sender<Result<(), Status>>) {
    let _counted = Counted { pool: Arc::clone(&pool), lane, inbox: Arc::clone(&inbox) };
    let (mut store, exports) = match begin(&pool, lane, &inbox).await {
        Ok(begun) => begun,
        Err(status) => {
            // The pool has given up waiting only if it is gone itself.
            let _ = started.send(Err(status));
            return;
        }
    };
    let _unfinished = Unfinished(&inbox);
    inbox.started.store(true, Relaxed);
    inbox.free.store(pool.places(), Relaxed);
    inbox.open.store(true, Relaxed);
    pool.instance_started(lane, &inbox);
    let _ = started.send(Ok(()));
    let result = store.run_concurrent(async |accessor| serve(accessor, &pool, lane, &inbox, &exports).await).await;
    if let Err(trap) = result.and_then(|served| served) {
        trapped(&pool, &inbox, store.data(), &trap);
    }
    if store.data().limiter.memory() > LARGE {
        // The kernel takes its time to take back so much, and a lane has others to serve.
        pool.lanes().heavy().spawn_blocking(move || drop(store));
    }
}

async fn begin(pool: &Arc<Pool>, lane: usize, inbox: &Arc<Inbox>) -> Result<(Store<State>, Exports), Status> {
    let limits = pool.limits();
    let limiter = Limiter::new(limits, Arc::clone(pool.quota()));
    let state = State::new(pool, limiter, Arc::clone(inbox));
    let state = state.map_err(|error| Status::new(Code::Unavailable, "the service cannot be started").because(error))?;
    let mut store = Store::new(pool.pre().engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.host_call);
    store.set_max_component_handles(limits.handles);
    if let Some(table) = store.concurrent_resource_table() {
        // Each stream is an entry beside its two ends, each call one beside the handle that waits for it.
        table.set_max_capacity(limits.handles.saturating_mul(2));
    }
    watch(&mut store, pool, lane, inbox);
    let instance = match tokio::time::timeout(limits.start, pool.pre().instantiate_async(&mut store)).await {
        Ok(Ok(instance)) => instance,
        Ok(Err(error)) => {
            let what = match store.data().limiter.refused() {
                Some(limit) => {
                    let name = pool.name();
                    format!("{name} cannot be started within its limit {limit}; to raise it, write {limit} in [service.{name}.limits]")
                }
                None => "the service cannot be started".to_owned(),
            };
            return Err(Status::new(Code::Unavailable, what).because(format!("{error:#}")));
        }
        Err(_) => {
            let (name, limit) = (pool.name(), limits.start);
            let message = format!(
                "{name} takes longer to start than its limit start, {limit:?}; to raise it, write start in [service.{name}.limits]"
            );
            return Err(Status::new(Code::Unavailable, message));
        }
    };
    let funcs: Option<Vec<Func>> = pool.exports().iter().map(|export| instance.get_func(&mut store, export)).collect();
    let lacks = || Status::new(Code::Internal, "the service lacks a function that it exports");
    let funcs = funcs.ok_or_else(lacks)?;
    let http = pool.door().map(|door| door.of_instance(&mut store, &instance)).transpose();
    let http = http.map_err(|error| lacks().because(format!("{error:#}")))?;
    Ok((store, Exports { funcs, http }))
}

/// Sets the clock by which the guest is interrupted, and its computing counted.
fn watch(store: &mut Store<State>, pool: &Arc<Pool>, lane: usize, inbox: &Arc<Inbox>) {
    let (pool, inbox, cpu) = (Arc::clone(pool), Arc::clone(inbox), pool.limits().cpu);
    let mut unclaimed = Duration::ZERO;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        let computed = inbox.computing.tick();
        let pause = pool.quota().computed(computed);
        let ticks = inbox.ticks.fetch_add(1, Relaxed) + 1;
        // The first tick after a pause may come at once: what was due while the guest did nothing.
        let mut long = ticks > u64::from(HEAVY_AFTER);
        // What holds the instance without a pause would keep those that wait in it from their turns.
        let held = TICK * u32::try_from(ticks).unwrap_or(u32::MAX) > cpu;
        let call = super::state::current_call(&mut store);
        let total = call.as_ref().map(|call| call.computed(computed));
        // A call that is met by one tick alone may be the last of many short ones since the tick before.
        if total.is_some_and(|total| total > TICK && total > computed) {
            pool.quota().strain.add(computed);
            // One that pauses now and then, too.
            long |= total.is_some_and(|total| total > TICK * HEAVY_AFTER);
        }
        if long && inbox.absorb() && inbox.started.load(Relaxed) {
            // Calls may have been counting on the room in here.
            pool.look_for_more(lane);
        }
        if let (Some(call), Some(total)) = (call, total) {
            let (_, live) = inbox.count();
            let over = total > cpu;
            // One that nobody waits for must not take with it those that somebody waits for, as long
            // as it lets them have their turns: the instance goes when they are done.
            let tolerated = call.is_abandoned() && live > 0 && !held;
            if over && !tolerated {
                call.end(Err(pool.quota().reached("cpu", format_args!("{cpu:?} of computing"), &format!("\"{:?}\"", cpu * 2))));
                return Err(wasmtime::format_err!("a call computed longer than the limit cpu, {cpu:?}"));
            }
            if call.is_abandoned() && live == 0 {
                return Err(wasmtime::format_err!("a call went on computing after its caller had gone").context(Abandoned));
            }
        } else if inbox.started.load(Relaxed) {
            // What calls leave behind belongs to none of them. It is not to go on for ever, and those
            // that run are not to suffer for it.
            unclaimed += computed;
            if unclaimed > cpu {
                inbox.retire();
                if held || inbox.count().0 == 0 {
                    return Err(wasmtime::format_err!("what calls left behind computed longer than the limit cpu, {cpu:?}"));
                }
            }
        }
        Ok(match pause {
            Some(pause) => UpdateDeadline::YieldCustom(1, Box::pin(sleep(pause))),
            None => UpdateDeadline::Yield(1),
        })
    });
}

/// Marks the end of an instance that is no fault of the guest's.
#[derive(Debug)]
struct Abandoned;

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("abandoned")
    }
}

/// What a trap's backtrace counts for among the service's log lines, in bytes.
const TRAP_LINE: usize = 2 << 10;

/// Ends the calls of an instance that trapped, and logs why.
fn trapped(pool: &Pool, inbox: &Inbox, state: &State, trap: &wasmtime::Error) {
    if trap.downcast_ref::<Abandoned>().is_some() {
        tracing::debug!(service = pool.name(), "an instance was ended: a call went on computing after its caller had gone");
        return;
    }
    pool.stats().traps.fetch_add(1, Relaxed);
    let calls = std::mem::take(&mut *inbox.lock());
    let refused = reached(state, trap);
    let hint = refused.map(|limit| format!("its limit {limit} was reached before"));
    // A service that does nothing but trap would flood the log as well as one that writes to it.
    if pool.log().allows(TRAP_LINE) {
        tracing::error!(service = pool.name(), calls = calls.len(), hint, "the service trapped: {trap:#}");
    }
    for (_, call) in calls {
        let message = match refused {
            Some(limit) => {
                let name = pool.name();
                format!("the service failed after it reached its limit {limit}; to raise it, write {limit} in [service.{name}.limits]")
            }
            None => "the service failed while it served the call".to_owned(),
        };
        call.end(Err(Status::new(Code::Internal, message)));
    }
}

/// What wasmtime says of a guest that wants more than these limits allow. It has no types for that which
/// others could name; tests from outside would notice if the words changed.
const LIMITS_BY_WORDS: [(&str, &str); 2] =
    [("store handle limit exceeded", "handles"), ("fuel allocated for hostcalls has been exhausted", "host-call")];

/// The limit that a trapped guest had reached, if any.
fn reached(state: &State, trap: &wasmtime::Error) -> Option<&'static str> {
    let full = trap.downcast_ref::<ResourceTableError>().is_some_and(|error| matches!(error, ResourceTableError::Full));
    if full {
        return Some("handles");
    }
    let words = trap.root_cause().to_string();
    let by_words = LIMITS_BY_WORDS.iter().find(|(said, _)| words.contains(said)).map(|(_, limit)| *limit);
    by_words.or_else(|| state.limiter.refused())
}

/// A call that is done in its instance.
struct Finished {
    task: GuestTaskId,
    /// It took no place.
    stream: bool,
    result: wasmtime::Result<Returned>,
}

/// What a function returned.
enum Returned {
    /// All of the reply, or why there is none.
    Reply(Result<Option<Value>, abi::TooLarge>),
    /// The reply was streamed, to its end.
    Streamed,
    /// The reply could not begin.
    Failed(Status),
}

/// Runs calls until the instance is to end.
async fn serve(accessor: &Accessor<State>, pool: &Arc<Pool>, lane: usize, inbox: &Arc<Inbox>, exports: &Exports) -> wasmtime::Result<()> {
    let limits = pool.limits();
    let (places, most) = (pool.places(), pool.calls_per_instance());
    let mut running: FuturesUnordered<BoxFuture<'_, Finished>> = FuturesUnordered::new();
    let mut streams = 0;
    // The call that has the instance for itself, but for streams.
    let mut exclusive: Option<GuestTaskId> = None;
    let mut served: u64 = 0;
    // Of these, those that somebody made.
    let mut used: u64 = 0;
    let mut looked_at = 0;
    let born = Instant::now();
    // One timer for the whole idle time, not one a call: it looks whether anything came since.
    let mut idle = Box::pin(sleep(limits.idle));
    let mut leaving = None;
    poll_fn(|cx| {
        inbox.bell.instance.register(cx.waker());
        // The guest has paused: this is only polled while it does not compute.
        inbox.ticks.store(0, Relaxed);
        inbox.computing.pause();
        loop {
            while let Poll::Ready(Some(finished)) = running.poll_next_unpin(cx) {
                exclusive = exclusive.filter(|task| *task != finished.task);
                streams -= usize::from(finished.stream);
                let call = take(inbox, finished.task);
                let outcome = match finished.result {
                    Ok(Returned::Reply(Ok(value))) => Ok(value),
                    Ok(Returned::Reply(Err(abi::TooLarge))) => {
                        let limit = limits.host_call;
                        Err(Status::new(Code::ResourceExhausted, format!("the reply takes more than the limit host-call, {limit} bytes")))
                    }
                    // Its reply has said how it ended.
                    Ok(Returned::Streamed) => Ok(None),
                    Ok(Returned::Failed(status)) => Err(status),
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if let Some(call) = call {
                    call.end(outcome);
                }
            }
            if running.is_empty() {
                inbox.absorbed.store(false, Relaxed);
            }
            let absorbed = inbox.absorbed.load(Relaxed);
            inbox.heavy.store(absorbed || pool.quota().strain.is_high(), Relaxed);
            if served >= most || (limits.instance_age < Duration::MAX && born.elapsed() >= limits.instance_age) {
                inbox.retiring.store(true, Relaxed);
            }
            let open = !(inbox.retiring.load(Relaxed) || absorbed || exclusive.is_some());
            inbox.open.store(open, Relaxed);
            let calls = running.len() - streams;
            inbox.free.store(if open { places.saturating_sub(calls) } else { 0 }, Relaxed);
            inbox.empty.store(calls == 0, Relaxed);
            if !open {
                break;
            }
            let Some(job) = pool.take(lane, inbox.room()) else { break };
            if running.is_empty() {
                // What was due while the guest did nothing is not its doing.
                accessor.with(|mut store| store.as_context_mut().set_epoch_deadline(1));
            }
            served += 1;
            used += u64::from(!job.call.target.by_host);
            let alone = job.call.target.exclusive;
            let stream = pool.need(&job.call) == Need::Stream;
            streams += usize::from(stream);
            match start(accessor, inbox, exports, job, stream) {
                Ok((task, done)) => {
                    exclusive = alone.then_some(task);
                    running.push(done);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // What still waits has no place here, or wants an instance for itself.
        pool.look_for_more(lane);
        if running.is_empty() && inbox.retiring.load(Relaxed) {
            // A guest may have more to do when it has answered, such as to write its log.
            let leave = leaving.get_or_insert_with(|| Box::pin(sleep(limits.timeout)));
            if accessor.poll_no_interesting_tasks(cx).is_ready() || leave.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        while idle.as_mut().poll(cx).is_ready() {
            if running.is_empty() && used == looked_at {
                return Poll::Ready(Ok(()));
            }
            looked_at = used;
            idle.as_mut().reset(tokio::time::Instant::now() + limits.idle);
        }
        Poll::Pending
    })
    .await
}

fn take(inbox: &Inbox, task: GuestTaskId) -> Option<Arc<Call>> {
    let mut running = inbox.lock();
    let place = running.iter().position(|(running, _)| *running == task)?;
    Some(running.swap_remove(place).1)
}

fn start<'a>(
    accessor: &'a Accessor<State>,
    inbox: &Arc<Inbox>,
    exports: &'a Exports,
    job: Job,
    stream: bool,
) -> wasmtime::Result<(GuestTaskId, BoxFuture<'a, Finished>)> {
    let Job { call, work } = job;
    let begun = match work {
        Work::Function(args, width) => start_function(accessor, exports, &call, args, width, stream),
        Work::Http(exchange) => start_http(accessor, exports, *exchange, stream),
    };
    if let Err(error) = &begun {
        call.end(Err(Status::new(Code::Internal, "the service cannot be called").because(format!("{error:#}"))));
    }
    let (task, done) = begun?;
    inbox.lock().push((task, Arc::clone(&call)));
    call.runs_in(&inbox.bell);
    if call.is_abandoned() {
        // It may have been abandoned just before it was known where it runs.
        inbox.bell.abandoned();
    }
    Ok((task, done))
}

fn start_http<'a>(
    accessor: &'a Accessor<State>,
    exports: &'a Exports,
    exchange: Exchange,
    stream: bool,
) -> wasmtime::Result<(GuestTaskId, BoxFuture<'a, Finished>)> {
    let http = exports.http.as_ref().ok_or_else(|| wasmtime::format_err!("the component takes no HTTP requests"))?;
    let begun = http.start(accessor, exchange)?;
    let task = begun.task;
    Ok((task, Box::pin(async move { Finished { task, stream, result: begun.done.await.map(|()| Returned::Streamed) } })))
}

fn start_function<'a>(
    accessor: &'a Accessor<State>,
    exports: &Exports,
    call: &Arc<Call>,
    mut args: Vec<Value>,
    width: Width,
    stream: bool,
) -> wasmtime::Result<(GuestTaskId, BoxFuture<'a, Finished>)> {
    let func = exports.funcs[call.target.export];
    args.extend(accessor.with(|mut store| streams::argument(store.as_context_mut(), call))?);
    // SAFETY: the schema that `args` were decoded by and the width are those of this export, both read from the component.
    let begun = unsafe { abi::start(accessor, func, args, width) }?;
    let task = begun.task;
    if !call.flow.as_ref().is_some_and(Flow::streams_reply) {
        return Ok((task, Box::pin(async move { Finished { task, stream, result: begun.done.await.map(Returned::Reply) } })));
    }
    let call = Arc::clone(call);
    let done = async move {
        let result = match begun.done.await {
            Ok(Ok(value)) => reply(accessor, &call, value).await,
            Ok(Err(too_large)) => Ok(Returned::Reply(Err(too_large))),
            Err(error) => Err(error),
        };
        Finished { task, stream, result }
    };
    Ok((task, Box::pin(done)))
}

/// Lets the messages of a reply flow until they have ended or nobody reads them any more.
async fn reply(accessor: &Accessor<State>, call: &Arc<Call>, value: Option<Value>) -> wasmtime::Result<Returned> {
    let Some(flow) = &call.flow else { return Ok(Returned::Reply(Ok(value))) };
    if let Err(status) = accessor.with(|mut store| streams::connect(store.as_context_mut(), call, value))? {
        return Ok(Returned::Failed(status));
    }
    call.begin_reply();
    let over = poll_fn(|cx| flow.reply.poll_over(cx));
    // Here and not where the reply is read: a reader that stalls is not polled.
    if tokio::time::timeout_at(call.deadline.into(), over).await.is_err() {
        call.end(Err(Status::new(Code::DeadlineExceeded, "the deadline passed before the stream was done")));
    }
    Ok(Returned::Streamed)
}
