//! The edge from outside: a real listener on a free port, and clients that are well and badly
//! behaved.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::{PATIENCE, Patience};
use super::{Serving, serve, serve_with};
use crate::admin::{Overview, Phase};
use crate::lanes::Lanes;
use crate::rpc::{
    self, CallFuture, Endpoint, Handler, MethodKind, OpenFuture, Payload, Reply, Route, Router, Served, StreamRequest, metadata, wrong_kind,
};
use crate::settings::Listen;
use crate::status::{Code, Detail, Status};

mod admin;
mod connect;
mod grpc;
mod hostile;
mod life;
mod peers;
mod pressure;
mod remote;
mod sockets;
mod streams;
mod talk;
mod tunnels;
mod web;

/// What anything may take before a test gives up on it.
const LIMIT: Duration = Duration::from_secs(20);

/// The bound of the test service's requests.
const MAX_REQUEST: usize = 100_000;

/// A moment of a call to the slow endpoint.
#[derive(Debug, PartialEq, Eq)]
enum Moment {
    Began,
    Dropped,
}

/// Answers with the request; metadata `lead-*` comes back before, `trail-*` after the message.
struct Echo;

impl Handler for Echo {
    fn call(&self, request: rpc::Request) -> CallFuture {
        let mut reply = Reply { body: request.body, ..Reply::default() };
        for (name, value) in metadata(&request.headers) {
            if name.as_str().starts_with("lead-") {
                reply.headers.append(name, value.clone());
            } else if name.as_str().starts_with("trail-") {
                reply.trailers.append(name, value.clone());
            }
        }
        // What a service must not be able to do.
        reply.headers.insert("content-length", HeaderValue::from_static("7"));
        reply.trailers.insert("grpc-status", HeaderValue::from_static("5"));
        Box::pin(async { Ok(reply) })
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(wrong_kind())))
    }
}

/// A request as text.
fn text(body: &Payload) -> Option<&str> {
    match body {
        Payload::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        Payload::Value(_) | Payload::Run(_) => None,
    }
}

/// Fails with the code that the request names, with a detail and metadata.
struct Fail;

impl Handler for Fail {
    fn call(&self, request: rpc::Request) -> CallFuture {
        let code = text(&request.body).and_then(Code::from_name).unwrap_or(Code::NotFound);
        let detail = Detail { type_name: "t.Why".into(), value: Bytes::from_static(&[8, 1]), debug: Some("{\"why\":1}".into()) };
        let metadata = HeaderMap::from_iter([(http::HeaderName::from_static("x-meta"), HeaderValue::from_static("m"))]);
        let status = Status::new(code, "no \u{fc}ber-user").with_detail(detail).with_metadata(metadata).because("a secret cause");
        Box::pin(async { Err(status) })
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(wrong_kind())))
    }
}

/// Never answers; tells when a call begins and when it is dropped.
struct Slow(mpsc::UnboundedSender<Moment>);

struct Told(mpsc::UnboundedSender<Moment>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody listens any more where a test has ended.
        let _ = self.0.send(Moment::Dropped);
    }
}

impl Handler for Slow {
    fn call(&self, _: rpc::Request) -> CallFuture {
        let told = Told(self.0.clone());
        Box::pin(async move {
            let _ = told.0.send(Moment::Began);
            std::future::pending::<()>().await;
            drop(told);
            Ok(Reply::default())
        })
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(wrong_kind())))
    }
}

/// Answers when it is told to.
struct Waits(mpsc::UnboundedSender<Moment>, Arc<tokio::sync::Semaphore>);

impl Handler for Waits {
    fn call(&self, _: rpc::Request) -> CallFuture {
        let (began, go) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            let _ = began.send(Moment::Began);
            go.acquire().await.expect("never closed").forget();
            Ok(Reply { body: "done".into(), ..Reply::default() })
        })
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(wrong_kind())))
    }
}

/// Answers with as many bytes as the request says.
struct Large;

impl Handler for Large {
    fn call(&self, request: rpc::Request) -> CallFuture {
        let length = text(&request.body).and_then(|text| text.parse().ok()).unwrap_or(0);
        Box::pin(async move { Ok(Reply { body: vec![b'x'; length].into(), ..Reply::default() }) })
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(wrong_kind())))
    }
}

/// Streams by a function; as a unary call it answers with the request.
struct Opens<F>(F);

impl<F: Fn(StreamRequest) -> OpenFuture + Send + Sync> Handler for Opens<F> {
    fn call(&self, request: rpc::Request) -> CallFuture {
        Box::pin(std::future::ready(Ok(Reply { body: request.body, ..Reply::default() })))
    }

    fn open(&self, request: StreamRequest) -> OpenFuture {
        self.0(request)
    }
}

struct TestEdge {
    serving: Serving,
    lanes: Lanes,
    overview: Arc<Overview>,
    moments: mpsc::UnboundedReceiver<Moment>,
    go: Arc<tokio::sync::Semaphore>,
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        self.lanes.stop(LIMIT);
    }
}

