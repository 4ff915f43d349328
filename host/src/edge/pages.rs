//! The host's own pages and its admin API, as the listener answers them.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::activity::CallGuard;
use super::body::Body;
use super::request;
use super::unary::Peer;
use crate::admin::{self, ApiBody};

/// Answers a request for a path under [`admin::PREFIX`].
pub(super) async fn answer(peer: &Peer, head: Parts, mut body: Incoming, mut call: CallGuard) -> Response<Body> {
    let edge = &*peer.edge;
    // Who has no address is not of this machine.
    let from = peer.address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| address.ip());
    let reply = admin::answer(&edge.overview, &edge.access, edge.api.as_deref(), &head, &mut body, from).await;
    request::skip(&head, &mut body).await;
    if http_body::Body::size_hint(reply.body()).exact().is_none() {
        call.streams();
    }
    reply.map(|told| Body::Tonic(tonic::body::Body::new(Held { told, _call: call })))
}

/// A body that counts as a call under way until it is told: a log that is read along may be quiet for
/// long.
struct Held {
    told: ApiBody,
    _call: CallGuard,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.told).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.told.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.told.size_hint()
    }
}
