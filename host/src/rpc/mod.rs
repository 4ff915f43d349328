//! One request, one reply, one status: what every protocol becomes at the edge, and what every
//! guest answers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use ::http::HeaderMap;

use crate::stats::EndpointStats;
use crate::status::{Code, Status};

mod channel;
pub(crate) mod envelope;
pub(crate) mod grpc;
pub(crate) mod headers;
mod http;
mod offer;
mod payload;
mod peer;
mod plan;
mod router;
mod run;
mod split;
mod stream;

pub use self::channel::Channel;
pub use self::http::{HttpBody, HttpFuture, HttpHandler, HttpRequest, HttpServed};
pub use offer::{Gateway, Offer, Route};
pub use payload::{Form, Payload};
pub use peer::Peer;
pub use plan::Plan;
pub use router::{Router, RouterError};
pub use run::{Run, RunWriter};
pub use split::Split;
pub use stream::{Event, Events, Messages, OpenFuture, StreamReply, StreamRequest};

pub use crate::schema::{Codec, MethodKind};

/// Who calls. Put on by the host alone; nothing that a client sends can change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Where the connection came from; `None` for a call from within this host.
    pub peer: Option<Peer>,
    /// The service of this host that calls, by its name in the settings; `None` for a call from outside.
    pub service: Option<Arc<str>>,
    /// How many calls of services led to this one: 0 for a call from outside. Another host says so
    /// itself, and can make its calls only deeper, so that less may follow from them.
    pub depth: u32,
}

/// A unary call on its way to a handler.
#[derive(Clone, Debug)]
pub struct Request {
    /// How [`Request::body`] is written, and how the reply's is to be.
    pub form: Form,
    /// One message.
    pub body: Payload,
    /// The headers as they came, the protocol's own among them; see [`metadata`].
    pub headers: HeaderMap,
    /// When the caller stops waiting. The service's own limit may be sooner.
    pub deadline: Option<Instant>,
    /// Who calls.
    pub caller: Caller,
    /// A second call does no more than the first: whoever passes the call on may try again where he
    /// cannot know whether the first one arrived.
    pub idempotent: bool,
    /// How values are written where the callee is elsewhere; set where [`Request::form`] is values.
    pub plan: Option<Arc<dyn Plan>>,
}

/// A unary call's answer.
#[derive(Debug, Default)]
pub struct Reply {
    /// One message in the form of the request.
    pub body: Payload,
    /// Metadata to send before the message.
    pub headers: HeaderMap,
    /// Metadata to send after the message.
    pub trailers: HeaderMap,
}

/// What a handler returns. Dropping it tells the handler that nobody waits any longer.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Reply, Status>> + Send>>;

/// Answers the calls of one endpoint.
///
/// The future that `call` returns may be dropped at any time; the work is then stopped and no other
/// call suffers. It resolves at the request's deadline at the latest.
pub trait Handler: Send + Sync {
    /// Begins a unary call. Fails with `unimplemented` where the endpoint is of another kind.
    fn call(&self, request: Request) -> CallFuture;

    /// Begins a call with streams. Fails with `unimplemented` where the endpoint is unary.
    ///
    /// The same holds for what it returns: dropped at any time, over at the deadline.
    fn open(&self, request: StreamRequest) -> OpenFuture;
}

/// What a handler of unary endpoints answers to a call with streams, and the other way round.
pub fn wrong_kind() -> Status {
    Status::new(Code::Unimplemented, "the method is not of this kind: one is unary where the other streams")
}

/// One method of one service, as callers name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The service's full name: `example.greeter.Greet`.
    pub service: Arc<str>,
    /// The method's name: `Hello`.
    pub method: Arc<str>,
    /// Free of side effects: may be called by GET and tried again.
    pub safe: bool,
    /// Which side sends more than one message; `None` where the handler takes calls of every kind.
    pub kind: Option<MethodKind>,
}

impl Endpoint {
    /// The path of the endpoint in every protocol: `/example.greeter.Greet/Hello`.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }
}

/// An endpoint with what answers it and what is counted of it.
pub struct Served {
    /// What callers name.
    pub endpoint: Endpoint,
    /// What answers.
    pub handler: Arc<dyn Handler>,
    /// What is counted.
    pub stats: Arc<EndpointStats>,
    /// The bound of one request, unpacked, in bytes. The edge reads no more than that, so what
    /// reaches the handler is within it.
    pub max_request: usize,
}

/// What the names of headers begin with by which one host tells another of a call. No service sets them.
pub const HOST_PREFIX: &str = "microhost-";

/// How many calls of services led to this one; see [`Caller::depth`].
pub const DEPTH: ::http::HeaderName = ::http::HeaderName::from_static("microhost-depth");

/// With the status of a failed call: no handler has seen it; see [`Status::is_unseen`].
pub const UNSEEN: ::http::HeaderName = ::http::HeaderName::from_static("microhost-unseen");

/// Whether a header of this name is a protocol's own and so no metadata.
///
/// gRPC reserves the prefix `grpc-` ("PROTOCOL-HTTP2"), Connect the prefix `connect-` (the Connect
/// protocol, "Custom metadata"), and hosts among one another [`HOST_PREFIX`]; the rest is HTTP's own.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with("grpc-")
        || name.starts_with("connect-")
        || name.starts_with(HOST_PREFIX)
        || name.starts_with(':')
        || matches!(
            name,
            "accept"
                | "accept-encoding"
                | "connection"
                | "content-encoding"
                | "content-length"
                | "content-type"
                | "host"
                | "keep-alive"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
}

/// The metadata among `headers`: all that no protocol reserves.
pub fn metadata(headers: &HeaderMap) -> impl Iterator<Item = (&::http::HeaderName, &::http::HeaderValue)> {
    headers.iter().filter(|(name, _)| !is_reserved(name.as_str()))
}
