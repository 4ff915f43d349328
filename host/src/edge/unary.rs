//! One unary call, the same in every protocol once its request is read; and what the calls of a
//! connection share, of any kind.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::Edge;
use super::activity::{Activity, UnsentGuard};
use crate::middleware::{self, MAX_DEPTH};
use crate::rpc::{self, Caller, DEPTH, Form, Request, Route};
use crate::schema::Codec;
use crate::status::{Code, Status};

/// How long past its deadline a call is waited for. Handlers keep deadlines themselves, with better
/// messages; this is for one that does not.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// Replies from this size on count as unsent until the client has taken them.
const COUNTED: usize = 16 << 10;

/// Bytes of replies that one connection may leave untaken; with more it gets no new call.
const MAX_UNSENT: usize = 32 << 20;

/// The same for streams. A stream holds a message or two and is read at its own pace, so that a
/// connection of many holds more than one of whole replies, and for longer.
pub(super) const MAX_STREAMED: usize = 256 << 20;

/// What the calls of one connection share.
pub(super) struct Peer {
    pub(super) edge: Arc<Edge>,
    /// Where it is; nowhere that has an address for one that came by NATS.
    pub(super) address: Option<rpc::Peer>,
    pub(super) activity: Arc<Activity>,
}

impl Peer {
    /// Who calls, for the handler.
    ///
    /// Another host says how deep its call is, and by that gets no more than anybody else. Which service of
    /// it calls is not taken from anybody: whoever can connect could say any name.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        let depth = headers.get(DEPTH).map_or(0, |value| depth(value.as_bytes()));
        Caller { peer: self.address, service: None, depth }
    }

    /// Whether the connection is one of TLS: sockets of the machine need none, and NATS has its own.
    pub(super) fn is_secure(&self) -> bool {
        self.edge.secure && self.address.is_some_and(|address| address.is_of_network())
    }

    /// Counts a reply as unsent where it is large.
    pub(super) fn hold(&self, length: usize) -> Option<UnsentGuard> {
        (length >= COUNTED).then(|| self.activity.hold(length))
    }

    /// Refuses a call of a client that leaves too much unread.
    pub(super) fn admit(&self) -> Result<(), Status> {
        let (whole, streamed) = self.activity.unsent();
        if whole > MAX_UNSENT || streamed > MAX_STREAMED {
            return Err(Status::new(
                Code::ResourceExhausted,
                "this connection has too many replies that are not read yet: read them first",
            ));
        }
        Ok(())
    }
}

/// The depth that a header says, at most where it stops all calls. What is no number stops them too.
fn depth(text: &[u8]) -> u32 {
    let said = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    said.unwrap_or(MAX_DEPTH).min(MAX_DEPTH)
}

/// What a caller is told whose deadline has passed.
pub(super) fn late() -> Status {
    Status::new(Code::DeadlineExceeded, "the deadline passed before the call was done")
}

/// A reply on its way out.
pub(super) struct Answer {
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
}

/// A call whose request is read.
pub(super) struct Call {
    pub(super) route: Route,
    pub(super) codec: Codec,
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) deadline: Option<Instant>,
}

impl Call {
    /// Has the call served.
    pub(super) async fn run(self, peer: &Peer) -> Result<Answer, Status> {
        peer.admit()?;
        let Call { route, codec, body, headers, deadline } = self;
        let (form, caller, idempotent) = (Form::Encoded(codec), peer.caller(&headers), route.endpoint.safe);
        let request = Request { form, body: body.into(), headers, deadline, caller, idempotent, plan: None };
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(late());
        }
        let mut serving = pin!(middleware::serve(route, request));
        let reply = match deadline.and_then(|deadline| deadline.checked_add(GRACE)) {
            None => serving.await,
            Some(limit) => Box::pin(tokio::time::timeout_at(limit.into(), serving.as_mut())).await.unwrap_or_else(|_| Err(late())),
        }?;
        Ok(Answer { body: reply.body.bytes()?, headers: reply.headers, trailers: reply.trailers })
    }
}