impl TestEdge {
    fn start() -> TestEdge {
        TestEdge::with(PATIENCE, Listen::default())
    }

    fn with(patience: Patience, listen: Listen) -> TestEdge {
        TestEdge::open(patience, &Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)).into(), ..listen })
    }

    fn at(address: SocketAddr) -> TestEdge {
        TestEdge::open(PATIENCE, &Listen { address: address.into(), ..Listen::default() })
    }

    fn open(patience: Patience, listen: &Listen) -> TestEdge {
        let (moment, moments) = mpsc::unbounded_channel();
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        let handlers: [(&str, bool, Arc<dyn Handler>); 5] = [
            ("Echo", true, Arc::new(Echo)),
            ("Fail", true, Arc::new(Fail)),
            ("Slow", false, Arc::new(Slow(moment.clone()))),
            ("Waits", false, Arc::new(Waits(moment, go.clone()))),
            ("Large", false, Arc::new(Large)),
        ];
        let endpoints = handlers.map(|(method, safe, handler)| Served {
            endpoint: Endpoint { service: "t.Test".into(), method: method.into(), safe, kind: Some(MethodKind::Unary) },
            handler,
            stats: Arc::default(),
            max_request: MAX_REQUEST,
        });
        let router = Arc::new(Router::default());
        router.set("test", endpoints.into()).expect("no other service");
        let overview = Arc::new(Overview::new(router, Arc::default(), Arc::default()));
        overview.health.enter(Phase::Ready);
        overview.health.set("t.Test", true);
        let lanes = Lanes::start(NonZeroUsize::new(2).expect("two is not zero")).expect("lanes start");
        let serving = serve_with(patience, listen, overview.clone(), None, &lanes).expect("a free port");
        TestEdge { serving, lanes, overview, moments, go }
    }

    /// Serves one more endpoint, a handler of streams.
    fn stream(&self, method: &str, kind: Option<MethodKind>, open: impl Fn(StreamRequest) -> OpenFuture + Send + Sync + 'static) -> Route {
        let endpoint = Endpoint { service: "t.Stream".into(), method: method.into(), safe: false, kind };
        let served = Served { endpoint, handler: Arc::new(Opens(open)), stats: Arc::default(), max_request: MAX_REQUEST };
        self.overview.router.set(method, vec![served]).expect("no other service");
        self.overview.router.find(&format!("/t.Stream/{method}")).expect("routed")
    }

    fn address(&self) -> SocketAddr {
        self.serving.address().expect("it listens to the network")
    }

    async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("the edge accepts")
    }

    /// Sends one request over a connection of its own.
    async fn send(&self, request: Request<Bytes>) -> Answer {
        within(send_over(self.socket().await, request)).await
    }

    async fn moment(&mut self) -> Moment {
        within(self.moments.recv()).await.expect("the handlers live")
    }

    /// Waits until no connection is open, and sees that none is counted.
    async fn all_closed(&self) {
        // A connection has its place before its entry: one that is just coming is counted and not open.
        within(async {
            self.serving.edge.open.emptied().await;
            while self.overview.edge.connections.load(Relaxed) > 0 {
                tokio::task::yield_now().await;
                self.serving.edge.open.emptied().await;
            }
        })
        .await;
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// A whole response.
#[derive(Debug)]
struct Answer {
    head: http::response::Parts,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    async fn read<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(response: Response<B>) -> Answer {
        let (head, body) = response.into_parts();
        let whole = body.collect().await.expect("a whole body");
        let trailers = whole.trailers().cloned().unwrap_or_default();
        Answer { head, body: whole.to_bytes(), trailers }
    }

    fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn trailer(&self, name: &str) -> &str {
        self.trailers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

async fn send_over<S>(socket: S, request: Request<Bytes>) -> Answer
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let request = request.map(Full::new);
    let io = TokioIo::new(socket);
    if request.version() == Version::HTTP_2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        Answer::read(sender.send_request(request).await.expect("an answer")).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP/1");
        tokio::spawn(connection);
        Answer::read(sender.send_request(request).await.expect("an answer")).await
    }
}

fn post(version: Version, method: &str, content_type: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = Request::post(format!("http://test/t.Test/{method}")).version(version).header("content-type", content_type);
    if version != Version::HTTP_2 {
        request = request.header("host", "test");
    }
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body.into()).expect("a valid request")
}

fn get(target: &str) -> Request<Bytes> {
    Request::get(target).header("host", "localhost").body(Bytes::new()).expect("a valid request")
}

/// A message in an envelope.
fn enveloped(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[flags][..], &length, message].concat()
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Writes raw bytes and reads until the edge closes.
async fn raw(edge: &TestEdge, bytes: &[u8]) -> String {
    let mut socket = edge.socket().await;
    // The edge may close before it has read all.
    let _ = socket.write_all(bytes).await;
    read_all(&mut socket).await
}

async fn read_all(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = within(socket.read_to_end(&mut text)).await;
    String::from_utf8_lossy(&text).into_owned()
}
