//! The Connect protocol's unary calls: the body is the message, errors are JSON.
//!
//! Source: the Connect protocol, "Unary RPCs".

use std::borrow::Cow;
use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::{Body, Chunk};
use super::compression::{self, Encoding};
use super::content::connect_name;
use super::timeout;
use super::unary::Answer;
use super::unary::{Call, Peer};
use crate::rpc::Route;
use crate::rpc::headers::{self, BASE64, BASE64_URL};
use crate::schema::Codec;
use crate::status::{Code, Status};

use super::request::{self, Layout, Wait};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");

/// What trailing metadata's names begin with among the headers.
const TRAILER: &str = "trailer-";

/// Answers a POST.
pub(super) async fn post(peer: &Peer, route: Route, codec: Codec, head: &mut http::request::Parts, body: &mut Incoming) -> Response<Body> {
    let accepted = compression::accepted(head.headers.get(ACCEPT_ENCODING));
    let name = connect_name(codec, &head.headers);
    match call(peer, route, codec, head, body).await {
        Ok(reply) => success(peer, name, accepted, reply),
        Err(status) => error(&status),
    }
}

async fn call(peer: &Peer, route: Route, codec: Codec, head: &mut http::request::Parts, body: &mut Incoming) -> Result<Answer, Status> {
    let (deadline, encoding) = match of_head(&head.headers) {
        Ok(known) => known,
        Err(status) => {
            Box::pin(request::skip(head, body)).await;
            return Err(status);
        }
    };
    let limit = route.max_request;
    let body = request::read(head, body, Layout::Bare, limit, Wait::of(&peer.edge, deadline)).await?;
    let body = unpacked(encoding, body, limit)?;
    Call { route, codec, body, headers: std::mem::take(&mut head.headers), deadline }.run(peer).await
}

/// Answers a GET, which only endpoints without side effects take.
pub(super) async fn get(peer: &Peer, route: Route, head: http::request::Parts) -> Response<Body> {
    let accepted = compression::accepted(head.headers.get(ACCEPT_ENCODING));
    let query = match Query::read(head.uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(status) => return error(&status),
    };
    let codec = query.codec;
    let name = connect_name(codec, &head.headers);
    let result = async {
        let deadline = timeout::connect(&head.headers)?;
        let limit = route.max_request;
        let body = unpacked(query.encoding, query.message, limit)?;
        Call { route, codec, body, headers: head.headers, deadline }.run(peer).await
    };
    let mut response = match result.await {
        Ok(reply) => success(peer, name, accepted, reply),
        Err(status) => error(&status),
    };
    // A cache on the way keeps one reply for each.
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// The deadline and the compression of a request.
fn of_head(headers: &HeaderMap) -> Result<(Option<Instant>, Option<Encoding>), Status> {
    check_version(headers)?;
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok(None), |name| compression::named(name.as_bytes()))?;
    Ok((timeout::connect(headers)?, encoding))
}

pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Status> {
    match headers.get(PROTOCOL_VERSION) {
        Some(version) if version != "1" => {
            Err(Status::new(Code::InvalidArgument, format!("connect-protocol-version is {version:?}, and only \"1\" is known")))
        }
        _ => Ok(()),
    }
}

fn unpacked(encoding: Option<Encoding>, body: Bytes, limit: usize) -> Result<Bytes, Status> {
    match encoding {
        // An empty message may be sent as nothing at all.
        Some(encoding) if !body.is_empty() => compression::unpack(encoding, &body, limit),
        _ if body.len() > limit => Err(request::too_long(limit)),
        _ => Ok(body),
    }
}

/// The parameters of a GET.
#[derive(Debug)]
struct Query {
    codec: Codec,
    encoding: Option<Encoding>,
    message: Bytes,
}

impl Query {
    fn read(query: &str) -> Result<Query, Status> {
        let (mut codec, mut encoding, mut message, mut base64) = (None, None, None, false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            match name {
                "connect" if *value != *b"v1" => return Err(refused("the query's connect is not v1")),
                "encoding" => {
                    codec = Some(match &*value {
                        b"json" => Codec::Json,
                        b"proto" => Codec::Proto,
                        other => return Err(wrong_encoding(other)),
                    });
                }
                "compression" => encoding = compression::named(&value)?,
                "base64" => base64 = *value == *b"1",
                "message" => message = Some(value),
                // Others may be a cache's or a proxy's own.
                _ => {}
            }
        }
        let codec = codec.ok_or_else(|| refused("the query has no encoding: add encoding=json or encoding=proto"))?;
        let message = message.ok_or_else(|| refused("the query has no message: add message=, percent-encoded"))?;
        let message = if base64 {
            BASE64_URL
                .decode(&*message)
                .map_err(|cause| refused("the query's message is not base64 with the alphabet for URLs").because(cause))?
        } else {
            message.into_owned()
        };
        Ok(Query { codec, encoding, message: message.into() })
    }
}

