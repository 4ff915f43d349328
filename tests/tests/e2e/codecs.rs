//! MessagePack, CBOR and BSON on the wire, by libraries that share no code with the host.

use bytes::Bytes;
use e2e::connect::Failure;
use e2e::guests::guest;
use e2e::host::{Host, Start};
use e2e::http::Answer;
use e2e::{settings, tools};
use rmpv::Value;
use serde_json::json;

use crate::clients::script;

/// Posts a body of a codec.
async fn post(host: &Host, endpoint: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
    host.call(endpoint, &json!(null)).header("content-type", content_type).body(body).answer().await
}

/// A map of text to values.
fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| (Value::from(*name), value.clone())).collect())
}

fn msgpack(value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    rmpv::encode::write_value(&mut body, value).expect("a buffer takes all");
    body
}

#[tokio::test]
async fn messagepack_is_answered_in_messagepack_under_the_name_that_was_sent() {
    let host = Host::of("types").await;
    let rows = [
        ("U64", Value::from(u64::MAX)),
        ("S64", Value::from(i64::MIN)),
        ("F64", Value::F64(f64::INFINITY)),
        ("Bytes", Value::Binary(vec![0, 255])),
        ("Text", Value::from("h\u{e4} \u{1f600}")),
        ("Colour", Value::from("HUE_DARK_BLUE")),
        ("Numbers", Value::from((0..100).map(Value::from).collect::<Vec<_>>())),
        ("Points", Value::from(vec![map(&[("x", 1.into()), ("y", (-2).into())])])),
        ("Shape", map(&[("nothing", map(&[]))])),
    ];
    for (method, value) in rows {
        let sent = map(&[("value", value)]);
        for name in ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"] {
            let answer = post(&host, &format!("test.types.Echo/{method}"), name, msgpack(&sent)).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, name), "{}", answer.text());
            let got = rmpv::decode::read_value(&mut &*answer.body).expect("the reply is MessagePack");
            assert_eq!(got, sent, "{method}");
        }
    }
}

#[tokio::test]
async fn bson_is_answered_in_bson() {
    let host = Host::of("types").await;
    // {value: "hi"}, as the specification at bsonspec.org has its first example.
    let body: &[u8] = b"\x13\0\0\0\x02value\0\x03\0\0\0hi\0\0";
    let answer = post(&host, "test.types.Echo/Text", "application/bson", body).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/bson"), "{}", answer.text());
    assert_eq!(answer.body, body);
}

#[tokio::test]
async fn cbor_is_read_in_its_loosest_form_and_answered_in_its_strictest() {
    let host = Host::of("types").await;
    // {_ "value": [_ 55799(1), 24-bit 2]}, open lengths, a tag, and more bytes than needed.
    let body: &[u8] = b"\xbf\x65value\x9f\xd9\xd9\xf7\x01\x1a\0\0\0\x02\xff\xff";
    let answer = post(&host, "test.types.Echo/Numbers", "application/cbor", body).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/cbor"), "{}", answer.text());
    assert_eq!(answer.body, &b"\xa1\x65value\x82\x01\x02"[..]);
}

#[tokio::test]
async fn an_error_is_connects_json_whatever_the_codec() {
    let host = Host::of("types").await;
    let wrong = msgpack(&map(&[("value", 256.into())]));
    let failure = Failure::of(&post(&host, "test.types.Echo/U8", "application/msgpack", wrong).await);
    assert_eq!((failure.code.as_str(), failure.http), ("invalid_argument", 400), "{failure:?}");
    assert_eq!(failure.message, "value: expected a number from 0 to 255, got 256");
    for (codec, body) in [("msgpack", &b"\x81"[..]), ("cbor", b"\xa1"), ("bson", b"\x05\0\0")] {
        let failure = Failure::of(&post(&host, "test.types.Echo/U8", &format!("application/{codec}"), body).await);
        assert_eq!(failure.code, "invalid_argument", "{failure:?}");
        assert!(failure.message.contains("at byte "), "says where: {failure:?}");
    }
    let thrown = msgpack(&map(&[("which", map(&[("permissionDenied", "keep out".into())]))]));
    let failure = Failure::of(&post(&host, "test.types.Errors/Variant", "application/msgpack", thrown).await);
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("permission_denied", "keep out"));
}

#[tokio::test]
async fn an_unknown_codec_is_told_which_there_are() {
    let host = Host::of("types").await;
    for name in ["application/xml", "application/grpc+msgpack", "application/connect+cbor"] {
        let answer = post(&host, "test.types.Echo/Text", name, "x").await;
        assert_eq!(answer.status, 415, "{answer:?}");
        for known in ["application/json", "application/proto", "application/msgpack", "application/cbor", "application/bson"] {
            assert!(answer.text().contains(known), "{known} in {}", answer.text());
            assert!(answer.header("accept-post").split(", ").any(|listed| listed == known), "{known} in {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_get_in_another_codec_is_told_to_post() {
    let endpoint = "test.types.Echo/Text";
    let text = settings::service("types", &guest("types"), &format!("safe = [\"{endpoint}\"]"));
    let host = Start::settings(&text).ready().await;
    let failure = Failure::of(&host.get(&format!("/{endpoint}?connect=v1&encoding=cbor&message=")).await);
    assert_eq!(failure.code, "invalid_argument", "{failure:?}");
    assert!(failure.message.contains("POST as application/cbor"), "{failure:?}");
}

#[tokio::test]
async fn pythons_msgpack_cbor2_and_bson_send_and_read_values_of_every_type() {
    let Some(python) = tools::python() else { return };
    let text = settings::service("types", &guest("types"), "") + &settings::service("maps", &guest("maps"), "");
    let host = Start::settings(&text).ready().await;
    script(&python, "codecs.py", &[&host.url()]).await;
}
