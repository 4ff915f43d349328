//! Streams between two guests, as values: what one writes goes through a bounded pipe to the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::oneshot;
use wasmtime::component::{Destination, FutureProducer, FutureReader, StreamProducer, StreamReader, StreamResult, VecBuffer};
use wasmtime::{Result, StoreContextMut};

use super::Came;
use super::sent::{Chunks, Items, MAX_BATCH, One, written};
use crate::rpc::{Event, Events, Messages, Payload, StreamReply};
use crate::schema::{Flowing, Handle, Method, Passing, Schema, Value};
use crate::status::{Code, Status};
use crate::wasm::abi::Item;
use crate::wasm::call::Call;
use crate::wasm::state::State;
use crate::wasm::streams::hand_on;

type Polled<T> = Poll<Result<T>>;

/// The messages of a call with streams, from what the guest passed.
pub fn messages(mut store: StoreContextMut<'_, State>, method: &Method, mut args: Vec<Value>) -> Result<Messages> {
    let passing = method.takes();
    if passing == Passing::Values {
        return Ok(Box::pin(stream::iter([Ok(Payload::Value(Value::Record(args)))])));
    }
    let foreign = || wasmtime::format_err!("a stream of another type than the function's own");
    let Some(Value::Handle(handle)) = args.pop() else { return Err(foreign()) };
    let (end, messages) = written(store.data(), Payload::Value);
    match passing {
        Passing::Values => return Err(foreign()),
        Passing::Stream => handle.take::<StreamReader<Item>>().ok_or_else(foreign)?.pipe(&mut store, Items(end))?,
        Passing::Bytes => handle.take::<StreamReader<u8>>().ok_or_else(foreign)?.pipe(&mut store, Chunks(end))?,
        Passing::Future => handle.take::<FutureReader<Item>>().ok_or_else(foreign)?.pipe(&mut store, One(end))?,
    }
    Ok(messages)
}

/// What a reply brings: all of it, where it does not stream.
pub async fn came(reply: StreamReply, streams: bool) -> std::result::Result<Came, Status> {
    let mut events = reply.events;
    if streams {
        return Ok(Came::Replies(events));
    }
    let mut value = None;
    loop {
        match events.next().await {
            Some(Event::Message(payload)) => value = Some(payload),
            Some(Event::End(Ok(_))) => return value.map(Came::Value).ok_or_else(broke_off),
            Some(Event::End(Err(status))) => return Err(status),
            None => return Err(broke_off()),
        }
    }
}

fn broke_off() -> Status {
    Status::new(Code::Internal, "the service's reply broke off")
}

/// The stream of a reply whose end is told otherwise, for the guest to read.
pub fn received(store: StoreContextMut<'_, State>, events: Events) -> Result<StreamReader<Item>> {
    StreamReader::new(store, InItems(In { events: Some(events), ends: None, chunk: Bytes::new(), due: false }))
}

/// The stream of a reply, for the guest to read.
pub fn replies(
    mut store: StoreContextMut<'_, State>,
    schema: &Arc<Schema>,
    at: (usize, usize),
    events: Events,
    origin: &Option<Arc<Call>>,
) -> Result<Flowing> {
    let method = &schema.needs[at.0].methods[at.1];
    let (told, ending) = oneshot::channel();
    let has_ending = method.has_ending();
    let ends = if has_ending { Ends::Told(told) } else { Ends::Untold(origin.clone()) };
    let come = In { events: Some(events), ends: Some(ends), chunk: Bytes::new(), due: method.returns() == Passing::Future };
    let items = match method.returns() {
        Passing::Bytes => Handle::new(StreamReader::new(&mut store, InBytes(come))?),
        Passing::Future => Handle::new(FutureReader::new(&mut store, InOne(come))?),
        Passing::Stream | Passing::Values => Handle::new(StreamReader::new(&mut store, InItems(come))?),
    };
    let ending = if has_ending {
        let (schema, origin) = (Arc::clone(schema), origin.clone());
        let ending = async move {
            let result = ending.await.unwrap_or_else(|_| Err(Status::new(Code::Canceled, "the stream was not read to its end")));
            let Err(mut status) = result else { return Ok(Item::Value(Ok(Value::Variant(0, None)))) };
            let method = &schema.needs[at.0].methods[at.1];
            match status.take_value::<Value>().or_else(|| method.ending(&status)) {
                Some(value) => wasmtime::Result::Ok(Item::Value(Ok(value))),
                None => unsayable(status, origin).await,
            }
        };
        Some(Handle::new(FutureReader::new(&mut store, ending)?))
    } else {
        None
    };
    Ok(Flowing { items, ending })
}

