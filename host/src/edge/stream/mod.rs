//! Calls with streams, the same in every protocol: the messages of the body on their way in, the
//! events of the reply on their way out, each at the pace of whoever reads them.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::{FutureExt as _, stream};
use http::{Response, Version};
use hyper::body::Incoming;

use super::activity::CallGuard;
use super::body::Body;
use super::compression::Encoding;
use super::grpc;
use super::request::{self, Layout};
use super::unary::{GRACE, Peer, late};
use super::web::Text;
use crate::middleware::{self, Opened};
use crate::rpc::{Caller, Messages, MethodKind, Route, StreamRequest};
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
    let accepted = wire.accepted(&request.headers);
    let known = wire.of_head(&request.headers).and_then(|known| peer.admit().map(|()| known));
    let (deadline, encoding) = match known {
        Ok(known) => known,
        Err(status) => {
            let mut body = body;
            request::skip(&request, &mut body).await;
            return wire.error(name, &status);
        }
    };
    // HTTP/2 resets what it does not want; in HTTP/1 it has to be taken in.
    let link = (request.version != Version::HTTP_2).then(Link::default);
    let one_message = route.endpoint.kind.is_some_and(|kind| !kind.server_streams());
    let limit = deadline.and_then(|deadline| deadline.checked_add(GRACE));
    let messages = match messages(peer, &route, wire, encoding, deadline, &request, body, link.as_ref()).await {
        Ok(messages) => messages,
        Err(status) => return wire.error(name, &status),
    };
    let headers = std::mem::take(&mut request.headers);
    let stream = StreamRequest { codec, headers, deadline, caller: Caller { peer: Some(peer.address) }, messages };
    match open(route, stream, limit).await {
        Ok(Opened { headers, events }) => {
            let manner = Manner { wire, accepted, one_message, limit, link };
            let mut response = Response::new(Body::Stream(Box::new(Outward::new(manner, events, peer.activity.clone(), call))));
            *response.headers_mut() = wire.headers(name, headers, accepted);
            response
        }
        Err(status) => {
            if let Some(mut skip) = link.and_then(|link| link.skip()) {
                std::future::poll_fn(|cx| skip.poll(cx)).await;
            }
            wire.error(name, &status)
        }
    }
}

/// The caller's messages. Where it does not stream there must be exactly one, and it is read first.
async fn messages(
    peer: &Peer,
    route: &Route,
    wire: Wire,
    encoding: Option<Encoding>,
    deadline: Option<Instant>,
    request: &http::request::Parts,
    mut body: Incoming,
    link: Option<&Link>,
) -> Result<Messages, Status> {
    if route.endpoint.kind.is_none_or(MethodKind::client_streams) {
        let text = (wire.layout() == Layout::EnvelopedText).then(Text::default);
        return Ok(Box::pin(Inward::new(route.clone(), encoding, text, body, link.cloned())));
    }
    let time: Duration = request::time_for(deadline, peer.edge.patience.body);
    let message = grpc::only_message(request, &mut body, wire.layout(), encoding, route.max_request, time).await?;
    Ok(Box::pin(stream::once(std::future::ready(Ok(message)))))
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
