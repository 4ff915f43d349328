//! The body of a request: messages go out as they come in, and not before the host takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::{oneshot, watch};

use super::codec::Codec;
use super::frame::framed;
use super::input::{Input, Message};
use super::protocol::Layout;
use crate::failure::{Failure, Outcome};

/// A body of either kind.
pub type Body = UnsyncBoxBody<Bytes, h2::Error>;

/// How far a call has come.
#[derive(Default)]
pub struct Progress {
    /// Messages handed to the connection.
    pub sent: AtomicU64,
    /// Messages that came.
    pub came: AtomicU64,
}

/// What is to be sent.
pub struct Outgoing {
    pub body: Body,
    /// Of a body that streams.
    pub outlet: Option<Outlet>,
}

/// What remains with the caller of a body that streams.
pub struct Outlet {
    /// Why there are no more messages, if something is wrong with the input.
    pub failed: oneshot::Receiver<Failure>,
    /// The body lasts as long as this. Dropped, a body that has not ended cancels the call.
    _alive: watch::Sender<()>,
}

/// The body of one message.
pub fn single(message: Message, codec: &Codec, layout: Layout, progress: &Progress) -> Outcome<Outgoing> {
    let message = codec.encode(message)?;
    let bytes = if layout == Layout::Bare { message } else { framed(&message)? };
    progress.sent.fetch_add(1, Relaxed);
    Ok(Outgoing { body: Full::new(bytes).map_err(|never| match never {}).boxed_unsync(), outlet: None })
}

/// A body of frames, one for each message of the input; the end of the input is its end.
pub fn many(input: Input, codec: Codec, progress: Arc<Progress>) -> Outgoing {
    let (tell, failed) = oneshot::channel();
    let (alive, ended) = watch::channel(());
    let source = Source { input, codec, progress, ended, tell };
    let body = BodyExt::boxed_unsync(StreamBody::new(stream::unfold(Some(source), step)));
    Outgoing { body, outlet: Some(Outlet { failed, _alive: alive }) }
}

struct Source {
    input: Input,
    codec: Codec,
    progress: Arc<Progress>,
    ended: watch::Receiver<()>,
    tell: oneshot::Sender<Failure>,
}

/// The next frame; after an error there is none.
async fn step(source: Option<Source>) -> Option<(Result<Frame<Bytes>, h2::Error>, Option<Source>)> {
    let mut source = source?;
    let message = tokio::select! {
        biased;
        // Nothing is ever sent there, so this is the outlet's end.
        _ = source.ended.changed() => return Some((Err(cancel()), None)),
        message = source.input.next() => message,
    };
    let frame = match message {
        Ok(None) => return None,
        Ok(Some(message)) => source.codec.encode(message).and_then(|message| framed(&message)),
        Err(failure) => Err(failure),
    };
    match frame {
        Ok(frame) => {
            source.progress.sent.fetch_add(1, Relaxed);
            Some((Ok(Frame::data(frame)), Some(source)))
        }
        Err(failure) => {
            // A reset takes back what still waits to be written, so the connection has its turn first.
            tokio::task::yield_now().await;
            // Nobody listens where the call is over anyhow.
            let _ = source.tell.send(failure);
            Some((Err(cancel()), None))
        }
    }
}

/// What makes hyper reset the stream with this very reason.
fn cancel() -> h2::Error {
    h2::Reason::CANCEL.into()
}
