//! Calls by plain HTTP: for services that answer requests themselves and want no messages made of
//! them. They live under a route, a prefix of the path, beside the endpoints.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::combinators::UnsyncBoxBody;

use super::Caller;
use crate::settings::HttpRoute;
use crate::stats::EndpointStats;
use crate::status::Status;

/// A body on its way in or out. Nothing of it is read ahead of whoever polls.
///
/// It ends well only with `None`: whoever stops before has lost the rest, and an error ends it.
pub type HttpBody = UnsyncBoxBody<Bytes, Status>;

/// A request on its way to a handler.
pub struct HttpRequest {
    /// Method, headers, and a URI with scheme and authority.
    pub head: Parts,
    /// The body; `None` where the request has none.
    pub body: Option<HttpBody>,
    /// Who calls.
    pub caller: Caller,
}

/// What a handler returns; it resolves when the response begins, which may be before the request's
/// body has come. Dropping it, or the response's body before its end, cancels the call.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<Response<HttpBody>, Status>> + Send>>;

/// Answers the requests under one route.
///
/// A response is the service's own, errors of its own too; a `Status` says that there is none.
pub trait HttpHandler: Send + Sync {
    /// Begins a request.
    fn serve(&self, request: HttpRequest) -> HttpFuture;
}

/// A route with what answers there and what is counted of it.
pub struct HttpServed {
    /// The service's name.
    pub service: Arc<str>,
    /// The paths that are answered.
    pub route: HttpRoute,
    /// What answers.
    pub handler: Arc<dyn HttpHandler>,
    /// What is counted; by codes, where an answered request is `ok` whatever its status.
    pub stats: Arc<EndpointStats>,
}
