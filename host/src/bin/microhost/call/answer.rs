//! An answer as it comes: its messages and how it ends, whatever the protocol.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use microhost::status::Code;

use super::frame::{END_STREAM, Frames, TRAILERS, too_long};
use super::protocol::Layout;
use super::reply::{self, Ending, Wrong};
use super::request::Body;
use super::target::{Target, Version};
use super::tasks::Tasks;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// The start of the names by which Connect's unary replies send trailers.
const TRAILER_PREFIX: &str = "trailer-";

/// A call to be made.
pub struct Ask<'a> {
    pub target: &'a Target,
    /// `/example.greeter.Greet/Hello`
    pub endpoint: &'a str,
    pub version: Version,
    pub layout: Layout,
    /// The codec's name in content types.
    pub codec: &'static str,
    /// The user's metadata and the protocol's headers, without `Host`.
    pub headers: HeaderMap,
    /// The most bytes of one message that comes.
    pub limit: usize,
}

/// An answer that has begun.
pub struct Answer {
    name: String,
    layout: Layout,
    codec: &'static str,
    limit: usize,
    status: StatusCode,
    headers: HeaderMap,
    frames: Frames,
    body: Incoming,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has looked whether this is an answer in the protocol.
    Unread,
    /// Messages come.
    Open,
}

/// What an answer brings.
pub enum Event {
    Message(Bytes),
    End(Ending),
}

impl Ask<'_> {
    /// Makes the call; returns when the answer begins. The connection is driven by `tasks`.
    pub async fn open(self, body: Body, tasks: &Tasks) -> Outcome<Answer> {
        let name = self.target.name();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let path = self.target.path(self.endpoint)?;
        *request.headers_mut() = self.headers;
        let wire = self.target.connect(self.version).await?;
        let response: Response<Incoming> = match self.version {
            Version::One => {
                *request.uri_mut() = path.into();
                let host = self.target.authority().parse().map_err(|error| {
                    Failure::new(Exit::Usage, format!("{:?} is no host to name in a request", self.target.authority())).because(&error)
                })?;
                request.headers_mut().insert(header::HOST, host);
                let (mut sender, connection) = http1::handshake(wire).await.map_err(|error| broken(&name, &error))?;
                // The connection's error reaches the sender or the body too, here and below.
                tasks.execute(connection);
                sender.send_request(request).await
            }
            Version::Two => {
                let uri = format!("{}{path}", self.target.origin());
                *request.uri_mut() =
                    uri.parse().map_err(|error| Failure::new(Exit::Usage, format!("{uri:?} is no URL")).because(&error))?;
                let (mut sender, connection) = http2::handshake(tasks.clone(), wire).await.map_err(|error| broken(&name, &error))?;
                tasks.execute(connection);
                sender.send_request(request).await
            }
        }
        .map_err(|error| broken(&name, &error))?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            name,
            layout: self.layout,
            codec: self.codec,
            limit: self.limit,
            status: head.status,
            headers: head.headers,
            frames: Frames::new(self.limit),
            body,
            state: State::Unread,
        })
    }
}

impl Answer {
    /// The HTTP status and the headers.
    pub fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.status, &self.headers)
    }

    /// What comes next. After the end nothing does.
    pub async fn next(&mut self) -> Outcome<Event> {
        if self.state == State::Unread {
            let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if self.status != StatusCode::OK || !self.layout.takes(content_type, self.codec) {
                let body = self.whole().await?;
                return Wrong::of_body(self.status, &body).map(|wrong| Event::End(Err(wrong)));
            }
            self.state = State::Open;
            if self.layout == Layout::Bare {
                return self.whole().await.map(Event::Message);
            }
        }
        if self.layout == Layout::Bare { Ok(Event::End(Ok(self.bare_trailers()))) } else { self.framed().await }
    }

    /// All of the body.
    async fn whole(&mut self) -> Outcome<Bytes> {
        let body = Limited::new(&mut self.body, self.limit).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => too_long(self.limit.saturating_add(1), self.limit),
            None => broken(&self.name, error.as_ref()),
        })
    }

    fn bare_trailers(&self) -> HeaderMap {
        let named = |(name, value): (&HeaderName, &http::HeaderValue)| {
            Some((name.as_str().strip_prefix(TRAILER_PREFIX)?.parse::<HeaderName>().ok()?, value.clone()))
        };
        self.headers.iter().filter_map(named).collect()
    }

    async fn framed(&mut self) -> Outcome<Event> {
        let mut trailers = HeaderMap::new();
        loop {
            if let Some((flags, payload)) = self.frames.next()? {
                return match (self.layout, flags) {
                    (_, 0) => Ok(Event::Message(payload)),
                    (Layout::Connect, END_STREAM) => reply::connect_end(&payload).map(Event::End),
                    (Layout::GrpcWeb, TRAILERS) => reply::web_end(&payload).map(Event::End),
                    _ => Err(Failure::new(
                        Exit::Status(Code::Internal),
                        format!("internal: the host sent a frame with flags {flags:#04x}, which the protocol does not have"),
                    )),
                };
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.frames.push(&data),
                    Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
                },
                Some(Err(error)) => return Err(broken(&self.name, &error)),
                None if self.frames.is_midway() => {
                    return Err(reply::broken_end().note("the last message is cut short"));
                }
                None => {
                    // An answer of trailers alone has them among the headers.
                    let status = reply::grpc_end(&trailers).or_else(|| reply::grpc_end(&self.headers));
                    return status.filter(|_| self.layout != Layout::Connect).map(Event::End).ok_or_else(reply::broken_end);
                }
            }
        }
    }

    /// Reads to the end of the body, after the last event, so that leaving is no cancelling.
    pub async fn drain(mut self) {
        while let Some(Ok(_)) = self.body.frame().await {}
    }
}

/// A connection that failed in a call. A host that ended the call by HTTP/2's own means told a
/// status by that (gRPC's table "HTTP2 Transport Mapping").
fn broken(name: &str, error: &(dyn Error + 'static)) -> Failure {
    match reset(error) {
        Some((reason, code)) => {
            Failure::new(Exit::Status(code), format!("{code}: {name} ended the call")).note(format!("HTTP/2: {reason}"))
        }
        None => Failure::new(Exit::Unreachable, format!("{name} broke off")).because(error).advise("the host's log tells more"),
    }
}

fn reset(error: &(dyn Error + 'static)) -> Option<(h2::Reason, Code)> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<h2::Error>().filter(|error| error.is_reset() && error.is_remote()) {
            let reason = error.reason()?;
            let code = match reason {
                h2::Reason::REFUSED_STREAM => Code::Unavailable,
                h2::Reason::CANCEL => Code::Canceled,
                h2::Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
                h2::Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
                _ => Code::Internal,
            };
            return Some((reason, code));
        }
        next = error.source();
    }
    None
}
