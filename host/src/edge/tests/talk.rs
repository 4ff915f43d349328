//! A client that talks in streams, in every protocol, at its own pace.

use std::io;
use std::net::Shutdown;
use std::task::Poll;

use bytes::{Buf as _, BytesMut};
use futures::channel::mpsc as futures_mpsc;
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use hyper::body::Incoming;

use super::*;
use crate::edge::web::Text;

/// A protocol as a client speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Web,
    WebText,
    Connect,
}

/// Every protocol, over every version of HTTP that it has.
pub(super) const WAYS: [(Protocol, Version); 7] = [
    (Protocol::Grpc, Version::HTTP_2),
    (Protocol::Web, Version::HTTP_11),
    (Protocol::Web, Version::HTTP_2),
    (Protocol::WebText, Version::HTTP_11),
    (Protocol::WebText, Version::HTTP_2),
    (Protocol::Connect, Version::HTTP_11),
    (Protocol::Connect, Version::HTTP_2),
];

impl Protocol {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Protocol::Grpc => "application/grpc+proto",
            Protocol::Web => "application/grpc-web+proto",
            Protocol::WebText => "application/grpc-web-text+proto",
            Protocol::Connect => "application/connect+proto",
        }
    }

    /// The headers' names for the compression of messages, and for what is accepted.
    pub(super) fn encoding(self) -> (&'static str, &'static str) {
        match self {
            Protocol::Connect => ("connect-content-encoding", "connect-accept-encoding"),
            _ => ("grpc-encoding", "grpc-accept-encoding"),
        }
    }

    /// A deadline's header.
    pub(super) fn timeout(self, millis: u32) -> (&'static str, String) {
        match self {
            Protocol::Connect => ("connect-timeout-ms", millis.to_string()),
            _ => ("grpc-timeout", format!("{millis}m")),
        }
    }
}

/// What a reply brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Message(Bytes),
    /// The code, and the metadata that came with it, but for the protocol's own.
    End(Code, Vec<(String, String)>),
    /// The connection or the stream broke.
    Broken,
}

type Body = StreamBody<futures_mpsc::UnboundedReceiver<Result<Frame<Bytes>, io::Error>>>;

/// One call with streams.
pub(super) struct Talk {
    protocol: Protocol,
    pub(super) head: http::response::Parts,
    body: Incoming,
    send: Option<futures_mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>>,
    heard: BytesMut,
    text: Text,
    /// The sizes of the frames that came, as the client's HTTP gave them out.
    pub(super) frames: Vec<usize>,
    /// The flags of the last message.
    pub(super) flags: u8,
    socket: std::net::TcpStream,
}

impl Talk {
    /// Opens a call; resolves when the reply's headers are there.
    pub(super) async fn open(edge: &TestEdge, way: (Protocol, Version), method: &str, headers: &[(&str, &str)]) -> Talk {
        Talk::begin(edge, way, method, headers, &[], true).await
    }

    /// Sends all there is to send, in these pieces, and waits for the reply's headers.
    pub(super) async fn whole(edge: &TestEdge, way: (Protocol, Version), method: &str, headers: &[(&str, &str)], pieces: &[Bytes]) -> Talk {
        Talk::begin(edge, way, method, headers, pieces, false).await
    }

