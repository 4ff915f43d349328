//! Plain HTTP for services that answer it themselves: the request goes in and the response out as
//! they are, piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, RETRY_AFTER};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::activity::{Activity, CallGuard};
use super::answer::plain;
use super::body::{Body, Chunk};
use super::request;
use super::unary::Peer;
use crate::middleware::{self, Counted};
use crate::rpc::{HttpBody, HttpRequest, HttpServed};
use crate::status::{Code, Status};

/// Seconds after which a client may try again where the service has too much to do.
const TRY_AGAIN: HeaderValue = HeaderValue::from_static("1");

/// Has a service answer a request.
pub(super) async fn serve(peer: &Peer, served: Arc<HttpServed>, mut head: Parts, mut body: Incoming, guard: CallGuard) -> Response<Body> {
    if let Err(status) = peer.admit() {
        return failed(&status);
    }
    if let Err(what) = complete(&mut head, peer.is_secure()) {
        request::skip(&head, &mut body).await;
        return plain(StatusCode::BAD_REQUEST, what);
    }
    let bodiless = head.method == Method::HEAD;
    let body = (!body.is_end_stream()).then(|| body.map_err(broken).boxed_unsync());
    let caller = peer.caller(&head.headers);
    let call = HttpRequest { head, body, caller };
    let (result, mut counted) = middleware::serve_http(&served, call).await;
    match result {
        // Those are the server's to send, and a 101 would hand the connection over.
        Ok(response) if response.status().is_informational() => {
            counted.ended(Code::Internal);
            let what = format!("the service answered with the status {}, which ends no request", response.status().as_u16());
            failed(&Status::new(Code::Internal, what))
        }
        Ok(response) => {
            let left = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            let none = bodiless || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            response.map(|body| {
                if none || body.is_end_stream() {
                    counted.ended(Code::Ok);
                    return Body::whole(Bytes::new());
                }
                Body::Http(Box::new(Streamed { body, left, activity: peer.activity.clone(), _call: guard, counted }))
            })
        }
        Err(status) => failed(&status),
    }
}

/// Gives the URI of a request its scheme and authority, which HTTP/1 has elsewhere.
fn complete(head: &mut Parts, secure: bool) -> Result<(), &'static str> {
    if head.uri.authority().is_some() && head.uri.scheme().is_some() {
        return Ok(());
    }
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next(), parts.authority.take()) {
        (_, Some(_), _) => return Err("the request has several host headers"),
        (_, _, Some(authority)) => authority,
        (Some(host), None, None) => Authority::try_from(host.as_bytes()).map_err(|_| "the request's host header names no host")?,
        (None, None, None) => return Err("the request has no host header"),
    };
    parts.authority = Some(host);
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    head.uri = Uri::from_parts(parts).map_err(|_| "the request's target is no path")?;
    Ok(())
}

/// What a service reads where its request's body does not come whole.
fn broken(error: hyper::Error) -> Status {
    Status::new(Code::InvalidArgument, "the request breaks off within its body, or its body is not valid HTTP").because(error)
}

/// A request that the service did not answer.
fn failed(status: &Status) -> Response<Body> {
    let (http, try_again) = match status.code() {
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, false),
        Code::ResourceExhausted | Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, true),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, false),
        Code::OutOfRange => (StatusCode::PAYLOAD_TOO_LARGE, false),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, false),
    };
    let mut response = plain(http, status.message());
    if try_again {
        response.headers_mut().insert(RETRY_AFTER, TRY_AGAIN);
    }
    response
}

/// A response's body on its way out: what the client has not taken is counted, and the request is
/// under way until it ends.
pub(super) struct Streamed {
    body: HttpBody,
    /// What is still to come; `None` where nobody said how much there is.
    left: Option<u64>,
    activity: Arc<Activity>,
    _call: CallGuard,
    counted: Counted,
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streamed")
    }
}

impl Streamed {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| match frame {
            None => {
                self.counted.ended(Code::Ok);
                None
            }
            Some(Ok(frame)) => Some(Ok(frame.map_data(|bytes| {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                if self.left == Some(0) {
                    // Nobody asks for more than was announced.
                    self.counted.ended(Code::Ok);
                }
                let unsent = self.activity.hold(bytes.len());
                Chunk::plain(bytes).held_by(Some(unsent))
            }))),
            Some(Err(status)) => {
                self.counted.ended(status.code());
                let cause = status.cause().map(tracing::field::display);
                tracing::debug!(code = %status.code(), cause, "a response was broken off: {}", status.message());
                // It ends the stream or the connection; nobody reads it.
                Some(Err(tonic::Status::unknown("broken off")))
            }
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
