//! From the guest to the caller: what the guest writes is taken while the reply has room.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::StoreContextMut;
use wasmtime::component::{FutureConsumer, Source, StreamConsumer, StreamResult};

use super::{Polled, Side};
use crate::wasm::abi::{self, Item};
use crate::wasm::call::Call;
use crate::wasm::state::State;

/// Elements that are taken at once.
const MAX_BATCH: usize = 256;

/// Elements that are taken at once before it is known how large the guest's are.
const FIRST_BATCH: usize = 4;

/// Bytes of a `stream<u8>` that make a message at most.
const CHUNK: usize = 64 << 10;

/// Whether there is room for more of the reply.
enum Room {
    Is,
    Later,
    Never,
}

fn room(side: &Side, cx: &mut Context<'_>) -> Room {
    match side.flow().reply.poll_room(cx) {
        Poll::Ready(true) => Room::Is,
        Poll::Ready(false) => Room::Never,
        Poll::Pending => Room::Later,
    }
}

fn wait(finish: bool) -> Polled<StreamResult> {
    if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending }
}

/// `stream<t>`
pub struct Elements {
    side: Side,
    batch: usize,
}

impl Elements {
    pub fn of(call: &Arc<Call>) -> Elements {
        Elements { side: Side(Arc::clone(call)), batch: FIRST_BATCH }
    }
}

impl StreamConsumer<State> for Elements {
    type Item = Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<State>,
        mut source: Source<'_, Item>,
        finish: bool,
    ) -> Polled<StreamResult> {
        let mut taken = 0;
        loop {
            match room(&self.side, cx) {
                Room::Is => {}
                Room::Never => return Poll::Ready(Ok(StreamResult::Dropped)),
                Room::Later if taken > 0 => return Poll::Ready(Ok(StreamResult::Completed)),
                Room::Later => return wait(finish),
            }
            let count = source.remaining(&mut store).min(self.batch);
            if count == 0 {
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            let lifted = abi::read(&mut source, &mut store, taken, count)?;
            taken += lifted.len();
            let Some(bytes) = self.side.send(lifted) else {
                return Poll::Ready(Ok(StreamResult::Dropped));
            };
            // Small elements are taken by the hundred, large ones one by one.
            self.batch = (self.side.flow().reply.room() / (bytes / count).max(1)).clamp(1, MAX_BATCH);
        }
    }
}

impl Drop for Elements {
    fn drop(&mut self) {
        self.side.flow().reply.items_over();
    }
}

/// `stream<u8>`
pub struct Chunks(Side);

impl Chunks {
    pub fn of(call: &Arc<Call>) -> Chunks {
        Chunks(Side(Arc::clone(call)))
    }
}

impl StreamConsumer<State> for Chunks {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<State>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Polled<StreamResult> {
        match room(&self.0, cx) {
            Room::Is => {}
            Room::Never => return Poll::Ready(Ok(StreamResult::Dropped)),
            Room::Later => return wait(finish),
        }
        if source.remaining(&mut store) == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut direct = source.as_direct(store);
        let bytes = direct.remaining();
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        let (count, sent) = (chunk.len(), self.0.send_chunk(chunk));
        direct.mark_read(count);
        Poll::Ready(Ok(if sent.is_some() { StreamResult::Completed } else { StreamResult::Dropped }))
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.0.flow().reply.items_over();
    }
}

/// A future that the guest resolves once.
pub struct Once {
    side: Side,
    says: Says,
}

/// What the value of a future is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// `future<t>`: the one message of the reply.
    Message,
    /// `future<result<_, e>>` beside a stream: how it ended.
    Ending,
}

impl Once {
    /// The one message of the reply.
    pub fn message(call: &Arc<Call>) -> Once {
        Once { side: Side(Arc::clone(call)), says: Says::Message }
    }

    /// How the stream of the reply ended.
    pub fn ending(call: &Arc<Call>) -> Once {
        Once { side: Side(Arc::clone(call)), says: Says::Ending }
    }
}

impl FutureConsumer<State> for Once {
    type Item = Item;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<State>,
        mut source: Source<'_, Item>,
        _: bool,
    ) -> Polled<()> {
        let lifted = abi::read(&mut source, store, 0, 1)?;
        match self.says {
            // There is one message: it needs no room.
            Says::Message => drop(self.side.send(lifted)),
            Says::Ending => lifted.each(|ending| {
                match ending.into_value() {
                    Ok(value) => self.side.flow().reply.settle(self.side.flow().wire.ended(value)),
                    Err(too_large) => self.side.fail(too_large.into()),
                }
                true
            }),
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        if self.says == Says::Message {
            self.side.flow().reply.items_over();
        }
    }
}
