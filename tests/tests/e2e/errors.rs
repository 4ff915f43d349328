//! Errors of guests become statuses, the same in every protocol.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use e2e::host::Host;
use serde_json::{Value, json};

use crate::messages::Text;

async fn failure(host: &Host, method: &str, body: Value) -> e2e::connect::Failure {
    host.call(&format!("test.types.Errors/{method}"), &body).fails().await
}

#[tokio::test]
async fn a_case_named_like_a_code_takes_it_and_others_are_unknown() {
    let host = Host::of("types").await;
    let rows = [
        ("Variant", json!({"which": {"notFound": {}}}), "not_found", 404, "not found"),
        ("Variant", json!({"which": {"permissionDenied": "keep out"}}), "permission_denied", 403, "keep out"),
        ("Variant", json!({"which": {"invalidArgument": {"x": 1, "y": 2}}}), "invalid_argument", 400, "invalid argument"),
        ("Variant", json!({"which": {"outOfStock": 3}}), "unknown", 500, "out of stock"),
        ("VariantAsync", json!({"which": {"other": {}}}), "unknown", 500, "other"),
        ("Enum", json!({"which": "unavailable"}), "unavailable", 503, "unavailable"),
        ("Enum", json!({"which": "aborted"}), "aborted", 409, "aborted"),
        ("Enum", json!({"which": "strange"}), "unknown", 500, "strange"),
        ("Text", json!({"text": "as it is"}), "unknown", 500, "as it is"),
        ("Perhaps", json!({"fail": true}), "not_found", 404, "not found"),
        ("Status", json!({"code": "data-loss", "message": "gone"}), "data_loss", 500, "gone"),
        ("Status", json!({"code": "unauthenticated", "message": "who?"}), "unauthenticated", 401, "who?"),
        ("Status", json!({"code": "canceled", "message": "never mind"}), "canceled", 499, "never mind"),
    ];
    for (method, body, code, http, message) in rows {
        let failure = failure(&host, method, body.clone()).await;
        assert_eq!((failure.code.as_str(), failure.http, failure.message.as_str()), (code, http, message), "{method} {body}");
    }
    assert_eq!(host.call("test.types.Errors/Perhaps", &json!({"fail": false})).ok().await, json!({"value": 7}));
}

#[tokio::test]
async fn an_errors_payload_is_a_detail() {
    let host = Host::of("types").await;
    let failure = failure(&host, "Record", json!({"number": 7, "text": "seven"})).await;
    assert_eq!(failure.code, "unknown");
    let detail = &failure.details[0];
    assert!(detail["type"].as_str().is_some_and(|name| name.starts_with("test.types.") && name.ends_with("Problem")), "{failure:?}");
    let value = detail["value"].as_str().expect("a detail has a value");
    // Field 1 is 7, field 2 is "seven".
    assert_eq!(STANDARD_NO_PAD.decode(value).expect("base64 without padding"), b"\x08\x07\x12\x05seven");
    assert_eq!(detail["debug"], json!({"number": 7, "text": "seven"}), "{failure:?}");
}

#[tokio::test]
async fn grpc_has_the_same_detail_in_its_trailers() {
    let host = Host::of("types").await;
    let request = Problem { number: 7, text: "seven".into() };
    let outcome = host.grpc("test.types.Errors/Record", &request).outcome().await;
    assert_eq!(outcome.status, 2, "{outcome:?}");
    let details = outcome.details();
    assert_eq!((details.code, details.message), (2, outcome.message));
    assert!(details.details[0].type_url.ends_with("Problem"), "{:?}", details.details);
    assert_eq!(details.details[0].value, b"\x08\x07\x12\x05seven");
}

/// `test.types.Problem`, and the request that makes one.
#[derive(Clone, PartialEq, prost::Message)]
struct Problem {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(string, tag = "2")]
    text: String,
}

#[tokio::test]
async fn a_status_or_a_text_needs_no_detail() {
    let host = Host::of("types").await;
    for (method, body) in [("Text", json!({"text": "t"})), ("Status", json!({"code": "not-found", "message": "m"}))] {
        let failure = failure(&host, method, body).await;
        assert_eq!(failure.details, json!([]), "{method}: {failure:?}");
    }
}

#[tokio::test]
async fn an_error_without_payload_says_so_much() {
    let host = Host::of("types").await;
    for method in ["Unit", "UnitOfValue"] {
        let failure = failure(&host, method, json!({})).await;
        assert_eq!(failure.code, "unknown", "{method}: {failure:?}");
        assert!(!failure.message.is_empty(), "{method}: {failure:?}");
    }
}

#[tokio::test]
async fn a_message_with_every_character_survives_grpcs_header() {
    let host = Host::of("types").await;
    let text = "100 % – schön\n\u{1f600}\t\"quoted\"";
    let outcome = host.grpc("test.types.Errors/Text", &Text { value: text.into() }).outcome().await;
    assert_eq!((outcome.status, outcome.message.as_str()), (2, text));
    let web = host.grpc_web("test.types.Errors/Text", &Text { value: text.into() }).await;
    assert_eq!((web.status, web.message.as_str()), (2, text));
}
