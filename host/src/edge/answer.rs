//! Which protocol a request speaks and what answers it; and what callers are told whose request
//! fits nothing.

use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::activity::CallGuard;
use super::body::Body;
use super::content::{Content, accept_post, connect_names};
use super::request::Layout;
use super::stream::{self, Wire};
use super::unary::Peer;
use super::{connect, connect_stream, grpc, health, http as plain_http, pages, reflection, request, web};
use crate::admin::PREFIX;
use crate::rpc::{HttpServed, MethodKind, Route, Router};
use crate::schema::Codec;
use crate::settings::nearest;
use crate::status::{Code, Status};

const ACCEPT_POST_NAME: HeaderName = HeaderName::from_static("accept-post");

/// A wrong path is compared with the right ones only up to this length and with so many of them, and
/// so many methods are named: whoever asks for what is not there must not cost much.
const MAX_COMPARED: usize = 120;
const MAX_CANDIDATES: usize = 50;

/// Answers one request.
pub(super) async fn answer(peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
    let call = peer.activity.begin_call();
    let (mut head, mut body) = request.into_parts();
    // HTTP/1 is bounded by hyper, HTTP/2 only in bytes.
    if head.headers.len() > peer.edge.headers {
        let status = Status::new(Code::ResourceExhausted, format!("the request has more than {} headers", peer.edge.headers));
        return refusal(content(&head), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &status);
    }
    let path = head.uri.path();
    let route = match peer.edge.overview.router.find(path) {
        Some(route) => route,
        None if path == health::CHECK => peer.edge.health.check(),
        None if path == health::WATCH => peer.edge.health.watch(),
        None if is_own(path) => return Box::pin(elsewhere(&peer, head, body, call)).await,
        None => match rest(&peer, &head) {
            Rest::Gateway(route) => route,
            Rest::Http(route) => return Box::pin(plain_http::serve(&peer, route, head, body, call)).await,
            Rest::Nobody => return Box::pin(elsewhere(&peer, head, body, call)).await,
        },
    };
    // What is rare is boxed: a future is as large as its largest branch, and each call moves it.
    match way(&route, &head) {
        Way::Connect(codec) => connect::post(&peer, route, codec, &mut head, &mut body).await,
        Way::Grpc(call) => grpc::unary(&peer, route, call, &mut head, &mut body).await,
        Way::GrpcWeb(call) => Box::pin(web::unary(&peer, route, call, &mut head, &mut body)).await,
        Way::Stream(stream) => Box::pin(stream::answer(&peer, route, stream, head, body, call)).await,
        Way::Get => Box::pin(connect::get(&peer, route, head)).await,
        Way::None(refusal) => {
            Box::pin(request::skip(&head, &mut body)).await;
            *refusal
        }
    }
}

/// Whether a path is the host's own, so that no gateway for all the rest has it.
fn is_own(path: &str) -> bool {
    path.starts_with(PREFIX) || path.starts_with(health::PREFIX) || path.starts_with(reflection::PREFIX)
}

fn content(head: &http::request::Parts) -> Option<(Content, &'static str)> {
    head.headers.get(CONTENT_TYPE).and_then(Content::of)
}

/// The way to answer a request for an endpoint.
enum Way {
    Connect(Codec),
    Get,
    Grpc(grpc::Head),
    GrpcWeb(grpc::Head),
    Stream(stream::Head),
    None(Box<Response<Body>>),
}

fn way(route: &Route, head: &http::request::Parts) -> Way {
    let kind = route.endpoint.kind;
    let unary = kind == Some(MethodKind::Unary);
    if head.method != Method::POST {
        return if head.method == Method::GET && is_got(route) { Way::Get } else { Way::None(Box::new(wrong_method(route, &head.method))) };
    }
    let Some((content, name)) = content(head).filter(|(content, _)| content.fits(kind)) else {
        return Way::None(Box::new(unsupported(kind, head)));
    };
    // A handler of every kind sees gRPC's calls as streams: on the wire they look the same.
    let grpc = |codec, layout| grpc::Head { codec, name, layout };
    let stream = |codec, wire| Way::Stream(stream::Head { wire, codec, name });
    match content {
        Content::Connect(codec) => Way::Connect(codec),
        Content::ConnectStream(codec) => stream(codec, Wire::Connect),
        Content::Grpc(_) if head.version != Version::HTTP_2 => {
            let what = "gRPC needs HTTP/2; over HTTP/1.1 there are gRPC-Web and Connect";
            Way::None(Box::new(plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED, what)))
        }
        Content::Grpc(codec) if unary => Way::Grpc(grpc(codec, Layout::Enveloped)),
        Content::Grpc(codec) => stream(codec, Wire::Grpc),
        Content::GrpcWeb(codec) if unary => Way::GrpcWeb(grpc(codec, Layout::Enveloped)),
        Content::GrpcWeb(codec) => stream(codec, Wire::Web(Layout::Enveloped)),
        Content::GrpcWebText(codec) if unary => Way::GrpcWeb(grpc(codec, Layout::EnvelopedText)),
        Content::GrpcWebText(codec) => stream(codec, Wire::Web(Layout::EnvelopedText)),
    }
}

