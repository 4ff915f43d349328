//! How a call ended, in each protocol's words, and what the user is told of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use microhost::status::Code;
use percent_encoding::percent_decode;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::{Deserialize, Serialize};

use super::codec;
use super::json::pretty;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// A call that failed, as the host tells it; written as a Connect error is (the Connect protocol,
/// "Error end-stream").
#[derive(Debug, Deserialize, Serialize)]
pub struct Wrong {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    debug: Option<serde_json::Value>,
}

/// How a call ended: with trailers, or with a status.
pub type Ending = Result<HeaderMap, Wrong>;

/// The last frame of a Connect stream.
#[derive(Deserialize)]
struct EndStream {
    error: Option<Wrong>,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, Vec<String>>,
}

/// `google.rpc.Status`, what `grpc-status-details-bin` holds.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

impl Wrong {
    /// Reads the error that a Connect server sent, or makes one of what something else did.
    pub fn of_body(status: StatusCode, body: &[u8]) -> Outcome<Wrong> {
        match serde_json::from_slice::<Wrong>(body) {
            Ok(wrong) if wrong.known().is_some() => Ok(wrong),
            _ => Err(stranger(status, &String::from_utf8_lossy(body))),
        }
    }

    fn known(&self) -> Option<Code> {
        Code::from_name(&self.code).filter(|code| *code != Code::Ok)
    }

    /// Reads details that came as bytes alone, where the schema knows them.
    pub fn explain(&mut self, schema: &DescriptorPool) {
        for detail in self.details.iter_mut().filter(|detail| detail.debug.is_none()) {
            let message = schema.get_message_by_name(&detail.name);
            let bytes = STANDARD_NO_PAD.decode(detail.value.trim_end_matches('='));
            let dynamic = message.zip(bytes.ok()).and_then(|(message, bytes)| DynamicMessage::decode(message, &bytes[..]).ok());
            detail.debug = dynamic.and_then(|dynamic| serde_json::from_str(&codec::json(&dynamic).ok()?).ok());
        }
    }

    /// The failure that the user reads.
    pub fn failure(&self) -> Failure {
        // What a host invents counts as what it is: an error that says nothing of its kind.
        let code = self.known().unwrap_or(Code::Unknown);
        let what = if self.message.is_empty() { code.to_string() } else { format!("{code}: {}", self.message) };
        self.details.iter().fold(Failure::new(Exit::Status(code), what), |failure, detail| failure.note(shown(detail)))
    }
}

/// Reads the last frame of a Connect stream.
pub fn connect_end(payload: &[u8]) -> Outcome<Ending> {
    let end: EndStream = serde_json::from_slice(payload).map_err(|error| broken_end().because(&error))?;
    if let Some(error) = end.error {
        return Ok(Err(error));
    }
    let pairs = end.metadata.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())));
    Ok(Ok(headers(pairs)))
}

/// Reads gRPC's trailers; `None` where they have no status.
pub fn grpc_end(trailers: &HeaderMap) -> Option<Ending> {
    let status = trailers.get("grpc-status")?.to_str().ok().and_then(|status| status.parse().ok());
    let code = status.and_then(Code::from_number).unwrap_or(Code::Unknown);
    if code == Code::Ok {
        return Some(Ok(trailers.clone()));
    }
    let message = trailers.get("grpc-message").map_or_else(String::new, |message| {
        let decoded: Vec<u8> = percent_decode(message.as_bytes()).collect();
        String::from_utf8_lossy(&decoded).into_owned()
    });
    let details = trailers.get("grpc-status-details-bin").and_then(|details| {
        let text = details.as_bytes().trim_ascii();
        let bytes = STANDARD_NO_PAD.decode(text.iter().copied().take_while(|byte| *byte != b'=').collect::<Vec<u8>>()).ok()?;
        RpcStatus::decode(&bytes[..]).ok()
    });
    let details = details.into_iter().flat_map(|status| status.details).map(|any| Detail {
        name: any.type_url.rsplit('/').next().unwrap_or_default().to_owned(),
        value: STANDARD_NO_PAD.encode(any.value),
        debug: None,
    });
    Some(Err(Wrong { code: code.name().to_owned(), message, details: details.collect() }))
}

/// Reads the last frame of gRPC-Web: trailers as HTTP/1.1 writes headers.
pub fn web_end(payload: &[u8]) -> Outcome<Ending> {
    let text = String::from_utf8_lossy(payload);
    let pairs = text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()));
    grpc_end(&headers(pairs)).ok_or_else(broken_end)
}

/// Headers of what a host wrote elsewhere; what cannot be one is passed over.
fn headers<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let read = |(name, value): (&str, &str)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?));
    pairs.filter_map(read).collect()
}

/// An answer that ended in a way that its protocol does not have.
pub fn broken_end() -> Failure {
    Failure::new(Exit::Status(Code::Internal), "internal: the answer ended without a status")
        .advise("the host's log; --protocol with another one if something stands between")
}

