//! Calls with streams, the same in every protocol: the messages of the body on their way in, the
//! events of the reply on their way out, each at the pace of whoever reads them.

use std::pin::pin;
use std::time::Instant;

use futures::{FutureExt as _, stream};
use http::Response;
use hyper::body::Incoming;

use super::activity::CallGuard;
use super::body::Body;
use super::grpc;
use super::request::{Layout, Wait};
use super::unary::{GRACE, Peer, late};
use super::web::Text;
use crate::middleware::{self, Opened};
use crate::rpc::{Form, Messages, MethodKind, Route, StreamRequest};
use crate::schema::Codec;
use crate::status::Status;

mod gather;
mod inward;
mod link;
mod outward;
mod wire;

use inward::Inward;
use link::Link;
use outward::Manner;
pub(super) use outward::Outward;
pub(super) use wire::Wire;

/// What a request says of its stream.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) wire: Wire,
    pub(super) codec: Codec,
    /// The content type for the reply.
    pub(super) name: &'static str,
}

/// Answers a call with streams. The response is there when the handler's reply begins.
pub(super) async fn answer(
    peer: &Peer,
    route: Route,
    head: Head,
    mut request: http::request::Parts,
    body: Incoming,
    call: CallGuard,
) -> Response<Body> {
    let Head { wire, codec, name } = head;
    let link = Link::of(&request);
    let accepted = wire.accepted(&request.headers);
    let one_message = route.endpoint.kind.is_some_and(|kind| !kind.server_streams());
    let mut manner = Manner { wire, accepted, one_message, limit: None, link };
    let result = async {
        let (deadline, messages) = incoming(peer, &route, wire, &request, body, manner.link.as_ref()).await?;
        manner.limit = deadline.and_then(|deadline| deadline.checked_add(GRACE));
        let headers = std::mem::take(&mut request.headers);
        let (form, caller, idempotent) = (Form::Encoded(codec), peer.caller(&headers), route.endpoint.safe);
        let request = StreamRequest { form, headers, deadline, caller, idempotent, plan: None, messages };
        open(route, request, manner.limit).await
    };
    let mut response = Response::default();
    match result.await {
        Ok(Opened { headers, events }) => {
            *response.headers_mut() = wire.headers(name, headers, accepted);
            response.map(|()| Body::Stream(Box::new(Outward::new(manner, events, peer.activity.clone(), call))))
        }
        // The error goes first, and what the caller still writes is taken in after it.
        Err(status) if manner.link.is_some() => {
            *response.headers_mut() = wire.headers_of_error(name, &status);
            response.map(|()| Body::Stream(Box::new(Outward::failed(manner, status, peer.activity.clone(), call))))
        }
        Err(status) => wire.error(name, &status),
    }
}

/// The deadline of a call, and its caller's messages. Where the caller does not stream there must be
/// exactly one, and it is read first.
async fn incoming(
    peer: &Peer,
    route: &Route,
    wire: Wire,
    request: &http::request::Parts,
    mut body: Incoming,
    link: Option<&Link>,
) -> Result<(Option<Instant>, Messages), Status> {
    let known = wire.of_head(&request.headers).and_then(|known| peer.admit().map(|()| known));
    let (deadline, encoding) = match known {
        Ok(known) => known,
        Err(status) => {
            if let Some(link) = link {
                link.leave(body);
            }
            return Err(status);
        }
    };
    if route.endpoint.kind.is_none_or(MethodKind::client_streams) {
        let text = (wire.layout() == Layout::EnvelopedText).then(Text::default);
        return Ok((deadline, Box::pin(Inward::new(route.clone(), encoding, text, body, link.cloned()))));
    }
    let wait = Wait::of(&peer.edge, deadline);
    let message = grpc::only_message(request, &mut body, wire.layout(), encoding, route.max_request, wait).await?;
    Ok((deadline, Box::pin(stream::once(std::future::ready(Ok(message.into()))))))
}

async fn open(route: Route, request: StreamRequest, limit: Option<Instant>) -> Result<Opened, Status> {
    if request.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return Err(late());
    }
    let mut opening = pin!(middleware::open(route, request));
    match limit {
        None => opening.await,
        Some(limit) => tokio::time::timeout_at(limit.into(), opening.as_mut()).map(|result| result.unwrap_or_else(|_| Err(late()))).await,
    }
}
