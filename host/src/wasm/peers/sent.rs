//! Messages that a guest sends to another service: from its stream, through a bounded pipe.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use futures::Stream;
use wasmtime::component::{FutureConsumer, Source, StreamConsumer, StreamResult};
use wasmtime::{Result, StoreContextMut};

use crate::rpc::{Messages, Payload};
use crate::schema::Value;
use crate::status::{Code, Status};
use crate::wasm::abi::{self, Item, Lifted, TooLarge};
use crate::wasm::inbox::Inbox;
use crate::wasm::state::State;
use crate::wasm::streams::{Pipe, Piped};

/// Elements that are passed on at once.
pub const MAX_BATCH: usize = 256;

/// Bytes that are passed on at once.
const CHUNK: usize = 64 << 10;

type Polled<T> = Poll<Result<T>>;

/// What the callee reads.
struct Written(Arc<Pipe>);

impl Stream for Written {
    type Item = std::result::Result<Payload, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx).map(|piped| match piped {
            Piped::Message(message) => Some(Ok(message)),
            Piped::End(Ok(())) => None,
            Piped::End(Err(status)) => Some(Err(status)),
        })
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Where the guest's messages go. Its end is the end of the messages.
pub struct Sink {
    pipe: Arc<Pipe>,
    inbox: Arc<Inbox>,
    payload: fn(Value) -> Payload,
}

/// Where a guest's messages go, and what the callee reads of them: at most about the limit `stream-buffer` lies
/// between. `payload` makes messages of what the guest writes.
pub fn written(state: &State, payload: fn(Value) -> Payload) -> (Sink, Messages) {
    let State { pool, inbox, .. } = state;
    let pipe = Arc::new(Pipe::new(pool.limits().stream_buffer, Arc::clone(pool.quota())));
    pipe.settle(Ok(()));
    let sink = Sink { pipe: Arc::clone(&pipe), inbox: Arc::clone(inbox), payload };
    (sink, Box::pin(Written(pipe)))
}

impl Sink {
    /// Whether there is room; `Err` with what to answer where there is none, now or for ever.
    fn room(&self, cx: &mut Context<'_>, finish: bool) -> std::result::Result<(), Polled<StreamResult>> {
        match self.pipe.poll_room(cx) {
            Poll::Ready(true) => Ok(()),
            Poll::Ready(false) => Err(Poll::Ready(Ok(StreamResult::Dropped))),
            Poll::Pending if finish => Err(Poll::Ready(Ok(StreamResult::Cancelled))),
            Poll::Pending => Err(Poll::Pending),
        }
    }

    /// How many messages of about the size of those that came before to take at once.
    fn batch(&self, taken: usize, bytes: usize) -> usize {
        // One first: how large they are is not known before.
        let each = bytes.checked_div(taken).map_or(usize::MAX, |each| each.max(1));
        (self.pipe.room() / each).clamp(1, MAX_BATCH)
    }

    /// Sends messages on; their bytes.
    fn send(&self, items: Lifted) -> usize {
        let mut bytes = 0;
        let mut ready = Vec::with_capacity(items.len());
        let mut failure = None;
        items.each(|element| match element.into_value() {
            Ok(value) => {
                let message = (self.payload)(value);
                bytes += message.size();
                ready.push(message);
                true
            }
            Err(too_large) => {
                failure = Some(too_large);
                false
            }
        });
        self.pipe.push(ready);
        if let Some(TooLarge) = failure {
            self.pipe.fail(Status::new(Code::ResourceExhausted, "a message takes more than the limit host-call"));
        }
        bytes
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // A guest that died has not said that these were all.
        if self.inbox.ended.load(Relaxed) {
            self.pipe.fail(Status::new(Code::Canceled, "the caller ended before it had sent all of its messages"));
        }
        self.pipe.items_over();
    }
}

/// `stream<t>`
pub struct Items(pub Sink);

impl StreamConsumer<State> for Items {
    type Item = Item;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<State>,
        mut source: Source<'_, Item>,
        finish: bool,
    ) -> Polled<StreamResult> {
        let (mut taken, mut bytes) = (0, 0);
        loop {
            match self.0.room(cx, finish) {
                Ok(()) => {}
                Err(Poll::Pending | Poll::Ready(Ok(StreamResult::Cancelled))) if taken > 0 => {
                    return Poll::Ready(Ok(StreamResult::Completed));
                }
                Err(answer) => return answer,
            }
            let count = source.remaining(&mut store).min(self.0.batch(taken, bytes));
            if count == 0 {
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            let items = abi::read(&mut source, &mut store, taken, count)?;
            taken += items.len();
            bytes += self.0.send(items);
        }
    }
}

/// `stream<u8>`
pub struct Chunks(pub Sink);

impl StreamConsumer<State> for Chunks {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<State>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Polled<StreamResult> {
        if let Err(answer) = self.0.room(cx, finish) {
            return answer;
        }
        if source.remaining(&mut store) > 0 {
            let mut direct = source.as_direct(store);
            let bytes = direct.remaining();
            let chunk = bytes[..bytes.len().min(CHUNK)].to_vec();
            direct.mark_read(chunk.len());
            self.0.pipe.push(vec![(self.0.payload)(Value::Bytes(chunk))]);
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// `future<t>`
pub struct One(pub Sink);

impl FutureConsumer<State> for One {
    type Item = Item;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<State>,
        mut source: Source<'_, Item>,
        _: bool,
    ) -> Polled<()> {
        self.0.send(abi::read(&mut source, store, 0, 1)?);
        Poll::Ready(Ok(()))
    }
}