fn refused(why: &'static str) -> Status {
    Status::new(Code::InvalidArgument, why)
}

/// Connect has the codecs of a GET in its protocol; the others are told how they may be used.
fn wrong_encoding(name: &[u8]) -> Status {
    match std::str::from_utf8(name).ok().and_then(Codec::named) {
        Some(codec) => {
            let (name, sent) = (codec.name(), codec.content_types()[0]);
            Status::new(
                Code::InvalidArgument,
                format!("the query's encoding is {name}, which goes by POST as {sent}; a GET takes json or proto"),
            )
        }
        None => refused("the query's encoding is neither json nor proto"),
    }
}

/// A value of a query: plus signs are spaces, the rest is percent-encoded. It may be any bytes.
fn decoded(value: &str) -> Cow<'_, [u8]> {
    if value.contains('+') {
        let spaced = value.replace('+', " ");
        return percent_encoding::percent_decode_str(&spaced).collect::<Vec<u8>>().into();
    }
    percent_encoding::percent_decode_str(value).into()
}

fn success(peer: &Peer, name: &'static str, accepted: Option<Encoding>, reply: Answer) -> Response<Body> {
    let mut headers = headers::own(reply.headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(name));
    let body = match compression::pack(accepted, &reply.body) {
        Some((encoding, packed)) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
            packed
        }
        None => reply.body,
    };
    if !reply.trailers.is_empty() {
        add_trailers(&mut headers, reply.trailers);
    }
    let unsent = peer.hold(body.len());
    let mut response = Response::new(Body::Whole((!body.is_empty()).then(|| Chunk::plain(body).held_by(unsent))));
    *response.headers_mut() = headers;
    response
}

fn add_trailers(headers: &mut HeaderMap, trailers: HeaderMap) {
    for (name, value) in &headers::own(trailers) {
        // A name grows past its bound only if it was there already.
        if let Ok(name) = HeaderName::try_from(format!("{TRAILER}{name}")) {
            headers.append(name, value.clone());
        }
    }
}

/// A status as a Connect unary error.
pub(super) fn error(status: &Status) -> Response<Body> {
    error_as(status.code().http(), status)
}

/// A status as a Connect unary error with another HTTP status than its code's.
pub(super) fn error_as(http: StatusCode, status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::whole(error_json(status).to_string().into()));
    *response.status_mut() = http;
    let mut headers = headers::own(status.metadata().clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status.code() == Code::Unimplemented {
        // RFC 9110, section 12.5.3: what a request may be compressed with.
        headers.insert(ACCEPT_ENCODING, compression::SUPPORTED);
    }
    *response.headers_mut() = headers;
    response
}

/// A status as Connect writes it.
pub(super) fn error_json(status: &Status) -> Value {
    let mut error = json!({ "code": status.code().name() });
    if !status.message().is_empty() {
        error["message"] = json!(status.message());
    }
    if !status.details().is_empty() {
        error["details"] = status.details().iter().map(detail).collect();
    }
    error
}

fn detail(detail: &crate::status::Detail) -> Value {
    let mut value = json!({ "type": &*detail.type_name, "value": BASE64.encode(&detail.value) });
    if let Some(debug) = detail.debug.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        value["debug"] = debug;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_in_every_form() {
        let query = Query::read("connect=v1&encoding=json&message=%7B%22a%22%3A+1%7D").expect("plain");
        assert_eq!((query.codec, &query.message[..]), (Codec::Json, &b"{\"a\": 1}"[..]));
        for message in ["_-8", "_-8%3D", "_-8="] {
            let query = Query::read(&format!("message={message}&base64=1&encoding=proto&compression=gzip&x=y")).expect("base64");
            assert_eq!((query.codec, query.encoding, &query.message[..]), (Codec::Proto, Some(Encoding::Gzip), &[0xff, 0xef][..]));
        }
        assert_eq!(&Query::read("encoding=proto&message=%FF%00").expect("bytes").message[..], [0xff, 0]);
        assert_eq!(&Query::read("encoding=proto&message=").expect("empty").message[..], b"");
    }

    #[test]
    fn a_wrong_query_is_told_what_is_wrong() {
        for (query, names) in [
            ("", "encoding"),
            ("encoding=json", "message"),
            ("encoding=xml&message=", "neither json nor proto"),
            ("encoding=cbor&message=", "encoding is cbor, which goes by POST as application/cbor"),
            ("connect=v2&encoding=json&message=", "connect"),
            ("encoding=json&message=*&base64=1", "base64"),
        ] {
            let status = Query::read(query).expect_err(query);
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains(names), "{status}");
        }
    }
}
