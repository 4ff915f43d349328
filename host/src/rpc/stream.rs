//! Calls with streams: messages on their way in and out, one after the other.
//!
//! Nothing is read ahead of whoever polls, so a slow reader slows its writer down to the socket or to
//! the guest on the other side.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::Stream;
use http::HeaderMap;

use super::{Caller, Form, Payload, Plan};
use crate::status::Status;

/// Messages on their way in, each one whole; small ones of an edge's may come as a [`super::Run`].
///
/// It ends with `None` when the caller has sent its last one. An error ends the call: the caller
/// broke the protocol or went away, and what comes after is not asked for.
pub type Messages = Pin<Box<dyn Stream<Item = Result<Payload, Status>> + Send>>;

/// A call on its way to a handler, of any kind: how many messages its [`StreamRequest::messages`]
/// brings depends on the endpoint's kind.
pub struct StreamRequest {
    /// How messages are written, and how the reply's are to be.
    pub form: Form,
    /// The headers as they came, the protocol's own among them; see [`super::metadata`].
    pub headers: HeaderMap,
    /// When the caller stops waiting. The service's own limit may be sooner.
    pub deadline: Option<Instant>,
    /// Who calls.
    pub caller: Caller,
    /// A second call does no more than the first; see [`super::Request::idempotent`].
    pub idempotent: bool,
    /// How values are written where the callee is elsewhere; see [`super::Request::plan`].
    pub plan: Option<Arc<dyn Plan>>,
    /// The caller's messages.
    pub messages: Messages,
}

/// What a reply brings after its headers.
#[derive(Debug)]
pub enum Event {
    /// A message in the form of the request, or a [`super::Run`] of them.
    Message(Payload),
    /// The last event: the trailers of a call that went well, or how it failed.
    End(Result<HeaderMap, Status>),
}

/// The events of a reply. The last one is [`Event::End`]; a stream that ends without it has failed.
/// Dropping it cancels the call.
pub type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A reply that has begun.
pub struct StreamReply {
    /// Metadata to send before the first message.
    pub headers: HeaderMap,
    /// What follows.
    pub events: Events,
}

/// What a handler returns for a call with streams. It resolves when the reply begins, which may be
/// before the first message came in. Dropping it cancels the call.
pub type OpenFuture = Pin<Box<dyn Future<Output = Result<StreamReply, Status>> + Send>>;
