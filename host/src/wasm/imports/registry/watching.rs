//! What a guest is told while it watches. Nothing is kept for it but what it was told already: what it has
//! not read yet is looked at when it reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};
use wasmtime::{Result, StoreContextMut};

use super::wire::{self, Change, Error, Offer};
use crate::registry::{Outlook, Seen};
use crate::wasm::state::State;

/// Watches of one instance at once: each keeps what it has told.
pub const MAX_WATCHES: usize = 16;

/// Changes that a guest is told at one read.
const MAX_BATCH: usize = 64;

/// The watches of an instance.
#[derive(Debug, Default)]
pub struct Watches(Arc<()>);

/// One of them; it counts until it is dropped.
pub struct Watch {
    _counted: Arc<()>,
}

impl Watches {
    /// Counts one more.
    pub(super) fn begin(&self) -> std::result::Result<Watch, Error> {
        // One is the instance's own. Only the code of one store asks, and so one at a time.
        if Arc::strong_count(&self.0) > MAX_WATCHES {
            return Err(Error::TooManyWatches(wire::count(MAX_WATCHES)));
        }
        Ok(Watch { _counted: Arc::clone(&self.0) })
    }
}

/// A watch that a guest reads.
pub(super) struct Reading {
    _watch: Watch,
    outlook: Arc<Outlook>,
    seen: Pin<Box<dyn Stream<Item = Seen> + Send>>,
}

impl Reading {
    pub fn new(watch: Watch, outlook: &Arc<Outlook>, service: Option<String>) -> Reading {
        Reading { _watch: watch, outlook: Arc::clone(outlook), seen: Box::pin(outlook.watch(service)) }
    }

    fn told(&self, seen: Seen) -> Change {
        match seen {
            Seen::Put(offer) => Change::Put(Offer::of(&offer.interface().name, &offer, self.outlook.now().is_own(&offer.node))),
            Seen::Gone { service, node } => Change::gone(service, node),
            Seen::Complete => Change::Complete,
        }
    }
}

impl StreamProducer<State> for Reading {
    type Item = Change;
    type Buffer = VecBuffer<Change>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, Change, VecBuffer<Change>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let room = destination.remaining(store).unwrap_or(MAX_BATCH).min(MAX_BATCH);
        let mut changes = Vec::new();
        let mut result = StreamResult::Completed;
        while changes.len() < room {
            match self.seen.as_mut().poll_next(cx) {
                Poll::Ready(Some(seen)) => changes.push(self.told(seen)),
                Poll::Ready(None) => {
                    result = StreamResult::Dropped;
                    break;
                }
                Poll::Pending if !changes.is_empty() => break,
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        destination.set_buffer(VecBuffer::from(changes));
        Poll::Ready(Ok(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_so_many_watches_at_once_and_no_more() {
        let watches = Watches::default();
        let mut some: Vec<Watch> = (0..MAX_WATCHES).map(|_| watches.begin().expect("there is room")).collect();
        assert!(matches!(watches.begin(), Err(Error::TooManyWatches(16))));
        some.pop();
        assert!(watches.begin().is_ok());
    }
}