/// Ends the call that a failure was met in, where the guest cannot be told; it is not to go on.
async fn unsayable<T>(status: Status, origin: Option<Arc<Call>>) -> Result<T> {
    match origin {
        Some(call) => {
            call.fail(status);
            std::future::pending().await
        }
        None => Err(super::inexpressible(&status)),
    }
}

/// Who hears how the messages ended.
enum Ends {
    /// The future beside the stream.
    Told(oneshot::Sender<std::result::Result<(), Status>>),
    /// Nobody: a failure ends the call that the stream is read in.
    Untold(Option<Arc<Call>>),
}

/// The messages of a reply.
struct In {
    /// `None` once they have ended.
    events: Option<Events>,
    ends: Option<Ends>,
    /// What of the last chunk the guest has not had room for.
    chunk: Bytes,
    /// A message has to come yet: a future has one, or its reply has failed.
    due: bool,
}

/// What there is for a guest that reads.
enum Next {
    Value(Value),
    End,
}

impl In {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Polled<Next> {
        let Some(events) = &mut self.events else { return Poll::Ready(Ok(Next::End)) };
        let result = match std::task::ready!(events.as_mut().poll_next(cx)) {
            Some(Event::Message(payload)) => match payload.value() {
                Ok(value) => {
                    self.due = false;
                    return Poll::Ready(Ok(Next::Value(value)));
                }
                Err(status) => Err(status),
            },
            // The guest would wait for it as long as it lives.
            Some(Event::End(Ok(_))) if self.due => Err(broke_off()),
            Some(Event::End(result)) => result.map(drop),
            None => Err(broke_off()),
        };
        self.events = None;
        match (self.ends.take(), result) {
            (Some(Ends::Told(told)), result) => {
                // The guest may have dropped the future.
                drop(told.send(result));
                Poll::Ready(Ok(Next::End))
            }
            (Some(Ends::Untold(call)), Err(status)) => match call {
                // An end would look like a good one.
                Some(call) => {
                    call.fail(status);
                    Poll::Pending
                }
                None => Poll::Ready(Err(super::inexpressible(&status))),
            },
            _ => Poll::Ready(Ok(Next::End)),
        }
    }
}

struct InItems(In);

impl StreamProducer<State> for InItems {
    type Item = Item;
    type Buffer = VecBuffer<Item>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, Item, VecBuffer<Item>>,
        finish: bool,
    ) -> Polled<StreamResult> {
        let room = destination.remaining(store).unwrap_or(MAX_BATCH).min(MAX_BATCH);
        let mut items = Vec::new();
        let mut result = StreamResult::Completed;
        while items.len() < room {
            match self.0.poll_next(cx) {
                Poll::Ready(Ok(Next::Value(value))) => items.push(Item::Value(Ok(value))),
                Poll::Ready(Ok(Next::End)) => {
                    result = StreamResult::Dropped;
                    break;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if !items.is_empty() => break,
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        destination.set_buffer(VecBuffer::from(items));
        Poll::Ready(Ok(result))
    }
}

struct InBytes(In);

impl StreamProducer<State> for InBytes {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Polled<StreamResult> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let me = &mut self.get_mut().0;
        // Empty chunks carry nothing that a stream of bytes could show.
        while me.chunk.is_empty() {
            match me.poll_next(cx) {
                Poll::Ready(Ok(Next::Value(Value::Bytes(chunk)))) => me.chunk = chunk.into(),
                Poll::Ready(Ok(Next::Value(_))) => return Poll::Ready(Err(wasmtime::format_err!("a chunk that is no bytes"))),
                Poll::Ready(Ok(Next::End)) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        hand_on(destination, store, &mut me.chunk);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

struct InOne(In);

impl FutureProducer<State> for InOne {
    type Item = Item;

    fn poll_produce(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: StoreContextMut<State>, finish: bool) -> Polled<Option<Item>> {
        match self.0.poll_next(cx) {
            Poll::Ready(Ok(Next::Value(value))) => Poll::Ready(Ok(Some(Item::Value(Ok(value))))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // A future has no way to say that nothing will come.
            Poll::Ready(Ok(Next::End)) | Poll::Pending if finish => Poll::Ready(Ok(None)),
            Poll::Ready(Ok(Next::End)) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// What a guest reads of a reply without a message that has ended well.
    fn read(due: bool) -> Polled<Next> {
        let events: Events = Box::pin(stream::iter([Event::End(Ok(HeaderMap::new()))]));
        let mut come = In { events: Some(events), ends: Some(Ends::Untold(None)), chunk: Bytes::new(), due };
        come.poll_next(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_stream_may_be_empty_and_a_future_may_not() {
        assert!(matches!(read(false), Poll::Ready(Ok(Next::End))));
        let Poll::Ready(Err(error)) = read(true) else { panic!("a future without a value is a failure") };
        assert!(error.to_string().contains("broke off"), "{error}");
    }
}
