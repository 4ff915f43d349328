//! Calls with streams, message by message: gRPC's and Connect's envelopes over HTTP/2, with JSON in
//! them, so that tests read as what is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use futures::future::Either;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::grpc::frame;
use crate::host::Host;
use crate::soon;

/// Messages that a client may have ready before the connection takes them.
const AHEAD: usize = 1;

/// A connection that calls with streams are made on. Dropping it closes it.
pub struct Streams {
    sender: SendRequest<UnsyncBoxBody<Bytes, Infallible>>,
    driver: JoinHandle<()>,
    authority: String,
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How a stream ended.
#[derive(Debug)]
pub struct End {
    /// gRPC's status.
    pub status: u8,
    /// Its message.
    pub message: String,
    /// The trailers, or the headers of a reply of trailers alone.
    pub trailers: HeaderMap,
}

/// A call under way. Dropping it resets its HTTP/2 stream.
pub struct Stream {
    send: Option<mpsc::Sender<Result<Frame<Bytes>, Infallible>>>,
    /// The headers of the reply.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
    ready: VecDeque<Value>,
    trailers: Option<HeaderMap>,
}

impl Host {
    /// Opens a connection for calls with streams.
    pub async fn streams(&self) -> Streams {
        let socket = soon("a TCP connection", TcpStream::connect(self.address)).await.expect("the host listens");
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2 is spoken");
        // How it ends is told to the calls on it.
        let driver = tokio::spawn(async { drop(connection.await) });
        Streams { sender, driver, authority: self.address.to_string() }
    }
}

impl Streams {
    /// Begins a call, and waits for the headers of the reply. The messages so far are sent first.
    pub async fn open(&mut self, endpoint: &str, messages: &[Value]) -> Stream {
        self.open_with(endpoint, messages, &[]).await
    }

    /// The same with headers.
    pub async fn open_with(&mut self, endpoint: &str, messages: &[Value], headers: &[(&str, &str)]) -> Stream {
        let (mut send, receive) = mpsc::channel(AHEAD);
        let response = self.begin(endpoint, headers, StreamBody::new(receive).boxed_unsync()).await;
        let feed = async {
            for message in messages {
                send.send(Ok(Frame::data(envelope(message)))).await.expect("the request is read");
            }
        };
        let (response, ()) = soon("the headers of a reply", futures::future::join(response, feed)).await;
        Stream::of(response.expect("a reply"), Some(send))
    }

    /// A whole call: all messages, then the client's end, then the reply.
    pub async fn all(&mut self, endpoint: &str, messages: &[Value]) -> (Vec<Value>, End) {
        let mut stream = self.open_done(endpoint, messages).await;
        let mut replies = Vec::new();
        while let Some(reply) = stream.next().await {
            replies.push(reply);
        }
        (replies, stream.end().await)
    }

    /// Begins a call whose messages are all known: the client's side ends with them.
    pub async fn open_done(&mut self, endpoint: &str, messages: &[Value]) -> Stream {
        self.open_done_with(endpoint, messages, &[]).await
    }

    /// The same with headers.
    pub async fn open_done_with(&mut self, endpoint: &str, messages: &[Value], headers: &[(&str, &str)]) -> Stream {
        let body: Bytes = messages.iter().flat_map(envelope).collect();
        let response = self.begin(endpoint, headers, http_body_util::Full::new(body).boxed_unsync()).await;
        Stream::of(soon("the headers of a reply", response).await.expect("a reply"), None)
    }