    /// Opens a call that begins with these pieces, and has `more` to say or not.
    pub(super) async fn begin(
        edge: &TestEdge,
        (protocol, version): (Protocol, Version),
        method: &str,
        headers: &[(&str, &str)],
        first: &[Bytes],
        more: bool,
    ) -> Talk {
        let (send, receive) = futures_mpsc::unbounded();
        for bytes in first {
            send.unbounded_send(Ok(Frame::data(bytes.clone()))).expect("the receiver lives");
        }
        let send = more.then_some(send);
        let request = post(version, "", protocol.content_type(), headers, "");
        let (mut parts, _) = request.into_parts();
        parts.uri = format!("http://test/t.Stream/{method}").parse().expect("valid");
        let request = Request::from_parts(parts, StreamBody::new(receive));
        let socket = edge.socket().await.into_std().expect("a socket");
        let io = TokioIo::new(TcpStream::from_std(socket.try_clone().expect("a descriptor")).expect("a socket"));
        let response = if version == Version::HTTP_2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            within(sender.send_request(request)).await.expect("an answer")
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Body>(io).await.expect("HTTP/1");
            tokio::spawn(connection);
            within(sender.send_request(request)).await.expect("an answer")
        };
        let (head, body) = response.into_parts();
        let (heard, text, frames) = (BytesMut::new(), Text::default(), Vec::new());
        Talk { protocol, head, body, send, heard, text, frames, flags: 0, socket }
    }

    /// Sends bytes as they are.
    pub(super) fn send_raw(&self, bytes: impl Into<Bytes>) {
        let send = self.send.as_ref().expect("not half-closed");
        // A call that has ended takes nothing more.
        let _ = send.unbounded_send(Ok(Frame::data(bytes.into())));
    }

    /// Sends one message.
    pub(super) fn send(&self, message: &[u8]) {
        self.send_raw(written(self.protocol, &enveloped(0, message)));
    }

    /// Says that there is nothing more to come.
    pub(super) fn half_close(&mut self) {
        self.send = None;
    }

    /// Goes away in the middle of everything.
    pub(super) fn hang_up(self) {
        self.socket.shutdown(Shutdown::Both).expect("open until now");
    }

    /// Gives the call up: its stream alone in HTTP/2, the connection in HTTP/1.
    pub(super) fn give_up(&self) {
        let send = self.send.as_ref().expect("not half-closed");
        send.unbounded_send(Err(io::Error::other("given up"))).expect("the call is under way");
    }

    /// The next of the reply.
    pub(super) async fn next(&mut self) -> Heard {
        if let Some(status) = self.head.headers.get("grpc-status") {
            return Heard::End(code(status.to_str().expect("text")), own(&self.head.headers));
        }
        loop {
            if let Some(head) = self.heard.first_chunk::<5>().copied() {
                let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).expect("a length");
                if self.heard.len() >= 5 + length {
                    self.heard.advance(5);
                    let content = self.heard.split_to(length).freeze();
                    return match head[0] {
                        0x80 => Heard::from_block(&content),
                        0x02 => Heard::from_json(&content),
                        flags => {
                            self.flags = flags;
                            Heard::Message(content)
                        }
                    };
                }
            }
            match within(self.body.frame()).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.frames.push(data.len());
                        if self.protocol == Protocol::WebText {
                            let mut bytes = Vec::new();
                            self.text.read(&data, &mut bytes).expect("base64");
                            self.heard.extend_from_slice(&bytes);
                        } else {
                            self.heard.extend_from_slice(&data);
                        }
                    }
                    Err(frame) => {
                        assert!(self.heard.is_empty(), "a message was not whole");
                        let trailers = frame.into_trailers().expect("trailers");
                        return Heard::End(code(trailers["grpc-status"].to_str().expect("text")), own(&trailers));
                    }
                },
                Some(Err(_)) | None => return Heard::Broken,
            }
        }
    }

    /// The rest of the reply: its messages, and how it ended.
    pub(super) async fn rest(&mut self) -> (Vec<Bytes>, Heard) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Heard::Message(message) => messages.push(message),
                end => return (messages, end),
            }
        }
    }

    /// Whether something of the reply is there at this moment.
    pub(super) async fn is_pending(&mut self) -> bool {
        futures::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut self.body).poll_frame(cx).is_pending())).await
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// Bytes as a protocol's body has them.
pub(super) fn written(protocol: Protocol, bytes: &[u8]) -> Bytes {
    if protocol == Protocol::WebText { base64(bytes).into() } else { bytes.to_vec().into() }
}

impl Heard {
    pub(super) fn code(&self) -> Code {
        match self {
            Heard::End(code, _) => *code,
            other => panic!("not the end: {other:?}"),
        }
    }

    fn from_block(block: &[u8]) -> Heard {
        let mut headers = HeaderMap::new();
        for line in std::str::from_utf8(block).expect("text").lines() {
            let (name, value) = line.split_once(": ").expect("a header");
            headers.append(http::HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"));
        }
        Heard::End(code(headers["grpc-status"].to_str().expect("text")), own(&headers))
    }

    fn from_json(json: &[u8]) -> Heard {
        let end: serde_json::Value = serde_json::from_slice(json).expect("JSON");
        let code = match &end["error"] {
            serde_json::Value::Null => Code::Ok,
            error => Code::from_name(error["code"].as_str().expect("a code")).expect("a known code"),
        };
        let values = |(name, values): (&String, &serde_json::Value)| {
            let values = values.as_array().expect("a list").iter();
            values.map(|value| (name.clone(), value.as_str().expect("text").to_owned())).collect::<Vec<_>>()
        };
        Heard::End(code, end["metadata"].as_object().into_iter().flatten().flat_map(values).collect())
    }
}

fn code(number: &str) -> Code {
    Code::from_number(number.parse().expect("a number")).expect("a known code")
}

fn own(headers: &HeaderMap) -> Vec<(String, String)> {
    let own = metadata(headers).filter(|(name, _)| *name != "date");
    own.map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect()
}
