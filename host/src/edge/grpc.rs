//! gRPC over HTTP/2: one message in an envelope, the status in trailers.
//!
//! Source: gRPC, "PROTOCOL-HTTP2".

use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use hyper::body::Incoming;

use super::body::Body;
use super::compression::{self, Encoding};
use super::request::{self, Layout, Wait};
use super::unary::Answer;
use super::unary::{Call, Peer};
use super::{envelope, timeout};
use crate::rpc::{Route, grpc, headers};
use crate::schema::Codec;
use crate::status::{Code, Status};

pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(super) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What a request says besides its message.
pub(super) struct Head {
    pub(super) codec: Codec,
    /// The content type for the reply.
    pub(super) name: &'static str,
    pub(super) layout: Layout,
}

/// Answers a unary call.
pub(super) async fn unary(
    peer: &Peer,
    route: Route,
    head: Head,
    request: &mut http::request::Parts,
    body: &mut Incoming,
) -> Response<Body> {
    let accepted = compression::accepted(request.headers.get(ACCEPT_ENCODING));
    let name = head.name;
    match call(peer, route, head, request, body).await {
        Ok(reply) => success(peer, name, accepted, reply),
        Err(status) => error(name, &status),
    }
}

/// Reads a gRPC or gRPC-Web request and has it served.
pub(super) async fn call(
    peer: &Peer,
    route: Route,
    head: Head,
    request: &mut http::request::Parts,
    body: &mut Incoming,
) -> Result<Answer, Status> {
    let (deadline, encoding) = match of_head(&request.headers) {
        Ok(known) => known,
        Err(status) => {
            Box::pin(request::skip(request, body)).await;
            return Err(status);
        }
    };
    let limit = route.max_request;
    let message = only_message(request, body, head.layout, encoding, limit, Wait::of(&peer.edge, deadline)).await?;
    Call { route, codec: head.codec, body: message, headers: std::mem::take(&mut request.headers), deadline }.run(peer).await
}

/// Reads the one message, in an envelope, of a caller that does not stream.
pub(super) async fn only_message(
    request: &http::request::Parts,
    body: &mut Incoming,
    layout: Layout,
    encoding: Option<Encoding>,
    limit: usize,
    wait: Wait<'_>,
) -> Result<Bytes, Status> {
    let body = request::read(request, body, layout, limit, wait).await?;
    let body = if layout == Layout::EnvelopedText { super::web::from_text(&body)? } else { body };
    let (compressed, message) = envelope::only_message(&body)?;
    envelope::unpacked(encoding, compressed, message, limit)
}

/// The deadline and the compression of a request.
pub(super) fn of_head(headers: &HeaderMap) -> Result<(Option<Instant>, Option<Encoding>), Status> {
    let encoding = headers.get(ENCODING).map_or(Ok(None), |name| compression::named(name.as_bytes()))?;
    Ok((timeout::grpc(headers)?, encoding))
}

/// The headers before a reply.
pub(super) fn headers(name: &'static str, metadata: HeaderMap, encoding: Option<Encoding>) -> HeaderMap {
    let mut headers = headers::own(metadata);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(name));
    if let Some(encoding) = encoding {
        headers.insert(ENCODING, HeaderValue::from_static(encoding.name()));
    }
    headers
}

/// The trailers of a call that failed.
pub(super) fn error_trailers(status: &Status) -> HeaderMap {
    let mut trailers = grpc::error_trailers(status);
    if status.code() == Code::Unimplemented {
        // "PROTOCOL-HTTP2", "Message-Encoding": what a request may be compressed with.
        trailers.insert(ACCEPT_ENCODING, compression::SUPPORTED);
    }
    trailers
}

fn success(peer: &Peer, name: &'static str, accepted: Option<Encoding>, reply: Answer) -> Response<Body> {
    let unsent = peer.hold(reply.body.len());
    let (message, encoding) = envelope::packed(accepted, reply.body);
    let mut response = Response::new(Body::Trailed(Some(message.held_by(unsent)), Some(grpc::ok_trailers(reply.trailers))));
    *response.headers_mut() = headers(name, reply.headers, encoding);
    response
}

/// A status as a reply of trailers only.
pub(super) fn error(name: &'static str, status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::Whole(None));
    *response.headers_mut() = error_trailers(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(name));
    response
}
