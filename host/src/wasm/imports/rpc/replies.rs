//! The reply to a call with streams, from the service that was called to the guest that called.
//!
//! The call goes on whether the guest looks or not, until it would have to keep messages: those stay
//! where they are until the guest reads.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::abortable;
use futures::task::AtomicWaker;
use http::HeaderMap;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use wasmtime::component::FutureReader;
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::wire::{Error, Replies};
use crate::middleware::Calling;
use crate::rpc::{Event, Events, Payload, StreamReply};
use crate::schema::Value;
use crate::status::{Code, Status};
use crate::wasm::call::{Call, Held};
use crate::wasm::imports::metadata::told;
use crate::wasm::peers::{gone, received};
use crate::wasm::state::State;

/// Has a call made, for the call `origin` if it is for one. What of it the guest drops tells what it no
/// longer wants: without the messages the call is canceled.
pub fn begin(mut store: StoreContextMut<'_, State>, calling: Calling<StreamReply>, origin: Option<Arc<Call>>) -> Result<Replies> {
    let (headers, told_headers) = oneshot::channel();
    let (ending, told_ending) = oneshot::channel();
    let under_way = Arc::new_cyclic(|me| UnderWay {
        phase: Mutex::new(Phase::Opening { headers, ending }),
        reading: AtomicWaker::new(),
        task: tokio::spawn(attend(Weak::clone(me), calling, origin)).abort_handle(),
    });
    let headers = async move {
        let headers: HeaderMap = told_headers.await.unwrap_or_default();
        Result::<_>::Ok(told(&headers))
    };
    let ending = async move {
        let ending = told_ending.await.unwrap_or_else(|_| Err(unread()));
        Result::<_>::Ok(ending.map(|trailers: HeaderMap| told(&trailers)).map_err(|status: Status| Error::of(&status)))
    };
    Ok(Replies {
        headers: FutureReader::new(store.as_context_mut(), headers)?,
        messages: received(store.as_context_mut(), Box::pin(Reading(under_way)))?,
        ending: FutureReader::new(store, ending)?,
    })
}

fn unread() -> Status {
    Status::new(Code::Canceled, "the reply was dropped before its end")
}

/// Awaits the reply's beginning, and ends the call when the one that it was made for is left.
async fn attend(under_way: Weak<UnderWay>, calling: Calling<StreamReply>, origin: Option<Arc<Call>>) {
    let me = Weak::clone(&under_way);
    let attended = async move {
        let opened = calling.await;
        if let Some(under_way) = me.upgrade() {
            under_way.opened(opened);
        }
        std::future::pending::<()>().await;
    };
    let Some(origin) = origin else { return attended.await };
    let (attended, abort) = abortable(attended);
    let _held = Held::new(origin, abort);
    // It only ever ends by being aborted.
    let _ = attended.await;
    if let Some(under_way) = under_way.upgrade() {
        under_way.fail(gone());
    }
}

/// Tells how the messages ended.
type Ending = oneshot::Sender<std::result::Result<HeaderMap, Status>>;

enum Phase {
    Opening { headers: oneshot::Sender<HeaderMap>, ending: Ending },
    Flowing { events: Events, ending: Ending },
    Over,
}

/// A call that is under way. Dropping it cancels it.
struct UnderWay {
    phase: Mutex<Phase>,
    /// Wakes the guest's reader.
    reading: AtomicWaker,
    task: AbortHandle,
}

impl UnderWay {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("no holder panics")
    }

    fn opened(&self, opened: std::result::Result<StreamReply, Status>) {
        let reply = match opened {
            Ok(reply) => reply,
            Err(status) => return self.fail(status),
        };
        let mut phase = self.phase();
        if let Phase::Opening { headers, ending } = std::mem::replace(&mut *phase, Phase::Over) {
            // The guest may have dropped the future.
            drop(headers.send(reply.headers));
            *phase = Phase::Flowing { events: reply.events, ending };
        }
        drop(phase);
        self.reading.wake();
    }

    fn fail(&self, status: Status) {
        // Taken out first: dropping events can wake others.
        let phase = std::mem::replace(&mut *self.phase(), Phase::Over);
        if let Phase::Opening { ending, .. } | Phase::Flowing { ending, .. } = phase {
            drop(ending.send(Err(status)));
        }
        self.reading.wake();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The messages of a call, for the guest to read. How they end is told apart from them.
struct Reading(Arc<UnderWay>);

impl Stream for Reading {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let under_way = &*self.0;
        under_way.reading.register(cx.waker());
        let mut phase = under_way.phase();
        let result = match &mut *phase {
            Phase::Opening { .. } => return Poll::Pending,
            Phase::Over => return Poll::Ready(Some(Event::End(Ok(HeaderMap::new())))),
            Phase::Flowing { events, .. } => match std::task::ready!(events.as_mut().poll_next(cx)) {
                Some(Event::Message(Payload::Bytes(bytes))) => {
                    return Poll::Ready(Some(Event::Message(Payload::Value(Value::Bytes(bytes.into())))));
                }
                Some(Event::Message(_)) => Err(Status::new(Code::Internal, "a call of bytes was answered with values")),
                Some(Event::End(result)) => result,
                None => Err(Status::new(Code::Internal, "the service's reply broke off")),
            },
        };
        let over = std::mem::replace(&mut *phase, Phase::Over);
        drop(phase);
        if let Phase::Flowing { ending, .. } = over {
            drop(ending.send(result));
        }
        under_way.task.abort();
        Poll::Ready(Some(Event::End(Ok(HeaderMap::new()))))
    }
}
