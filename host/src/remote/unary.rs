//! A call of one message and one reply.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use tokio::time::timeout_at;

use super::fault::{self, late, lost};
use super::head::{self, Began};
use super::line::Response;
use super::manner::Manner;
use super::pool::Pool;
use crate::rpc::envelope::{self, Enveloped, Pieces};
use crate::rpc::{Payload, Reply};
use crate::status::{Code, Status};

/// Makes a call. Dropping the future cancels it.
pub async fn call(
    pool: Arc<Pool>,
    head: Request<()>,
    manner: Manner,
    message: Payload,
    deadline: Option<Instant>,
) -> Result<Reply, Status> {
    let limit = pool.target.context.bounds.message;
    let message = manner.write(message, limit)?;
    let turn = pool.turn(deadline).await?;
    let (response, mut send) = turn.begin(head)?;
    // Whole, as the caller holds it anyway; h2 sends it as the other host has room. Where the stream has ended
    // already, the response tells.
    let _ = send.send_data(Enveloped::new(envelope::head(0, message.len()), message), true);
    let mut reply = pin!(read(response, &manner, limit));
    match deadline {
        None => reply.await,
        Some(deadline) => timeout_at(deadline.into(), reply.as_mut()).await.unwrap_or_else(|_| Err(late())),
    }
}

/// Reads a reply of one message.
async fn read(mut response: Response, manner: &Manner, limit: usize) -> Result<Reply, Status> {
    let (response, _place) = poll_fn(|cx| response.poll(cx)).await.map_err(|error| lost(error, false))?;
    let (head, mut body) = response.into_parts();
    let headers = match head::began(head) {
        Began::Reply(headers) => headers,
        Began::Ended(Err(status)) => return Err(manner.failed(status, false)),
        Began::Ended(Ok(_)) => return Err(none()),
    };
    let mut pieces = Pieces::default();
    let mut message = None;
    while let Some(piece) = poll_fn(|cx| body.poll_data(cx)).await {
        let piece = piece.map_err(|error| lost(error, true))?;
        // It fails only for more than came.
        let _ = body.flow_control().release_capacity(piece.len());
        pieces.push(piece);
        while let Some((compressed, next)) = pieces.take(limit).map_err(|wrong| fault::garbled(wrong, limit))? {
            if compressed {
                return Err(fault::packed());
            }
            if message.replace(next).is_some() {
                return Err(Status::new(Code::Internal, "the other host answered a unary call with more than one message"));
            }
        }
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await.map_err(|error| lost(error, true))?;
    match head::ended(trailers, HeaderMap::new()) {
        Err(status) => Err(manner.failed(with(status, headers), false)),
        Ok(_) if !pieces.is_between() => Err(fault::cut()),
        Ok(trailers) => Ok(Reply { body: manner.read(message.ok_or_else(none)?)?, headers, trailers }),
    }
}

/// A failure with the metadata that came before it.
fn with(status: Status, before: HeaderMap) -> Status {
    if before.is_empty() {
        return status;
    }
    let mut all = before;
    all.extend(status.metadata().iter().map(|(name, value)| (name.clone(), value.clone())));
    status.with_metadata(all)
}

fn none() -> Status {
    Status::new(Code::Internal, "the other host answered well and sent no message")
}