/// Who answers a request for a path that is no endpoint's.
enum Rest {
    Gateway(Route),
    Http(Arc<HttpServed>),
    Nobody,
}

/// A call goes to the gateway for all services, any other request to the route of plain HTTP, and to
/// the other one of the two where there is but one.
fn rest(peer: &Peer, head: &http::request::Parts) -> Rest {
    let (path, router) = (head.uri.path(), &peer.edge.overview.router);
    // Each is asked for only where it may answer: a version that is tried takes its share of look-ups.
    let http = || router.find_http(path).map(Rest::Http);
    let gateway = || router.rest(path).map(Rest::Gateway);
    let found = if content(head).is_some() { gateway().or_else(http) } else { http().or_else(gateway) };
    found.unwrap_or(Rest::Nobody)
}

fn is_grpc(head: &http::request::Parts) -> bool {
    head.version == Version::HTTP_2 && matches!(content(head), Some((Content::Grpc(_), _)))
}

/// Whether an endpoint may be called by GET, which streams never are.
fn is_got(route: &Route) -> bool {
    route.endpoint.safe && matches!(route.endpoint.kind, None | Some(MethodKind::Unary))
}

/// Answers a request for what is no endpoint of a service.
async fn elsewhere(peer: &Peer, head: http::request::Parts, mut body: Incoming, call: CallGuard) -> Response<Body> {
    let edge = &*peer.edge;
    let path = head.uri.path();
    if path.starts_with(PREFIX) {
        return pages::answer(peer, head, body, call).await;
    }
    let grpc = is_grpc(&head);
    if grpc && path.starts_with(reflection::PREFIX) {
        return edge.reflection.answer(&edge.overview.catalog, Request::from_parts(head, body)).await.map(Body::Tonic);
    }
    let status = Status::new(Code::Unimplemented, nothing_at(path, &edge.overview.router)).unseen();
    request::skip(&head, &mut body).await;
    refusal(content(&head), StatusCode::NOT_FOUND, &status)
}

/// A refusal in the caller's protocol; `http` is its HTTP status where the protocol has none of
/// its own.
fn refusal(content: Option<(Content, &'static str)>, http: StatusCode, status: &Status) -> Response<Body> {
    match content {
        Some((Content::Grpc(_), name)) => grpc::error(name, status),
        Some((Content::GrpcWeb(_), name)) => web::error(name, Layout::Enveloped, status),
        Some((Content::GrpcWebText(_), name)) => web::error(name, Layout::EnvelopedText, status),
        Some((Content::ConnectStream(_), name)) => connect_stream::error(name, status),
        Some((Content::Connect(_), _)) | None => connect::error_as(http, status),
    }
}

/// What is wrong with the HTTP of a request and so is no status of any protocol. In plain text:
/// clients of a protocol would take JSON for an error of its own.
pub(super) fn plain(http: StatusCode, what: &str) -> Response<Body> {
    let mut response = Response::new(Body::whole(format!("{what}\n").into()));
    *response.status_mut() = http;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn wrong_method(route: &Route, method: &Method) -> Response<Body> {
    let allowed = if is_got(route) { "GET, POST" } else { "POST" };
    let what = format!("{method} is not for {}, but {allowed}", route.endpoint.path());
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, &what);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn unsupported(kind: Option<MethodKind>, head: &http::request::Parts) -> Response<Body> {
    let unary = matches!(kind, None | Some(MethodKind::Unary));
    let json = if unary { "application/json" } else { "application/connect+json" };
    let what = match (head.headers.get(CONTENT_TYPE), content(head)) {
        (None, _) => format!("the request has no content type; for JSON send content-type: {json}"),
        (Some(_), Some((_, name))) => {
            let (its, this) = if unary { ("streams", "is a unary call") } else { ("unary calls", "streams") };
            format!("{name} is for {its}, and this one {this}: send it as one of {}", connect_names(kind))
        }
        (Some(value), None) => format!("the content type {value:?} is not known; send the call as one of {}", connect_names(kind)),
    };
    let mut response = plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &what);
    response.headers_mut().insert(ACCEPT_POST_NAME, accept_post(kind));
    response
}

/// What to tell whoever asks for a path that nothing serves.
fn nothing_at(path: &str, router: &Router) -> String {
    let look = format!("{PREFIX}services lists what is served");
    if path.len() > MAX_COMPARED {
        return format!("nothing is served at this path; {look}");
    }
    let routes = router.all();
    // Names whose lengths differ by more than a third are never near.
    let near = |candidate: &String| candidate.len().abs_diff(path.len()) * 3 <= candidate.len();
    let paths: Vec<String> = routes.iter().map(|route| route.endpoint.path()).filter(near).take(MAX_CANDIDATES).collect();
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let methods: Vec<&str> = routes
        .iter()
        .filter(|route| *route.endpoint.service == *service)
        .take(MAX_CANDIDATES)
        .map(|route| &*route.endpoint.method)
        .collect();
    match nearest(path, paths.iter().map(String::as_str)) {
        Some(near) => format!("nothing is served at {path}, did you mean {near}? {look}"),
        None if !methods.is_empty() => format!("{service} has no such method, it has {}; {look}", methods.join(", ")),
        None => format!("nothing is served at {path}; {look}"),
    }
}
