//! What the protocols write differently: the headers of a request, and which HTTP carries it.

use std::time::Duration;

use clap::ValueEnum;
use http::header::{self, HeaderName};
use microhost::schema::MethodKind;

use super::target::Version;

/// The protocol of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Connect: plain HTTP and JSON where the method is unary
    Connect,
    /// gRPC, over HTTP/2
    Grpc,
    /// gRPC-Web, as browsers speak it
    GrpcWeb,
}

/// How the messages of a call are laid out in its bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A body is a message: Connect's unary calls.
    Bare,
    /// Frames, the last of them with Connect's end of the stream.
    Connect,
    /// Frames; the status is in the trailers.
    Grpc,
    /// Frames, the last of them with the trailers.
    GrpcWeb,
}

/// The largest value of `connect-timeout-ms`: ten digits.
const MAX_CONNECT_TIMEOUT: u128 = 9_999_999_999;

/// The largest number in `grpc-timeout`: eight digits.
const MAX_GRPC_TIMEOUT: u128 = 99_999_999;

impl Protocol {
    /// How calls of this kind are laid out.
    pub fn layout(self, kind: MethodKind) -> Layout {
        match (self, kind) {
            (Protocol::Connect, MethodKind::Unary) => Layout::Bare,
            (Protocol::Connect, _) => Layout::Connect,
            (Protocol::Grpc, _) => Layout::Grpc,
            (Protocol::GrpcWeb, _) => Layout::GrpcWeb,
        }
    }

    /// Which HTTP carries calls of this kind: gRPC has only one, and over HTTP/1.1 many a host begins
    /// to answer only when it has all of the request.
    pub fn version(self, kind: MethodKind) -> Version {
        if self == Protocol::Grpc || kind.client_streams() { Version::Two } else { Version::One }
    }
}

impl Layout {
    /// The request's content type.
    pub fn content_type(self, codec: &str) -> String {
        match self {
            Layout::Bare => format!("application/{codec}"),
            Layout::Connect => format!("application/connect+{codec}"),
            Layout::Grpc => format!("application/grpc+{codec}"),
            Layout::GrpcWeb => format!("application/grpc-web+{codec}"),
        }
    }

    /// Whether an answer of this content type is one in this layout. gRPC may leave the codec out.
    pub fn takes(self, content_type: &str, codec: &str) -> bool {
        let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match self {
            Layout::Bare | Layout::Connect => name == self.content_type(codec),
            Layout::Grpc => name == "application/grpc" || name == self.content_type(codec),
            Layout::GrpcWeb => name == "application/grpc-web" || name == self.content_type(codec),
        }
    }

    /// The headers that the protocol wants of a request.
    pub fn headers(self, codec: &str, timeout: Option<Duration>) -> Vec<(HeaderName, String)> {
        let mut headers = vec![(header::CONTENT_TYPE, self.content_type(codec))];
        match self {
            Layout::Bare | Layout::Connect => headers.push((HeaderName::from_static("connect-protocol-version"), "1".to_owned())),
            Layout::Grpc => headers.push((header::TE, "trailers".to_owned())),
            Layout::GrpcWeb => headers.push((HeaderName::from_static("x-grpc-web"), "1".to_owned())),
        }
        headers.extend(timeout.map(|timeout| match self {
            Layout::Bare | Layout::Connect => {
                (HeaderName::from_static("connect-timeout-ms"), timeout.as_millis().min(MAX_CONNECT_TIMEOUT).to_string())
            }
            Layout::Grpc | Layout::GrpcWeb => (HeaderName::from_static("grpc-timeout"), grpc_timeout(timeout)),
        }));
        headers
    }
}

/// A time in the finest unit that has the digits for it.
fn grpc_timeout(timeout: Duration) -> String {
    if timeout.as_micros() <= MAX_GRPC_TIMEOUT {
        format!("{}u", timeout.as_micros())
    } else if timeout.as_millis() <= MAX_GRPC_TIMEOUT {
        format!("{}m", timeout.as_millis())
    } else {
        format!("{}S", u128::from(timeout.as_secs()).min(MAX_GRPC_TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits_in_grpc() {
        for (timeout, written) in [
            (Duration::from_millis(1500), "1500000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(grpc_timeout(timeout), written);
        }
    }

    #[test]
    fn an_answer_is_known_by_its_content_type() {
        assert!(Layout::Grpc.takes("application/grpc", "proto"));
        assert!(Layout::Bare.takes("application/JSON; charset=utf-8", "json"));
        assert!(!Layout::Connect.takes("application/json", "json"));
        assert!(!Layout::GrpcWeb.takes("application/grpc", "proto"));
        assert!(!Layout::Grpc.takes("text/html", "proto"));
    }
}
