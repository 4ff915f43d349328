//! The Connect protocol's streams: messages in envelopes, and a last envelope that says in JSON how
//! it ended. The HTTP status is 200 whatever happens.
//!
//! Source: the Connect protocol, "Streaming RPCs".

use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::{Map, Value, json};

use super::body::{Body, Chunk};
use super::compression::{self, Encoding};
use super::{connect, envelope, timeout};
use crate::rpc::headers;
use crate::status::{Code, Status};

const ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
pub(super) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// The deadline of a request, and the compression of its messages.
pub(super) fn of_head(headers: &HeaderMap) -> Result<(Option<Instant>, Option<Encoding>), Status> {
    connect::check_version(headers)?;
    let encoding = headers.get(ENCODING).map_or(Ok(None), |name| compression::named(name.as_bytes()))?;
    Ok((timeout::connect(headers)?, encoding))
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

/// What the last envelope holds.
pub(super) fn end(result: Result<&HeaderMap, &Status>) -> String {
    let (error, metadata) = match result {
        Ok(trailers) => (None, trailers),
        Err(status) => (Some(connect::error_json(status)), status.metadata()),
    };
    let mut end = Map::new();
    if let Some(error) = error {
        end.insert("error".to_owned(), error);
    }
    let mut values: Map<String, Value> = Map::new();
    for (name, value) in crate::rpc::metadata(metadata) {
        let list = values.entry(name.as_str()).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(String::from_utf8_lossy(value.as_bytes()).into());
        }
    }
    if !values.is_empty() {
        end.insert("metadata".to_owned(), values.into());
    }
    Value::Object(end).to_string()
}

/// The headers before a reply that fails before it begins.
pub(super) fn headers_of_error(name: &'static str, status: &Status) -> HeaderMap {
    let mut headers = headers(name, HeaderMap::new(), None);
    if status.code() == Code::Unimplemented {
        // The Connect protocol, "Streaming-Response": what a request's messages may be compressed with.
        headers.insert(ACCEPT_ENCODING, compression::SUPPORTED);
    }
    headers
}

/// A status as a reply without a message.
pub(super) fn error(name: &'static str, status: &Status) -> Response<Body> {
    let end = end(Err(status));
    let end = Chunk::enveloped(envelope::end_head(end.len()), end.into());
    let mut response = Response::new(Body::Whole(Some(end)));
    *response.headers_mut() = headers_of_error(name, status);
    response
}
