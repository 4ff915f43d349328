//! Calls with streams: a caller's messages become a guest's stream, and a guest's stream becomes the
//! messages of the reply.
//!
//! Nothing lies between the guest and the wire but one bounded buffer for the reply. A guest that
//! reads makes the host poll the socket; a reply that is read makes room for what the guest writes.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::task::AtomicWaker;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, StreamReader};

use super::abi::{Element, Item, Lifted};
use super::call::Call;
use super::quota::Quota;
use super::state::State;
use crate::rpc::{Messages, Payload, Run};
use crate::schema::{Flowing, Handle, Head, Passing, Value};
use crate::status::Status;

mod drain;
mod feed;
mod outgoing;
mod pipe;

pub use feed::hand_on;
use outgoing::Outgoing;
pub use pipe::{Pipe, Piped};

/// How a call's messages become values, and its values messages.
pub trait Wire: Send + Sync {
    /// How the messages of the caller are passed.
    fn takes(&self) -> Passing;

    /// How the messages of the reply are passed.
    fn returns(&self) -> Passing;

    /// An element from a message.
    fn element(&self, message: Payload) -> Result<Value, Status>;

    /// Where in a message the element is, for a `list<u8>` that the message holds as it is; `None` for any
    /// other element, and where messages are no bytes.
    fn find(&self, message: &[u8]) -> Option<Result<Range<usize>, Status>>;

    /// What a message begins with whose rest is an element of so many bytes, for a `list<u8>` that the
    /// message holds as it is; `None` for any other element, and where messages are no bytes.
    fn head(&self, length: usize) -> Option<Result<Head, Status>>;

    /// A message from an element.
    fn message(&self, element: Value) -> Result<Payload, Status>;

    /// The stream in what the function returned.
    fn flowing(&self, result: Option<Value>) -> Result<Flowing, Status>;

    /// How the stream ended, by the value of the future beside it.
    fn ended(&self, value: Value) -> Result<(), Status>;
}

/// The streams of one call.
pub struct Flow {
    wire: Box<dyn Wire>,
    /// The reply's messages.
    pub reply: Pipe,
    /// The caller's messages, until the call is over.
    incoming: Mutex<Option<Incoming>>,
    /// Wakes whoever waits for one.
    reading: AtomicWaker,
}

/// A caller's messages.
struct Incoming {
    messages: Messages,
    /// Messages that came together, of which some are not taken yet.
    run: Run,
    /// How much of the run has been.
    taken: usize,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("reply", &self.reply).finish_non_exhaustive()
    }
}

impl Flow {
    /// The streams of a call that has not begun. The reply may hold `capacity` bytes, of those that the
    /// service may have held for it.
    pub fn new(wire: Box<dyn Wire>, incoming: Option<Messages>, capacity: usize, quota: &Arc<Quota>) -> Flow {
        let incoming = incoming.map(|messages| Incoming { messages, run: Run::default(), taken: 0 });
        Flow { wire, reply: Pipe::new(capacity, Arc::clone(quota)), incoming: Mutex::new(incoming), reading: AtomicWaker::new() }
    }

    /// Whether the reply streams.
    pub fn streams_reply(&self) -> bool {
        self.wire.returns() != Passing::Values
    }

    /// Hands the caller's messages that are there to `take`, until it wants no more. `Pending` means
    /// that more may come; there are no more when the call is over, too.
    fn poll_messages(&self, cx: &mut Context<'_>, mut take: impl FnMut(Came<'_>) -> Wants) -> Poll<Next> {
        self.reading.register(cx.waker());
        let mut incoming = self.incoming.lock().expect("no holder panics");
        loop {
            let Some(Incoming { messages, run, taken }) = incoming.as_mut() else { return Poll::Ready(Next::End) };
            let mut begins = true;
            while let Some(message) = run.message_at(*taken) {
                *taken = message.end;
                if take(Came::InRun { bytes: run.bytes(), begins, message }) == Wants::Enough {
                    return Poll::Ready(Next::More);
                }
                begins = false;
            }
            // Let go of: it would keep the memory in which it came.
            *run = Run::default();
            let wants = match std::task::ready!(messages.as_mut().poll_next(cx)) {
                Some(Ok(Payload::Run(next))) => {
                    (*run, *taken) = (next, 0);
                    Wants::More
                }
                Some(Ok(message)) => take(Came::Alone(message)),
                Some(Err(status)) => {
                    *incoming = None;
                    take(Came::Failure(status))
                }
                None => {
                    *incoming = None;
                    Wants::More
                }
            };
            if wants == Wants::Enough {
                return Poll::Ready(Next::More);
            }
        }
    }

    /// Hands the element in what came to `take`.
    fn element(&self, came: Came<'_>, take: &mut impl FnMut(Taken<'_>)) -> Result<(), Status> {
        let value = match came {
            Came::InRun { bytes, begins, message } => match self.wire.find(&bytes[message.clone()]).transpose()? {
                Some(found) => {
                    let part = message.start + found.start..message.start + found.end;
                    take(Taken::Part { of: bytes, begins, part });
                    return Ok(());
                }
                None => self.wire.element(Payload::Bytes(bytes.slice(message)))?,
            },
            Came::Alone(Payload::Bytes(bytes)) => match self.wire.find(&bytes).transpose()? {
                Some(part) => {
                    take(Taken::Part { of: &bytes, begins: true, part });
                    return Ok(());
                }
                None => self.wire.element(Payload::Bytes(bytes))?,
            },
            Came::Alone(message) => self.wire.element(message)?,
            Came::Failure(status) => return Err(status),
        };
        take(Taken::Value(value));
        Ok(())
    }

    /// Lets go of the caller's messages: the call is over, and the guest need not have read them.
    pub fn stop(&self) {
        // Taken out first: dropping a body can wake others.
        let left = self.incoming.lock().expect("no holder panics").take();
        drop(left);
        self.reading.wake();
    }
}

