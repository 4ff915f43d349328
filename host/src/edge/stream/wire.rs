//! What the protocols' streams differ in: names of headers, and how a stream ends.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::edge::body::{Body, Chunk};
use crate::edge::compression::{self, Encoding};
use crate::edge::request::Layout;
use crate::edge::{connect_stream, envelope, grpc, web};
use crate::rpc;
use crate::status::Status;

/// The protocol of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Wire {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, in base64 or not.
    Web(Layout),
    /// Connect.
    Connect,
}

/// The end of a stream.
pub(super) enum End {
    /// In trailers.
    Trailers(HeaderMap),
    /// In a last envelope.
    Envelope(Chunk),
}

impl Wire {
    pub(super) fn layout(self) -> Layout {
        match self {
            Wire::Grpc | Wire::Connect => Layout::Enveloped,
            Wire::Web(layout) => layout,
        }
    }

    /// The deadline of a request, and the compression of its messages.
    pub(super) fn of_head(self, headers: &HeaderMap) -> Result<(Option<Instant>, Option<Encoding>), Status> {
        match self {
            Wire::Grpc | Wire::Web(_) => grpc::of_head(headers),
            Wire::Connect => connect_stream::of_head(headers),
        }
    }

    /// The compression of a reply's messages.
    pub(super) fn accepted(self, headers: &HeaderMap) -> Option<Encoding> {
        compression::accepted(match self {
            Wire::Grpc | Wire::Web(_) => headers.get(grpc::ACCEPT_ENCODING),
            Wire::Connect => headers.get(connect_stream::ACCEPT_ENCODING),
        })
    }

    /// The headers before a reply. They name the compression even if no message will be worth it.
    pub(super) fn headers(self, name: &'static str, metadata: HeaderMap, encoding: Option<Encoding>) -> HeaderMap {
        match self {
            Wire::Grpc | Wire::Web(_) => grpc::headers(name, metadata, encoding),
            Wire::Connect => connect_stream::headers(name, metadata, encoding),
        }
    }

    /// The headers before a reply that fails before it begins.
    pub(super) fn headers_of_error(self, name: &'static str, status: &Status) -> HeaderMap {
        match self {
            Wire::Grpc | Wire::Web(_) => grpc::headers(name, HeaderMap::new(), None),
            Wire::Connect => connect_stream::headers_of_error(name, status),
        }
    }

    pub(super) fn end(self, result: Result<HeaderMap, Status>) -> End {
        let trailers = |result: Result<HeaderMap, Status>| match result {
            Ok(metadata) => rpc::grpc::ok_trailers(metadata),
            Err(status) => grpc::error_trailers(&status),
        };
        match self {
            Wire::Grpc => End::Trailers(trailers(result)),
            Wire::Web(_) => End::Envelope(web::trailers(&trailers(result))),
            Wire::Connect => {
                let end: Bytes = connect_stream::end(result.as_ref()).into();
                End::Envelope(Chunk::enveloped(envelope::end_head(end.len()), end))
            }
        }
    }

    /// A status as a reply without a message.
    pub(in crate::edge) fn error(self, name: &'static str, status: &Status) -> Response<Body> {
        match self {
            Wire::Grpc => grpc::error(name, status),
            Wire::Web(layout) => web::error(name, layout, status),
            Wire::Connect => connect_stream::error(name, status),
        }
    }
}
