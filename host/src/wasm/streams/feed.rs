//! From the caller to the guest: what the guest reads is polled from the socket.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, FutureProducer, StreamProducer, StreamResult, VecBuffer};

use super::{Next, Polled, Side, Taken};
use crate::schema::Value;
use crate::status::{Code, Status};
use crate::wasm::abi::{Batch, Item};
use crate::wasm::call::Call;
use crate::wasm::state::State;

/// Elements that a guest gets at once, however many it has room for.
const MAX_BATCH: usize = 256;

/// Bytes that are passed on at once where the reader is the host itself.
const CHUNK: usize = 64 << 10;

/// `stream<t>`
pub struct Elements {
    side: Side,
    /// How many elements there were the last time.
    usual: usize,
}

impl Elements {
    pub fn of(call: &Arc<Call>) -> Elements {
        Elements { side: Side(Arc::clone(call)), usual: 0 }
    }
}

impl StreamProducer<State> for Elements {
    type Item = Item;
    type Buffer = Batch;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, Item, Batch>,
        finish: bool,
    ) -> Polled<StreamResult> {
        let room = destination.remaining(store).unwrap_or(MAX_BATCH).min(MAX_BATCH);
        if room == 0 {
            // The guest asks whether there is something; it will hear when it reads.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut batch = Batch::with_capacity(self.usual.min(room));
        let taken = self.side.poll_elements(cx, room, |element| match element {
            Taken::Value(value) => batch.push(value),
            Taken::Part { of, begins, part } => {
                if begins {
                    batch.begin(of.clone());
                }
                batch.push_part(part);
            }
        });
        let result = match taken {
            Poll::Ready(Next::End) => StreamResult::Dropped,
            Poll::Pending if batch.is_empty() && finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending if batch.is_empty() => return Poll::Pending,
            Poll::Ready(Next::More) | Poll::Pending => StreamResult::Completed,
        };
        self.usual = batch.len();
        destination.set_buffer(batch);
        Poll::Ready(Ok(result))
    }
}

/// `stream<u8>`
pub struct Chunks {
    side: Side,
    /// What of the last message the guest has not had room for.
    chunk: Bytes,
}

impl Chunks {
    pub fn of(call: &Arc<Call>) -> Chunks {
        Chunks { side: Side(Arc::clone(call)), chunk: Bytes::new() }
    }
}

impl StreamProducer<State> for Chunks {
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
        let me = self.get_mut();
        // Empty chunks carry nothing that a stream of bytes could show.
        while me.chunk.is_empty() {
            let chunk = &mut me.chunk;
            let polled = me.side.poll_elements(cx, 1, |element| match element {
                Taken::Value(Value::Bytes(bytes)) => *chunk = bytes.into(),
                Taken::Value(_) => {}
                Taken::Part { of, part, .. } => *chunk = of.slice(part),
            });
            match polled {
                Poll::Ready(Next::More) => {}
                Poll::Ready(Next::End) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        hand_on(destination, store, &mut me.chunk);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// Gives a guest that reads bytes as many of a chunk as it has room for; what is left stays in it.
pub fn hand_on(destination: Destination<'_, u8, VecBuffer<u8>>, store: StoreContextMut<'_, State>, chunk: &mut Bytes) {
    let mut direct = destination.as_direct(store, CHUNK.min(chunk.len()));
    let room = direct.remaining();
    let count = room.len().min(chunk.len());
    room[..count].copy_from_slice(&chunk[..count]);
    direct.mark_written(count);
    chunk.advance(count);
}

/// `future<t>`
pub struct One(Side);

impl One {
    pub fn of(call: &Arc<Call>) -> One {
        One(Side(Arc::clone(call)))
    }
}

impl FutureProducer<State> for One {
    type Item = Item;

    fn poll_produce(self: Pin<&mut Self>, cx: &mut Context<'_>, _: StoreContextMut<State>, finish: bool) -> Polled<Option<Item>> {
        let mut value = None;
        let polled = self.0.poll_elements(cx, 1, |element| {
            value = Some(match element {
                Taken::Value(value) => value,
                Taken::Part { of, part, .. } => Value::Bytes(of[part].to_vec()),
            });
        });
        match (polled, value) {
            (_, Some(value)) => Poll::Ready(Ok(Some(Item::Value(Ok(value))))),
            (Poll::Ready(_), None) => {
                // A future has no way to say that nothing will come: the guest waits until it goes.
                self.0.fail(Status::new(Code::Unimplemented, "the call takes one message, and the request has none"));
                self.0.0.abandon();
                if finish { Poll::Ready(Ok(None)) } else { Poll::Pending }
            }
            (Poll::Pending, None) if finish => Poll::Ready(Ok(None)),
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}