/// The stream that a function takes, for its arguments; `None` where it takes none.
pub fn argument(mut store: StoreContextMut<'_, State>, call: &Arc<Call>) -> wasmtime::Result<Option<Value>> {
    let Some(flow) = &call.flow else { return Ok(None) };
    let handle = match flow.wire.takes() {
        Passing::Values => return Ok(None),
        Passing::Stream => Handle::new(StreamReader::new(&mut store, feed::Elements::of(call))?),
        Passing::Bytes => Handle::new(StreamReader::new(&mut store, feed::Chunks::of(call))?),
        Passing::Future => Handle::new(FutureReader::new(&mut store, feed::One::of(call))?),
    };
    Ok(Some(Value::Handle(handle)))
}

/// Has the reply's messages flow from what the function returned.
pub fn connect(mut store: StoreContextMut<'_, State>, call: &Arc<Call>, result: Option<Value>) -> wasmtime::Result<Result<(), Status>> {
    let flow = call.flow.as_ref().expect("only calls with streams are connected");
    let flowing = match flow.wire.flowing(result) {
        Ok(flowing) => flowing,
        Err(status) => return Ok(Err(status)),
    };
    let Flowing { items, ending } = flowing;
    let foreign = || wasmtime::format_err!("a function returned a stream of another type than its own");
    match flow.wire.returns() {
        Passing::Values => return Err(foreign()),
        Passing::Stream => items.take::<StreamReader<Item>>().ok_or_else(foreign)?.pipe(&mut store, drain::Elements::of(call))?,
        Passing::Bytes => items.take::<StreamReader<u8>>().ok_or_else(foreign)?.pipe(&mut store, drain::Chunks::of(call))?,
        Passing::Future => items.take::<FutureReader<Item>>().ok_or_else(foreign)?.pipe(&mut store, drain::Once::message(call))?,
    }
    match ending {
        Some(ending) => ending.take::<FutureReader<Item>>().ok_or_else(foreign)?.pipe(&mut store, drain::Once::ending(call))?,
        None => flow.reply.settle(Ok(())),
    }
    Ok(Ok(()))
}

/// What came from the caller.
enum Came<'r> {
    /// A message by itself.
    Alone(Payload),
    /// A message at this place of a run's bytes; the first of it that this poll hands over, or not.
    InRun { bytes: &'r Bytes, begins: bool, message: Range<usize> },
    /// Why nothing more comes.
    Failure(Status),
}

/// An element that came from the caller.
enum Taken<'t> {
    /// Of any type.
    Value(Value),
    /// A `list<u8>`: a part of these bytes, which the one before it was a part of too, or not.
    Part { of: &'t Bytes, begins: bool, part: Range<usize> },
}

/// Whether whoever takes messages has room for another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    More,
    Enough,
}

/// Whether the caller may have more messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    End,
}

/// The side of a call that an end of one of its streams works for.
struct Side(Arc<Call>);

impl Side {
    fn flow(&self) -> &Flow {
        self.0.flow.as_ref().expect("only calls with streams have such ends")
    }

    /// Hands elements that the caller sent to `take`, at most `most`; a wrong message ends them.
    fn poll_elements(&self, cx: &mut Context<'_>, most: usize, mut take: impl FnMut(Taken<'_>)) -> Poll<Next> {
        let flow = self.flow();
        let (mut taken, mut failure) = (0, None);
        let next = flow.poll_messages(cx, |came| {
            match flow.element(came, &mut take) {
                Ok(()) => taken += 1,
                Err(status) => failure = Some(status),
            }
            if taken < most && failure.is_none() { Wants::More } else { Wants::Enough }
        });
        if taken > 0 {
            self.0.progressed();
        }
        match failure {
            Some(status) => {
                self.fail(status);
                Poll::Ready(Next::End)
            }
            None => next,
        }
    }

    /// Sends elements on; their bytes, or `None` where that fails, which ends the call.
    fn send(&self, elements: Lifted) -> Option<usize> {
        let mut outgoing = Outgoing::new(&*self.flow().wire, elements.len(), elements.small());
        let mut result = Ok(());
        elements.each(|element| {
            result = outgoing.add(element);
            result.is_ok()
        });
        self.finish(outgoing, result)
    }

    /// Sends one chunk of bytes on, as [`Side::send`] does.
    fn send_chunk(&self, chunk: &[u8]) -> Option<usize> {
        let mut outgoing = Outgoing::new(&*self.flow().wire, 1, chunk.len());
        let result = outgoing.add(Element::Bytes(chunk));
        self.finish(outgoing, result)
    }

    fn finish(&self, outgoing: Outgoing<'_>, result: Result<(), Status>) -> Option<usize> {
        self.0.progressed();
        let (messages, bytes) = outgoing.finish();
        self.flow().reply.push(messages);
        match result {
            Ok(()) => Some(bytes),
            Err(status) => {
                self.fail(status);
                None
            }
        }
    }

    fn fail(&self, status: Status) {
        self.0.end(Err(status));
    }
}

/// What an end does with a call that is polled in its store.
type Polled<T> = Poll<wasmtime::Result<T>>;