    async fn begin(
        &mut self,
        endpoint: &str,
        headers: &[(&str, &str)],
        body: UnsyncBoxBody<Bytes, Infallible>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let mut request = Request::post(format!("http://{}/{endpoint}", self.authority))
            .header("content-type", "application/grpc+json")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        soon("a place on the connection", self.sender.ready()).await.expect("the connection is open");
        self.sender.send_request(request.body(body).expect("the tests write valid requests"))
    }
}

fn envelope(message: &Value) -> Bytes {
    frame(false, message.to_string().as_bytes())
}

impl Stream {
    fn of(response: Response<Incoming>, send: Option<mpsc::Sender<Result<Frame<Bytes>, Infallible>>>) -> Stream {
        let (head, body) = response.into_parts();
        assert_eq!(head.status, 200, "gRPC's HTTP status is always 200: {head:?}");
        let alone = head.headers.contains_key("grpc-status").then(|| head.headers.clone());
        Stream { send, headers: head.headers, body, buffer: Vec::new(), ready: VecDeque::new(), trailers: alone }
    }

    /// Sends one message; waits while the connection takes no more.
    pub async fn send(&mut self, message: &Value) {
        soon("room for a message", self.try_send(message)).await.expect("the request is still read");
    }

    /// Sends one message, however long that takes. Fails where the request is not read any more.
    pub async fn try_send(&mut self, message: &Value) -> Result<(), mpsc::SendError> {
        let send = self.send.as_mut().expect("this side has not ended");
        send.send(Ok(Frame::data(envelope(message)))).await
    }

    /// Ends the client's side.
    pub fn half_close(&mut self) {
        self.send = None;
    }

    /// The next message of the reply; none at its end.
    pub async fn next(&mut self) -> Option<Value> {
        soon("a message", self.poll()).await
    }

    /// Whether nothing comes for so long.
    pub async fn is_quiet_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.poll()).await.is_err()
    }

    async fn poll(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.trailers.is_some() {
                return None;
            }
            let Some(frame) = self.body.frame().await else {
                self.trailers = Some(HeaderMap::new());
                return None;
            };
            match frame.expect("the reply is not reset").into_data() {
                Ok(data) => self.take(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
    }

    fn take(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
        let mut rest = self.buffer.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(message) = after.get(..length) else { break };
            self.ready.push_back(serde_json::from_slice(message).expect("a message is JSON"));
            rest = &after[length..];
        }
        let left = rest.len();
        self.buffer.drain(..self.buffer.len() - left);
    }

    /// How the call ended, once there are no more messages.
    ///
    /// # Panics
    /// If there is one.
    pub async fn end(&mut self) -> End {
        if let Some(message) = self.next().await {
            panic!("expected the end, got {message}");
        }
        let trailers = self.trailers.clone().unwrap_or_default();
        let text = |name: &str| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
        let status = text("grpc-status").parse().unwrap_or_else(|_| panic!("no grpc-status: {trailers:?}"));
        End { status, message: text("grpc-message"), trailers }
    }
}

/// A call whose reply has not begun. Dropping it resets its HTTP/2 stream.
pub struct Unanswered {
    send: mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
    response: Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>,
}

impl Streams {
    /// Begins a call without a message, and does not wait for the reply.
    pub async fn begin_unanswered(&mut self, endpoint: &str) -> Unanswered {
        let (send, receive) = mpsc::channel(AHEAD);
        let response = self.begin(endpoint, &[], StreamBody::new(receive).boxed_unsync()).await;
        Unanswered { send, response: Box::pin(response) }
    }
}

impl Unanswered {
    /// Waits for the headers of the reply.
    pub async fn answered(self) -> Stream {
        Stream::of(soon("the headers of a reply", self.response).await.expect("a reply"), Some(self.send))
    }

    /// Sends the same message until none is taken for so long; how many were.
    pub async fn send_until_stuck(self, message: &Value, patience: Duration) -> usize {
        let Unanswered { mut send, response } = self;
        let sending = async {
            let mut sent = 0;
            while let Ok(Ok(())) = tokio::time::timeout(patience, send.send(Ok(Frame::data(envelope(message))))).await {
                sent += 1;
            }
            sent
        };
        match futures::future::select(std::pin::pin!(sending), response).await {
            Either::Left((sent, _)) => sent,
            Either::Right((response, _)) => panic!("no answer was expected, got {response:?}"),
        }
    }
}
