//! Packed messages both ways, and what packs too much into too little.

use std::io::{Read, Write};

use bytes::Bytes;
use e2e::connect::Failure;
use e2e::host::{Host, Start};
use e2e::http::{Version, request, send};
use e2e::{grpc, soon};
use http::HeaderValue;
use prost::Message as _;
use serde_json::{Value, json};

use crate::messages::{Message, Number, Text, hello, hello_json};

const ECHO: &str = "test.echo.Echo/Echo";
const TEXT: &str = "test.big.Big/Text";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("packing into memory")
}

fn pack(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => gzip(bytes),
        "zstd" => zstd::encode_all(bytes, 3).expect("packing into memory"),
        other => panic!("no encoding {other}"),
    }
}

fn unpack(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    let read = match encoding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut unpacked),
        "zstd" => zstd::Decoder::new(bytes).and_then(|mut decoder| decoder.read_to_end(&mut unpacked)),
        other => panic!("no encoding {other}"),
    };
    read.unwrap_or_else(|error| panic!("the host packs {encoding} well: {error}"));
    unpacked
}

#[tokio::test]
async fn a_packed_request_is_unpacked() {
    let host = Host::of("echo").await;
    for encoding in ["gzip", "zstd"] {
        let packed = pack(encoding, hello_json().to_string().as_bytes());
        let reply = host.call(ECHO, &json!(null)).header("content-encoding", encoding).body(packed).ok().await;
        assert_eq!(reply, hello_json(), "{encoding}");
        let packed = grpc::frame(true, &pack(encoding, &hello().encode_to_vec()));
        let outcome = host.grpc(ECHO, &hello()).header("grpc-encoding", encoding).body(packed).outcome().await;
        assert_eq!(outcome.reply::<Message>(), hello(), "{encoding}");
    }
}

#[tokio::test]
async fn a_large_reply_is_packed_for_those_who_take_it() {
    let host = Host::of("big").await;
    for encoding in ["gzip", "zstd"] {
        let answer = host.call(TEXT, &json!({"size": 100_000})).header("accept-encoding", encoding).answer().await;
        assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, encoding), "{:?}", answer.headers);
        assert!(answer.body.len() < 10_000, "{encoding}: {} bytes", answer.body.len());
        let reply: Value = serde_json::from_slice(&unpack(encoding, &answer.body)).expect("JSON");
        assert_eq!(reply["value"].as_str().map(str::len), Some(100_000));

        let answer = send(
            host.address,
            Version::Two,
            host.grpc(TEXT, &Number { value: 100_000 }).header("grpc-accept-encoding", encoding).into_request(),
        )
        .await;
        assert_eq!(answer.header("grpc-encoding"), encoding, "{:?}", answer.headers);
        let frames = grpc::frames(&answer.body);
        assert_eq!((frames.len(), frames[0].0), (1, 1), "one packed message");
        let reply = Text::decode(&*unpack(encoding, &frames[0].1)).expect("a message");
        assert_eq!(reply.value.len(), 100_000);
    }
}

#[tokio::test]
async fn nothing_is_packed_that_was_not_asked_for_or_is_not_worth_it() {
    let host = Host::of("big").await;
    let large = host.call(TEXT, &json!({"size": 100_000})).answer().await;
    assert_eq!((large.status.as_u16(), large.header("content-encoding")), (200, ""), "{:?}", large.headers);
    let unknown = host.call(TEXT, &json!({"size": 100_000})).header("accept-encoding", "br, snappy").answer().await;
    assert_eq!((unknown.status.as_u16(), unknown.header("content-encoding")), (200, ""));
    let small = host.call(TEXT, &json!({"size": 10})).header("accept-encoding", "gzip").answer().await;
    assert_eq!((small.status.as_u16(), small.header("content-encoding")), (200, ""));
}

#[tokio::test]
async fn an_encoding_nobody_knows_is_unimplemented_and_those_known_are_named() {
    let host = Host::of("echo").await;
    let failure = host.call(ECHO, &hello_json()).header("content-encoding", "snappy").fails().await;
    assert_eq!(failure.code, "unimplemented", "{failure:?}");
    assert!(failure.message.contains("gzip") && failure.message.contains("zstd"), "{failure:?}");
    let outcome = host.grpc(ECHO, &hello()).header("grpc-encoding", "snappy").body(grpc::frame(true, b"packed")).outcome().await;
    assert_eq!(outcome.status, 12, "{outcome:?}");
    let accepted = outcome.trailers.get("grpc-accept-encoding").or(outcome.headers.get("grpc-accept-encoding"));
    assert!(accepted.and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("gzip")), "{outcome:?}");
}

#[tokio::test]
async fn what_is_not_packed_as_said_is_the_callers_mistake() {
    let host = Host::of("echo").await;
    for encoding in ["gzip", "zstd"] {
        let mut cut = pack(encoding, hello_json().to_string().as_bytes());
        cut.truncate(cut.len() - 5);
        for body in [b"not packed at all".to_vec(), cut] {
            let failure = host.call(ECHO, &json!(null)).header("content-encoding", encoding).body(body).fails().await;
            assert_eq!(failure.code, "invalid_argument", "{encoding}: {failure:?}");
        }
    }
    assert_eq!(host.call(ECHO, &hello_json()).ok().await, hello_json());
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_unpacked() {
    let host = Start::guest("big").limit("request=1MiB").ready().await;
    // All the same, so that it packs into next to nothing and fast.
    let zeros = vec![b'0'; 200 << 20];
    for encoding in ["gzip", "zstd"] {
        let bomb = Bytes::from(match encoding {
            "gzip" => {
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packer.write_all(&zeros).and_then(|()| packer.finish()).expect("packing into memory")
            }
            _ => zstd::encode_all(&*zeros, 1).expect("packing into memory"),
        });
        let mut call = request("POST", host.address, "/test.big.Big/Take", bomb.clone());
        call.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        call.headers_mut().insert("content-encoding", encoding.parse().expect("a name"));
        let failure = Failure::of(&soon("the bomb's refusal", send(host.address, Version::One, call)).await);
        assert_eq!(failure.code, "resource_exhausted", "{encoding}: {failure:?}");
        let outcome =
            host.grpc("test.big.Big/Take", &hello()).header("grpc-encoding", encoding).body(grpc::frame(true, &bomb)).outcome().await;
        assert_eq!(outcome.status, 8, "{encoding}: {outcome:?}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).expect("the host runs");
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    assert!(peak.expect("a peak") < 400 << 10, "the host's memory peaked at {peak:?} KiB");
}
