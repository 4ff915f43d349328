//! Calls with streams: a caller's messages become a guest's stream, and a guest's stream becomes the
//! messages of the reply.
//!
//! Nothing lies between the guest and the wire but one bounded buffer for the reply. A guest that
//! reads makes the host poll the socket; a reply that is read makes room for what the guest writes.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, StreamReader};

use super::abi::{Item, TooLarge};
use super::call::Call;
use super::quota::Quota;
use super::state::State;
use crate::rpc::{Messages, Payload};
use crate::schema::{Flowing, Handle, Passing, Value};
use crate::status::{Code, Status};

mod drain;
mod feed;
mod pipe;

pub use pipe::{Pipe, Piped};

/// How a call's messages become values, and its values messages.
pub trait Wire: Send + Sync {
    /// How the messages of the caller are passed.
    fn takes(&self) -> Passing;

    /// How the messages of the reply are passed.
    fn returns(&self) -> Passing;

    /// An element from a message.
    fn element(&self, message: Payload) -> Result<Value, Status>;

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
    incoming: Mutex<Option<Messages>>,
    /// Wakes whoever waits for one.
    reading: AtomicWaker,
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
        Flow { wire, reply: Pipe::new(capacity, Arc::clone(quota)), incoming: Mutex::new(incoming), reading: AtomicWaker::new() }
    }

    /// Whether the reply streams.
    pub fn streams_reply(&self) -> bool {
        self.wire.returns() != Passing::Values
    }

    /// Hands the caller's messages that are there to `take`, until it wants no more. `Pending` means
    /// that more may come; there are no more when the call is over, too.
    fn poll_messages(&self, cx: &mut Context<'_>, mut take: impl FnMut(Result<Payload, Status>) -> Wants) -> Poll<Next> {
        self.reading.register(cx.waker());
        let mut incoming = self.incoming.lock().expect("no holder panics");
        loop {
            let Some(messages) = incoming.as_mut() else { return Poll::Ready(Next::End) };
            let next = std::task::ready!(messages.as_mut().poll_next(cx));
            if matches!(next, None | Some(Err(_))) {
                *incoming = None;
            }
            if let Some(message) = next
                && take(message) == Wants::Enough
            {
                return Poll::Ready(Next::More);
            }
        }
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
    fn poll_elements(&self, cx: &mut Context<'_>, most: usize, mut take: impl FnMut(Value)) -> Poll<Next> {
        let flow = self.flow();
        let (mut taken, mut failure) = (0, None);
        let next = flow.poll_messages(cx, |message| {
            match message.and_then(|message| flow.wire.element(message)) {
                Ok(value) => take(value),
                Err(status) => failure = Some(status),
            }
            taken += 1;
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
    fn send(&self, elements: impl Iterator<Item = Result<Value, TooLarge>>) -> Option<usize> {
        self.0.progressed();
        let flow = self.flow();
        let (mut failure, mut bytes) = (None, 0);
        let ready = elements.map_while(|element| {
            let message = match element {
                Ok(element) => flow.wire.message(element),
                Err(TooLarge) => Err(Status::new(Code::ResourceExhausted, "a message of the reply takes more than the limit host-call")),
            };
            message.inspect(|message| bytes += message.size()).map_err(|status| failure = Some(status)).ok()
        });
        let ready = ready.collect();
        flow.reply.push(ready);
        match failure {
            None => Some(bytes),
            Some(status) => {
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
