//! gRPC over HTTP/2: one message in an envelope, the status in trailers.
//!
//! Source: gRPC, "PROTOCOL-HTTP2".

use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;

use super::body::Body;
use super::compression::{self, Encoding};
use super::metadata::{self, BASE64};
use super::request::{self, Layout};
use super::unary::Answer;
use super::unary::{Call, Peer};
use super::{envelope, timeout};
use crate::rpc::Route;
use crate::schema::Codec;
use crate::status::{Code, Detail, Status};

pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(super) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What `grpc-message` carries as it is ends here ("PROTOCOL-HTTP2", "Status-Message"); other than
/// ASCII is always encoded.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The length of a status message, before it is encoded: clients bound all headers of a reply, many
/// at 8 KiB.
const MAX_MESSAGE: usize = 2 << 10;

/// The length of a status with its details, before base64, for the same reason.
const MAX_DETAILS: usize = 4 << 10;

/// `google.rpc.Status`, what `grpc-status-details-bin` holds.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

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
    let time = request::time_for(deadline, peer.edge.patience.body);
    let message = only_message(request, body, head.layout, encoding, limit, time).await?;
    Call { route, codec: head.codec, body: message, headers: std::mem::take(&mut request.headers), deadline }.run(peer).await
}

/// Reads the one message, in an envelope, of a caller that does not stream.
pub(super) async fn only_message(
    request: &http::request::Parts,
    body: &mut Incoming,
    layout: Layout,
    encoding: Option<Encoding>,
    limit: usize,
    time: Duration,
) -> Result<Bytes, Status> {
    let body = request::read(request, body, layout, limit, time).await?;
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
    let mut headers = metadata::own(metadata);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(name));
    if let Some(encoding) = encoding {
        headers.insert(ENCODING, HeaderValue::from_static(encoding.name()));
    }
    headers
}

/// The trailers after a reply.
pub(super) fn ok_trailers(metadata: HeaderMap) -> HeaderMap {
    let mut trailers = metadata::own(metadata);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    trailers
}

/// The trailers of a call that failed.
pub(super) fn error_trailers(status: &Status) -> HeaderMap {
    let mut trailers = metadata::own(status.metadata().clone());
    trailers.insert(STATUS, HeaderValue::from(u16::from(status.code().number())));
    if !status.message().is_empty() {
        let message = &status.message()[..status.message().floor_char_boundary(MAX_MESSAGE)];
        let message = utf8_percent_encode(message, ESCAPED).to_string();
        trailers.insert(MESSAGE, HeaderValue::try_from(message).expect("percent-encoded text is printable ASCII"));
    }
    if let Some(details) = details(status) {
        trailers.insert(DETAILS, details);
    }
    if status.code() == Code::Unimplemented {
        // "PROTOCOL-HTTP2", "Message-Encoding": what a request may be compressed with.
        trailers.insert(ACCEPT_ENCODING, compression::SUPPORTED);
    }
    trailers
}

fn details(status: &Status) -> Option<HeaderValue> {
    if status.details().is_empty() {
        return None;
    }
    let any =
        |detail: &Detail| prost_types::Any { type_url: format!("type.googleapis.com/{}", detail.type_name), value: detail.value.to_vec() };
    let message = RpcStatus {
        code: status.code().number().into(),
        message: status.message().to_owned(),
        details: status.details().iter().map(any).collect(),
    };
    let length = message.encoded_len();
    if length > MAX_DETAILS {
        tracing::debug!(code = %status.code(), length, "the details of an error are left out: more than {MAX_DETAILS} bytes do not fit into trailers");
        return None;
    }
    Some(HeaderValue::try_from(BASE64.encode(message.encode_to_vec())).expect("base64 is printable ASCII"))
}

fn success(peer: &Peer, name: &'static str, accepted: Option<Encoding>, reply: Answer) -> Response<Body> {
    let unsent = peer.hold(reply.body.len());
    let (message, encoding) = envelope::packed(accepted, reply.body);
    let mut response = Response::new(Body::Trailed(Some(message.held_by(unsent)), Some(ok_trailers(reply.trailers))));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_printable_whatever_it_was() {
        let trailers = error_trailers(&Status::new(Code::NotFound, "no 100% \u{fc}ber\r\n\u{7f}"));
        assert_eq!(trailers[STATUS], "5");
        assert_eq!(trailers[MESSAGE], "no 100%25 %C3%BCber%0D%0A%7F");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let trailers = error_trailers(&Status::new(Code::Internal, "\u{20ac}".repeat(MAX_MESSAGE)));
        assert_eq!(trailers[MESSAGE].len() % "%E2%82%AC".len(), 0);
        assert!(trailers[MESSAGE].len() <= MAX_MESSAGE * 3);
    }

    #[test]
    fn details_are_a_google_rpc_status_unless_they_are_too_long() {
        let detail = |length| Detail { type_name: "a.B".into(), value: vec![7; length].into(), debug: None };
        let trailers = error_trailers(&Status::new(Code::Aborted, "m").with_detail(detail(3)));
        let decoded = RpcStatus::decode(&*BASE64.decode(&trailers[DETAILS]).expect("base64")).expect("a status");
        assert_eq!((decoded.code, &*decoded.message), (10, "m"));
        assert_eq!((&*decoded.details[0].type_url, &decoded.details[0].value[..]), ("type.googleapis.com/a.B", &[7; 3][..]));
        assert!(!trailers[DETAILS].as_bytes().ends_with(b"="));
        assert!(!error_trailers(&Status::new(Code::Aborted, "m").with_detail(detail(MAX_DETAILS))).contains_key(DETAILS));
    }
}
