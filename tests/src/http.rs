//! An HTTP client: hyper, one connection at a time, nothing retried and nothing hidden.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::soon;

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came, packed or not.
    pub body: Bytes,
    /// The trailers; empty where there were none.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A trailer's text; empty where there is none.
    pub fn trailer(&self, name: &str) -> &str {
        self.trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2 with prior knowledge.
    Two,
}

enum Sender {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

/// A connection. Dropping it closes it at once, calls under way or not, as if its process had died.
pub struct Connection {
    /// This end's address, which the host sees as its peer's; none where it is not TCP's.
    pub local: Option<SocketAddr>,
    /// The same socket, to close what hyper would keep open for the calls under way.
    socket: Option<std::net::TcpStream>,
    sender: Sender,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // It fails where the host has closed it already.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        self.driver.abort();
    }
}

impl Connection {
    /// Connects by TCP.
    pub async fn open(address: SocketAddr, version: Version) -> hyper::Result<Connection> {
        let stream = soon("a TCP connection", TcpStream::connect(address)).await.expect("the host listens");
        stream.set_nodelay(true).expect("a TCP socket takes TCP_NODELAY");
        let local = stream.local_addr().ok();
        let socket = stream.into_std().expect("a socket can leave its runtime");
        let stream = socket.try_clone().and_then(TcpStream::from_std).expect("a socket can be shared");
        let mut connection = Connection::over(stream, version).await?;
        connection.local = local;
        connection.socket = Some(socket);
        Ok(connection)
    }

    /// Speaks HTTP over what is connected.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, version: Version) -> hyper::Result<Connection> {
        let stream = TokioIo::new(stream);
        Ok(match version {
            Version::One => {
                let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
                // How a connection ends is told to the calls on it.
                let driver = tokio::spawn(async { drop(connection.await) });
                Connection { local: None, socket: None, sender: Sender::One(sender), driver }
            }
            Version::Two => {
                let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
                let driver = tokio::spawn(async { drop(connection.await) });
                Connection { local: None, socket: None, sender: Sender::Two(sender), driver }
            }
        })
    }

    /// Sends a request and reads the whole response. On HTTP/2 several may be under way.
    pub async fn send(&mut self, request: Request<Bytes>) -> hyper::Result<Answer> {
        self.begin(request).await?.await
    }

    /// Sends a request once the connection takes it; the response is the inner future's.
    pub async fn begin(&mut self, request: Request<Bytes>) -> hyper::Result<impl Future<Output = hyper::Result<Answer>> + Send + 'static> {
        let mut request = request.map(Full::new);
        let response = match &mut self.sender {
            Sender::One(sender) => {
                // Only proxies are sent the whole URI.
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                *request.uri_mut() = path.parse().expect("a part of a valid URI");
                sender.ready().await?;
                futures::future::Either::Left(sender.send_request(request))
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                futures::future::Either::Right(sender.send_request(request))
            }
        };
        Ok(async move {
            let (head, body) = response.await?.into_parts();
            let collected = body.collect().await?;
            let trailers = collected.trailers().cloned().unwrap_or_default();
            Ok(Answer { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
        })
    }
}

/// Sends one request on a connection of its own.
///
/// # Panics
/// If there is no answer, or none in time.
pub async fn send(address: SocketAddr, version: Version, request: Request<Bytes>) -> Answer {
    let what = format!("an answer to {} {}", request.method(), request.uri());
    soon(&what, async { Connection::open(address, version).await?.send(request).await })
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// A request to `address` with a body.
pub fn request(method: &str, address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    // HTTP/2 takes scheme and host from here; HTTP/1.1 takes the host from the header.
    Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("host", address.to_string())
        .body(body.into())
        .expect("the tests write valid requests")
}
