//! The head of a request to another host, and what the head of its response says.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, TE};
use http::response::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::fault::late;
use super::manner::Manner;
use crate::registry::Address;
use crate::rpc::{Caller, DEPTH, grpc, headers};
use crate::status::{Code, Status};

/// What another host's requests have in common.
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    pub fn of(address: &Address) -> Origin {
        let (scheme, authority) = match address {
            Address::Tcp { host, port, tls } => {
                let scheme = if *tls { Scheme::HTTPS } else { Scheme::HTTP };
                let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                (scheme, Authority::try_from(authority).ok())
            }
            Address::Unix(_) | Address::Nats(_) => (Scheme::HTTP, None),
        };
        // No name of a host is what HTTP calls one for a socket, nor for a name that has to be looked up all the same.
        Origin { scheme, authority: authority.unwrap_or_else(|| Authority::from_static("localhost")) }
    }

    /// The head of a call. Fails with `deadline_exceeded` where there is no time left for it, and with
    /// `invalid_argument` for a path that is none.
    pub fn head(
        &self,
        path: &str,
        metadata: HeaderMap,
        manner: &Manner,
        deadline: Option<Instant>,
        caller: &Caller,
    ) -> Result<Request<()>, Status> {
        let path = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(path.as_bytes()))
            .map_err(|error| Status::new(Code::InvalidArgument, format!("{path:?} is no path of a method")).because(error))?;
        let mut uri = http::uri::Parts::default();
        (uri.scheme, uri.authority, uri.path_and_query) = (Some(self.scheme.clone()), Some(self.authority.clone()), Some(path));
        let mut request = Request::new(());
        *request.uri_mut() =
            Uri::from_parts(uri).map_err(|error| Status::new(Code::InvalidArgument, "the path of the method is none").because(error))?;
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        let mut headers = headers::own(metadata);
        headers.insert(CONTENT_TYPE, manner.content_type());
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(deadline) = deadline {
            headers.insert(grpc::TIMEOUT, timeout(deadline)?);
        }
        if caller.depth > 0 {
            headers.insert(DEPTH, HeaderValue::from(caller.depth));
        }
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// The most that eight digits say ("PROTOCOL-HTTP2", "TimeoutValue").
const MOST: u128 = 99_999_999;

/// The time that is left, in the smallest unit that can say it.
fn timeout(deadline: Instant) -> Result<HeaderValue, Status> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(late());
    }
    Ok(said(left))
}

fn said(left: Duration) -> HeaderValue {
    let units = [(left.as_nanos(), 'n'), (left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')];
    let (number, unit) = units.into_iter().find(|(number, _)| *number <= MOST).unwrap_or((MOST, 'S'));
    HeaderValue::try_from(format!("{number}{unit}")).expect("digits and a letter")
}

/// What the head of a response says.
pub enum Began {
    /// A reply follows, with this metadata before it.
    Reply(HeaderMap),
    /// That was all: the call has failed, or it went well without any message.
    Ended(Result<HeaderMap, Status>),
}

/// Reads the head of a response.
pub fn began(head: Parts) -> Began {
    let Parts { status, mut headers, .. } = head;
    // The other host's HTTP says it, not the service.
    headers.remove(DATE);
    if let Some(ended) = if headers.contains_key(grpc::STATUS) { grpc::ended(headers.clone(), HeaderMap::new()) } else { None } {
        return Began::Ended(ended);
    }
    if status != StatusCode::OK {
        return Began::Ended(Err(by_http(status)));
    }
    let grpc = headers.get(CONTENT_TYPE).is_some_and(|name| name.as_bytes().starts_with(b"application/grpc"));
    if !grpc {
        return Began::Ended(Err(Status::new(Code::Internal, "the other host answered with something else than gRPC")));
    }
    Began::Reply(headers::own(headers))
}

/// What an answer without a gRPC status means (gRPC, "HTTP to gRPC Status Code Mapping").
fn by_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        // The metadata is longer than the other host takes.
        431 => Code::ResourceExhausted,
        _ => Code::Unknown,
    };
    Status::new(code, format!("the other host answered with the HTTP status {status}"))
}

/// What the trailers of a reply say; `before` is the metadata that came with its head.
pub fn ended(trailers: Option<HeaderMap>, before: HeaderMap) -> Result<HeaderMap, Status> {
    let ended = trailers.and_then(|trailers| grpc::ended(trailers, before));
    ended.unwrap_or_else(|| Err(Status::new(Code::Internal, "the other host's reply ends without a status")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_said_in_eight_digits() {
        for (left, expected) in [
            (Duration::from_nanos(1), "1n"),
            (Duration::from_millis(50), "50000000n"),
            (Duration::from_secs(1), "1000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(said(left), expected);
        }
        assert_eq!(timeout(Instant::now()).expect_err("too late").code(), Code::DeadlineExceeded);
    }
}
