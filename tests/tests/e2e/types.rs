//! Every WIT type through the whole program: JSON to guest and back.

use e2e::host::Host;
use serde_json::{Value, json};

/// Sends a value; returns what came back.
async fn echo(host: &Host, method: &str, value: &Value) -> Value {
    let reply = host.call(&format!("test.types.Echo/{method}"), &json!({ "value": value })).ok().await;
    reply.get("value").cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn values_of_every_type_come_back_as_they_went() {
    let host = Host::of("types").await;
    let rows = [
        ("Bool", vec![json!(true), json!(false)]),
        ("S8", vec![json!(-128), json!(127)]),
        ("U8", vec![json!(0), json!(255)]),
        ("S16", vec![json!(-32768), json!(32767)]),
        ("U16", vec![json!(65535)]),
        ("S32", vec![json!(i32::MIN), json!(i32::MAX)]),
        ("U32", vec![json!(u32::MAX)]),
        ("S64", vec![json!(i64::MIN.to_string()), json!(i64::MAX.to_string())]),
        ("U64", vec![json!(u64::MAX.to_string())]),
        ("F32", vec![json!(1.5), json!("NaN"), json!("Infinity")]),
        ("F64", vec![json!(-1e300), json!("-Infinity"), json!("NaN")]),
        ("Char", vec![json!("ä"), json!("\u{1f600}"), json!("\u{0}")]),
        ("Text", vec![json!(""), json!("hä \u{1f600} \"\\\n\u{0}")]),
        ("Bytes", vec![json!(""), json!("AAH/")]),
        ("Numbers", vec![json!([]), json!([1, 2, 3])]),
        ("Texts", vec![json!(["a", "", "b"])]),
        ("Points", vec![json!([{"x": 1, "y": -2}])]),
        ("Maybe", vec![json!(7), json!(0)]),
        ("MaybeText", vec![json!(""), json!("t")]),
    ];
    for (method, values) in rows {
        for value in values {
            assert_eq!(echo(&host, method, &value).await, value, "{method}");
        }
    }
}

#[tokio::test]
async fn nothing_in_an_option_stays_nothing() {
    let host = Host::of("types").await;
    for method in ["Maybe", "MaybeText", "MaybeMaybe", "MaybeList", "Outcome", "OutcomeUnit"] {
        let reply = host.call(&format!("test.types.Echo/{method}"), &json!({})).ok().await;
        assert!(reply.get("value").is_none_or(Value::is_null), "{method}: {reply}");
    }
}

#[tokio::test]
async fn names_of_cases_are_taken_in_wits_spelling_and_come_back_as_one_value() {
    let host = Host::of("types").await;
    let colour = echo(&host, "Colour", &json!("dark-blue")).await;
    assert!(colour.as_str().is_some_and(|name| name.ends_with("DARK_BLUE")), "{colour}");
    assert_eq!(echo(&host, "Colour", &colour).await, colour, "what it answers it takes");
    let rights = echo(&host, "Rights", &json!(["read", "run-as-root"])).await;
    assert_eq!(rights.as_array().map(Vec::len), Some(2), "{rights}");
    assert_eq!(echo(&host, "Rights", &rights).await, rights);
    for shape in [json!({"circle": 1.5}), json!({"rectangle": {"x": 1, "y": 2}}), json!({"nothing": {}}), json!({"named": "n"})] {
        assert_eq!(echo(&host, "Shape", &shape).await, shape);
    }
}

#[tokio::test]
async fn a_record_is_the_message_itself() {
    let host = Host::of("types").await;
    for service in ["Echo", "EchoAsync"] {
        let point = json!({"x": 1, "y": -2});
        assert_eq!(host.call(&format!("test.types.{service}/Point"), &point).ok().await, point);
        assert_eq!(host.call(&format!("test.types.{service}/None"), &json!({})).ok().await, json!({}));
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_with_its_path() {
    let host = Host::of("types").await;
    let rows = [
        ("U8", json!({"value": 256}), "value"),
        ("U8", json!({"value": -1}), "value"),
        ("S16", json!({"value": 40_000}), "value"),
        ("U32", json!({"value": "x"}), "value"),
        ("Bool", json!({"value": "yes"}), "value"),
        ("Char", json!({"value": "ab"}), "value"),
        ("Char", json!({"value": ""}), "value"),
        ("Bytes", json!({"value": "!"}), "value"),
        ("Numbers", json!({"value": [1, 2, "x"]}), "value[2]"),
        ("Points", json!({"value": [{"x": 1, "y": 2}, {"x": 1, "y": {}}]}), "value[1].y"),
        ("Points", json!({"value": [{"x": 1, "z": 2}]}), "z"),
        ("Colour", json!({"value": "darkblue"}), "dark-blue"),
        ("Colour", json!({}), "value"),
        ("Shape", json!({"value": {}}), "circle"),
        ("Shape", json!({"value": {"circle": 1, "named": "n"}}), "value"),
        ("Text", json!({"valeu": "t"}), "value"),
        ("Text", json!([]), "object"),
    ];
    for (method, body, named) in rows {
        let failure = host.call(&format!("test.types.Echo/{method}"), &body).fails().await;
        assert_eq!(failure.code, "invalid_argument", "{method} {body}: {failure:?}");
        assert!(failure.message.to_lowercase().replace('_', "-").contains(named), "{method} {body} names {named}: {failure:?}");
    }
}

#[tokio::test]
async fn broken_json_is_refused() {
    let host = Host::of("types").await;
    for body in ["", "{", "{\"value\": tru}", "{} {}", "\u{feff}{}", "{\"value\":\"a\",\"value\":\"b\"}"] {
        let answer = host.call("test.types.Echo/Text", &json!(null)).body(body).answer().await;
        let failure = e2e::connect::Failure::of(&answer);
        assert_eq!(failure.code, "invalid_argument", "{body:?}: {failure:?}");
    }
    let deep = format!("{{\"value\":{}", "[".repeat(100_000));
    let answer = host.call("test.types.Echo/Nested", &json!(null)).body(deep).answer().await;
    assert_eq!(e2e::connect::Failure::of(&answer).code, "invalid_argument");
}
