//! gRPC and gRPC-Web as their specifications have it: frames and trailers, written out.

use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use prost::Message;

use crate::host::Host;
use crate::http::{Answer, Version, request, send};

/// A message with its five bytes of prefix.
pub fn frame(packed: bool, message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(u8::from(packed));
    framed.put_u32(u32::try_from(message.len()).expect("the tests' messages are small"));
    framed.put_slice(message);
    framed.freeze()
}

/// The frames of a body: flags and message.
///
/// # Panics
/// If a frame is cut short.
pub fn frames(mut body: &[u8]) -> Vec<(u8, Bytes)> {
    let mut frames = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        frames.push((prefix[0], Bytes::copy_from_slice(&rest[..length])));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "half a frame at the end: {body:?}");
    frames
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    /// The messages.
    pub messages: Vec<Bytes>,
    /// `grpc-status`.
    pub status: u8,
    /// `grpc-message`, decoded.
    pub message: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The trailers; a reply of trailers alone has them here.
    pub trailers: HeaderMap,
}

impl Outcome {
    fn new(messages: Vec<Bytes>, headers: HeaderMap, trailers: HeaderMap) -> Outcome {
        let text = |name: &str| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let status = text("grpc-status").and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no grpc-status: {headers:?} {trailers:?}"));
        let message = text("grpc-message").map(|message| unescape(&message)).unwrap_or_default();
        Outcome { messages, status, message, headers, trailers }
    }

    /// The reply of a call that has to succeed.
    ///
    /// # Panics
    /// If it did not, or there is not one message.
    #[track_caller]
    pub fn reply<M: Message + Default>(&self) -> M {
        assert_eq!((self.status, self.messages.len()), (0, 1), "{self:?}");
        M::decode(&*self.messages[0]).expect("a reply is a message")
    }

    /// The `google.rpc.Status` of the trailers.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn details(&self) -> RpcStatus {
        let details = self.trailers.get("grpc-status-details-bin").unwrap_or_else(|| panic!("no details: {self:?}"));
        let engine = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        );
        let details = engine.decode(details.as_bytes()).expect("binary metadata is base64");
        RpcStatus::decode(&*details).expect("the details are a google.rpc.Status")
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    /// The code's number.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The message.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The details.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<prost_types::Any>,
}

fn unescape(message: &str) -> String {
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A gRPC call, not sent yet.
pub struct Call<'a> {
    host: &'a Host,
    request: Request<Bytes>,
}

impl Host {
    /// A gRPC call of `endpoint` over HTTP/2.
    pub fn grpc(&self, endpoint: &str, message: &impl Message) -> Call<'_> {
        let mut request = request("POST", self.address, &format!("/{endpoint}"), frame(false, &message.encode_to_vec()));
        request.headers_mut().remove("host");
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        Call { host: self, request }
    }

    /// A gRPC-Web call of `endpoint` over HTTP/1.1.
    pub async fn grpc_web(&self, endpoint: &str, message: &impl Message) -> Outcome {
        let mut request = request("POST", self.address, &format!("/{endpoint}"), frame(false, &message.encode_to_vec()));
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc-web+proto"));
        let answer = send(self.address, Version::One, request).await;
        web_outcome(&answer)
    }
}

fn web_outcome(answer: &Answer) -> Outcome {
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut trailers = HeaderMap::new();
    let mut messages = Vec::new();
    for (flags, payload) in frames(&answer.body) {
        if flags & 0x80 == 0 {
            messages.push(payload);
            continue;
        }
        for line in String::from_utf8_lossy(&payload).lines() {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a trailer is `name: value`, got {line:?}"));
            let name: HeaderName = name.parse().expect("a trailer's name is a header's");
            trailers.insert(name, value.trim().parse().expect("a trailer's value is a header's"));
        }
    }
    // A reply of trailers alone may carry them as headers.
    let trailers = if trailers.is_empty() { answer.headers.clone() } else { trailers };
    Outcome::new(messages, answer.headers.clone(), trailers)
}

impl Call<'_> {
    /// Adds a header; one that is there already is replaced.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("the tests write valid header names");
        self.request.headers_mut().insert(name, value.parse().expect("the tests write valid header values"));
        self
    }

    /// Sends other bytes instead of the one frame.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// The request itself, to be sent otherwise.
    pub fn into_request(self) -> Request<Bytes> {
        self.request
    }

    /// Sends it on a connection of its own.
    pub async fn outcome(self) -> Outcome {
        outcome(&send(self.host.address, Version::Two, self.request).await)
    }
}

/// Reads a gRPC answer.
///
/// # Panics
/// If it is none.
pub fn outcome(answer: &Answer) -> Outcome {
    assert_eq!(answer.status, 200, "gRPC's HTTP status is always 200: {answer:?}");
    assert!(answer.header("content-type").starts_with("application/grpc"), "{answer:?}");
    let alone = answer.trailers.is_empty();
    let trailers = if alone { &answer.headers } else { &answer.trailers };
    Outcome::new(frames(&answer.body).into_iter().map(|(_, message)| message).collect(), answer.headers.clone(), trailers.clone())
}
