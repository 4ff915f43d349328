//! A call with streams: the caller's messages go out and the reply's come in, each at the pace of whoever
//! reads them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::{Stream, stream};
use h2::RecvStream;
use http::{HeaderMap, Request};
use tokio::task::AbortHandle;
use tokio::time::{Sleep, sleep_until};

use super::fault::{self, late, lost};
use super::head::{self, Began};
use super::line::Place;
use super::manner::Manner;
use super::pool::Pool;
use super::sending::Sending;
use crate::rpc::envelope::Pieces;
use crate::rpc::{Event, Messages, StreamReply};
use crate::status::Status;

/// Makes a call; resolves when its reply begins. Dropping the future, or the reply's events, cancels it.
pub async fn open(
    pool: Arc<Pool>,
    head: Request<()>,
    manner: Manner,
    messages: Messages,
    deadline: Option<Instant>,
) -> Result<StreamReply, Status> {
    let limit = pool.target.context.bounds.message;
    let manner = Arc::new(manner);
    let (mut response, send) = pool.turn(deadline).await?.begin(head)?;
    let mut sending = Some(Sending::new(send, Arc::clone(&manner), limit, messages));
    let mut late_at = deadline.map(|deadline| Box::pin(sleep_until(deadline.into())));
    let response = poll_fn(|cx| {
        if let Some(Poll::Ready(sent)) = sending.as_mut().map(|sending| sending.poll(cx)) {
            sending = None;
            sent?;
        }
        if let Poll::Ready(response) = response.poll(cx) {
            return Poll::Ready(response.map_err(|error| lost(error, false)));
        }
        poll_late(&mut late_at, cx).map(|()| Err(late()))
    });
    let (response, place) = response.await?;
    let (head, body) = response.into_parts();
    let headers = match head::began(head) {
        Began::Reply(headers) => headers,
        Began::Ended(Err(status)) => return Err(manner.failed(status, false)),
        Began::Ended(Ok(trailers)) => {
            let events = Box::pin(stream::iter([Event::End(Ok(trailers))]));
            return Ok(StreamReply { headers: HeaderMap::new(), events });
        }
    };
    let broken = Arc::new(Mutex::new(None));
    // What is left of the caller's messages does not wait for somebody to read the reply.
    let sending = sending.map(|mut sending| {
        let broken = Arc::clone(&broken);
        let task = async move {
            if let Err(status) = poll_fn(|cx| sending.poll(cx)).await {
                // Before the reply hears of it.
                *broken.lock().expect("no holder panics") = Some(status);
                sending.cancel();
            }
        };
        Task(pool.target.context.lanes.spawn_on(pool.lane, task).abort_handle())
    });
    let pieces = Pieces::default();
    let replies = Replies { body: Some(body), pieces, manner, limit, late: late_at, broken, sending, _place: place };
    Ok(StreamReply { headers, events: Box::pin(replies) })
}

/// Ready when it is too late.
fn poll_late(late: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    late.as_mut().map_or(Poll::Pending, |late| late.as_mut().poll(cx))
}

/// A task that ends when nobody needs it.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The events of a reply.
struct Replies {
    /// `None` once the call is over.
    body: Option<RecvStream>,
    pieces: Pieces,
    manner: Arc<Manner>,
    limit: usize,
    late: Option<Pin<Box<Sleep>>>,
    /// How the caller's own messages failed, where they did.
    broken: Arc<Mutex<Option<Status>>>,
    sending: Option<Task>,
    _place: Place,
}

impl Replies {
    /// The next event of a call that is not over.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Status>> {
        let Some(body) = &mut self.body else { return Poll::Pending };
        loop {
            match self.pieces.take(self.limit) {
                Ok(Some((false, message))) => return Poll::Ready(self.manner.read(message).map(Event::Message)),
                Ok(Some((true, _))) => return Poll::Ready(Err(fault::packed())),
                Ok(None) => {}
                Err(wrong) => return Poll::Ready(Err(fault::garbled(wrong, self.limit))),
            }
            if poll_late(&mut self.late, cx).is_ready() {
                return Poll::Ready(Err(late()));
            }
            // Where the caller's own messages failed, that is why.
            let broken = |error| self.broken.lock().expect("no holder panics").take().unwrap_or_else(|| lost(error, true));
            match ready!(body.poll_data(cx)) {
                Some(Ok(piece)) => {
                    // It fails only for more than came.
                    let _ = body.flow_control().release_capacity(piece.len());
                    self.pieces.push(piece);
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => {
                    let trailers = ready!(body.poll_trailers(cx)).map_err(broken)?;
                    let ended = head::ended(trailers, HeaderMap::new()).map_err(|status| self.manner.failed(status, true))?;
                    let whole = self.pieces.is_between();
                    return Poll::Ready(if whole { Ok(Event::End(Ok(ended))) } else { Err(fault::cut()) });
                }
            }
        }
    }
}

impl Stream for Replies {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.body.is_none() {
            return Poll::Ready(None);
        }
        let event = ready!(self.poll_event(cx)).unwrap_or_else(|status| Event::End(Err(status)));
        if let Event::End(_) = event {
            // Cancels what the other host still does for it.
            (self.body, self.sending) = (None, None);
        }
        Poll::Ready(Some(event))
    }
}