fn shown(detail: &Detail) -> String {
    match &detail.debug {
        Some(debug) => format!("{} {}", detail.name, pretty(&debug.to_string())),
        None => {
            let bytes = STANDARD_NO_PAD.decode(detail.value.trim_end_matches('=')).map_or(0, |bytes| bytes.len());
            format!("{} ({bytes} bytes of protobuf: {})", detail.name, detail.value)
        }
    }
}

/// How much is shown of an answer that is none of ours.
const EXCERPT: usize = 200;

/// The Connect protocol's table "HTTP to error code", which is gRPC's too, for answers without a
/// code of their own.
fn stranger(status: StatusCode, body: &str) -> Failure {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    let failure =
        Failure::new(Exit::Status(code), format!("{code}: the answer is HTTP {status}, and no reply in the protocol of the call"));
    let excerpt: String = body.chars().take(EXCERPT).collect();
    let failure = if excerpt.trim().is_empty() { failure } else { failure.note(excerpt) };
    failure.advise("--at with the address of a microhost, or --protocol with what the host speaks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::Paint;

    fn wrong(ending: Option<Ending>) -> Wrong {
        ending.expect("a status").expect_err("an error")
    }

    #[test]
    fn a_status_is_told_with_its_details() {
        let body = br#"{"code":"not_found","message":"no Ada","details":[{"type":"example.greeter.Who","value":"CgNBZGE","debug":{"name":"Ada"}},{"type":"a.B","value":"CgNBZGE"}]}"#;
        let failure = Wrong::of_body(StatusCode::NOT_FOUND, body).ok().expect("an error").failure();
        assert_eq!(failure.exit(), Exit::Status(Code::NotFound));
        assert_eq!(
            failure.text(Paint::none()),
            "error: not_found: no Ada\n  example.greeter.Who {\n      \"name\": \"Ada\"\n    }\n  a.B (5 bytes of protobuf: CgNBZGE)\n"
        );
    }

    #[test]
    fn an_answer_from_something_else_is_called_that() {
        let failure = Wrong::of_body(StatusCode::BAD_GATEWAY, b"<html>").expect_err("no error of ours");
        assert_eq!(failure.exit(), Exit::Status(Code::Unavailable));
        assert!(failure.text(Paint::none()).contains("<html>"));
    }

    #[test]
    fn grpc_tells_the_same_in_trailers() {
        let detail =
            prost_types::Any { type_url: "type.googleapis.com/grpc.health.v1.HealthCheckRequest".into(), value: b"\x0a\x01a".to_vec() };
        let details = RpcStatus { code: 5, message: String::new(), details: vec![detail] }.encode_to_vec();
        for padded in [false, true] {
            let engine = if padded { &base64::engine::general_purpose::STANDARD } else { &STANDARD_NO_PAD };
            let encoded = engine.encode(&details);
            let trailers = headers(
                [("grpc-status", "5"), ("grpc-message", "no%20%C3%85da%"), ("grpc-status-details-bin", encoded.as_str())].into_iter(),
            );
            let mut wrong = wrong(grpc_end(&trailers));
            assert_eq!((wrong.code.as_str(), wrong.message.as_str()), ("not_found", "no Åda%"));
            wrong.explain(&DescriptorPool::decode(tonic_health::pb::FILE_DESCRIPTOR_SET).expect("descriptors"));
            assert_eq!(wrong.details[0].debug, Some(serde_json::json!({"service": "a"})));
        }
    }

    #[test]
    fn the_end_of_a_stream_is_read_in_every_protocol() {
        let fine = connect_end(br#"{"metadata":{"x-a":["1","2"]}}"#).ok().expect("an end").expect("well");
        assert_eq!(fine.get_all("x-a").iter().count(), 2);
        let error = connect_end(br#"{"error":{"code":"aborted"}}"#).ok().expect("an end").expect_err("an error");
        assert_eq!(error.failure().exit(), Exit::Status(Code::Aborted));
        let fine = web_end(b"grpc-status: 0\r\nx-a: 1\r\n").ok().expect("an end").expect("well");
        assert_eq!(fine["x-a"], "1");
        let error = web_end(b"grpc-status:14\r\ngrpc-message:later\r\n").ok().expect("an end").expect_err("an error");
        assert_eq!(error.failure().text(Paint::none()), "error: unavailable: later\n");
        assert!(grpc_end(&HeaderMap::new()).is_none());
        for nothing in [&b""[..], b"{", b"x-a: 1"] {
            assert!(connect_end(nothing).is_err() && web_end(nothing).is_err());
        }
    }

    #[test]
    fn a_status_that_nobody_knows_is_unknown() {
        for status in ["17", "-1", "x"] {
            let wrong = wrong(grpc_end(&headers([("grpc-status", status)].into_iter())));
            assert_eq!(wrong.failure().exit(), Exit::Status(Code::Unknown));
        }
    }
}
