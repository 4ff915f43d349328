//! Calls of services by services, by name: a guest that passes calls on, and one that makes its own.

use std::time::{Duration, Instant};

use e2e::guests::{guest, payments};
use e2e::host::{Host, Start};
use e2e::metrics::{CALLS, RESIDENT};
use e2e::soon;
use serde_json::{Value, json};

use crate::messages::Text;

const CALLER: &str = "test.Caller";
const TALK: &str = "test.talk.v1.Talk";

/// A settings file with the caller, what it may call, and services beside it.
fn settings(calls: &str, beside: &[&str]) -> Start {
    let mut text = format!(
        "[service.caller]\ncomponent = {:?}\nhandles = [{CALLER:?}]\ngrants = {{ calls = {calls} }}\n",
        guest("caller").display().to_string()
    );
    for name in beside {
        let component = if *name == "payments" { payments() } else { guest(name) };
        text += &format!("[service.{name}]\ncomponent = {:?}\n", component.display().to_string());
    }
    Start::settings(&text)
}

async fn host(beside: &[&str]) -> Host {
    settings("[\"*\"]", beside).ready().await
}

fn line(text: &str) -> Value {
    json!({ "text": text })
}

/// A call that is passed on to this method of `talk`.
fn passed(method: &str) -> String {
    format!("{TALK}/{method}")
}

async fn canceled(host: &Host, endpoint: &str) {
    soon("the call is canceled", async {
        while host.metrics().await.sum(CALLS, &[("endpoint", endpoint), ("code", "canceled")]) < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_unary_call_goes_by_name_in_the_codec_that_it_came_in() {
    let host = host(&["talk", "context"]).await;
    let endpoint = format!("{CALLER}/Any");
    let answer = host.call(&endpoint, &line("hello")).header("x-to", passed("Say")).answer().await;
    assert_eq!((answer.status.as_u16(), answer.json(), answer.header("x-said")), (200, line("hello"), "yes"), "{answer:?}");
    let sent = Text { value: "hä".into() };
    let outcome = host.grpc(&endpoint, &sent).header("x-to", &passed("Say")).outcome().await;
    assert_eq!(outcome.reply::<Text>(), sent);
    assert_eq!(host.call(&format!("{CALLER}/Say"), &line("by serde")).ok().await, line("by serde"));
    // A typed service is called by name as well.
    let look = host.call(&endpoint, &json!({ "tag": "a", "waitMs": 0 })).header("x-to", "test.context.Context/Look").ok().await;
    assert_eq!(look["tag"], "a");
}

#[tokio::test]
async fn streams_of_each_kind_pass_with_their_headers_and_trailers() {
    let host = host(&["talk"]).await;
    let mut streams = host.streams().await;
    let endpoint = format!("{CALLER}/Any");
    let to = |method: &'static str| [("x-to", passed(method))];

    let listen = to("Listen");
    let headers = listen.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut stream = streams.open_done_with(&endpoint, &[json!({ "line": line("la"), "times": 1000 })], &headers).await;
    assert_eq!(stream.headers["x-times"], "1000");
    for _ in 0..1000 {
        assert_eq!(stream.next().await, Some(line("la")));
    }
    let end = stream.end().await;
    assert_eq!((end.status, end.trailers["x-told"].as_bytes()), (0, b"1000".as_slice()), "{end:?}");

    let tell = to("Tell");
    let headers = tell.each_ref().map(|(name, value)| (*name, value.as_str()));
    let lines: Vec<Value> = (0..5000).map(|number| line(&number.to_string())).collect();
    let mut stream = streams.open_done_with(&endpoint, &lines, &headers).await;
    assert_eq!(stream.next().await, Some(json!({ "lines": "5000", "letters": "18890" })));
    assert_eq!(stream.end().await.status, 0);

    let chat = to("Chat");
    let headers = chat.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut stream = streams.open_with(&endpoint, &[], &headers).await;
    for text in ["one", "two", "three"] {
        stream.send(&line(text)).await;
        assert_eq!(stream.next().await, Some(line(text)), "each is answered before the next one is sent");
    }
    stream.send(&line("enough")).await;
    assert_eq!(stream.end().await.status, 0, "the callee may end it");
}

#[tokio::test]
async fn a_failure_comes_with_its_code_message_and_details() {
    let host = host(&["talk"]).await;
    let failure = host.call(&format!("{CALLER}/Any"), &line("fail")).header("x-to", passed("Say")).fails().await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("aborted", "as you asked"), "{failure:?}");
    assert_eq!(failure.details[0]["type"], "test.talk.v1.Line");
    assert!(
        failure.headers.contains_key("x-said") || failure.headers.contains_key("trailer-x-said"),
        "metadata of an error too: {failure:?}"
    );

    let mut streams = host.streams().await;
    let wish = json!({ "line": line("la"), "times": 2, "thenFail": "lost the tune" });
    let mut stream = streams.open_done_with(&format!("{CALLER}/Any"), &[wish], &[("x-to", &passed("Listen"))]).await;
    for _ in 0..2 {
        assert_eq!(stream.next().await, Some(line("la")));
    }
    let end = stream.end().await;
    assert_eq!((end.status, end.message.as_str(), end.trailers["x-told"].as_bytes()), (15, "lost the tune", b"2".as_slice()), "{end:?}");
    assert!(end.trailers.contains_key("grpc-status-details-bin"), "{end:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_the_reason() {
    let host = host(&["talk"]).await;
    let failure = host.call(&format!("{CALLER}/Reserved"), &json!({})).fails().await;
    assert_eq!(failure.code, "invalid_argument");
    assert!(failure.message.contains("grpc-timeout"), "{failure:?}");
    let failure = host.call(&format!("{CALLER}/Codec"), &json!({})).fails().await;
    assert_eq!(failure.message, "there is no codec \"xml\"; there are json, proto, msgpack, cbor, bson");
}

#[tokio::test]
async fn deadlines_shrink_along_a_chain_of_guests_and_names_of_callers_go_with_it() {
    let host = host(&["sleeper"]).await;
    let chain = format!("{CALLER}/A {CALLER}/B {CALLER}/Look");
    let look = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", &chain).header("connect-timeout-ms", "5000").ok().await;
    let left = look["left"].as_u64().expect("there is a deadline");
    assert!(left < 5000 && left > 1000, "{look}");
    assert_eq!((look["service"].as_str(), look["peer"].as_bool()), (Some("caller"), Some(false)), "{look}");

    let look = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", format!("{CALLER}/Look")).header("x-timeout-ms", "900").ok();
    assert!(look.await["left"].as_u64().is_some_and(|left| left <= 900), "the caller's own time limit holds");
    let began = Instant::now();
    let to = "test.sleeper.Sleeper/Hang";
    let failure = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", to).header("x-timeout-ms", "300").fails().await;
    assert_eq!(failure.code, "deadline_exceeded", "{failure:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn hostile_metadata_makes_nobody_another_caller() {
    let host = host(&["back"]).await;
    let forged = [
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("x-caller", "admin"),
        ("x-service", "admin"),
        ("x-peer", "203.0.113.7"),
        ("x-microhost-service", "admin"),
        ("microhost-caller", "admin"),
        ("authorization", "Bearer admin"),
    ];
    // The guest passes on whatever it gets, as metadata of its own.
    let mut call = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", "test.back.Back/Who");
    for (name, value) in forged {
        call = call.header(name, value);
    }
    assert_eq!(call.ok().await, json!({ "value": "caller nobody untraced" }));
}

#[tokio::test]
async fn a_call_ends_when_the_guest_drops_it() {
    let host = host(&["sleeper"]).await;
    host.call(&format!("{CALLER}/Leave"), &json!({})).ok().await;
    canceled(&host, "Hang").await;
}

#[tokio::test]
async fn a_call_ends_when_the_caller_of_the_guest_goes() {
    let host = host(&["sleeper"]).await;
    let to = format!("{CALLER}/A test.sleeper.Sleeper/Hang");
    let failure = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", to).header("connect-timeout-ms", "300").fails().await;
    assert_eq!(failure.code, "deadline_exceeded");
    soon("nothing is under way any more", async {
        while host.metrics().await.sum(e2e::metrics::IN_FLIGHT, &[]) > 0.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_when_the_caller_of_the_guest_goes() {
    let host = host(&["talk"]).await;
    let mut streams = host.streams().await;
    let mut stream = streams.open_with(&format!("{CALLER}/Any"), &[], &[("x-to", &passed("Chat"))]).await;
    stream.send(&line("one")).await;
    assert_eq!(stream.next().await, Some(line("one")));
    drop(stream);
    canceled(&host, "Chat").await;
}

#[tokio::test]
async fn a_guest_that_dies_has_not_sent_all_its_messages() {
    let host = host(&["talk"]).await;
    let failure = host.call(&format!("{CALLER}/Trap"), &json!({})).fails().await;
    assert_eq!(failure.code, "internal", "{failure:?}");
    soon("the callee's end", async {
        while host.metrics().await.sum(CALLS, &[("endpoint", "Chat")]) < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(host.metrics().await.sum(CALLS, &[("endpoint", "Chat"), ("code", "ok")]), 0.0);
}

#[tokio::test]
async fn a_reader_that_waits_makes_the_whole_chain_wait() {
    let host = host(&["talk"]).await;
    let mut streams = host.streams().await;
    let before = host.metrics().await.sum(RESIDENT, &[]);
    let wish = json!({ "line": line(&"x".repeat(10_000)), "times": 100_000 });
    let to = format!("{CALLER}/A {}", passed("Listen"));
    let mut stream = streams.open_done_with(&format!("{CALLER}/Any"), &[wish], &[("x-to", &to)]).await;
    assert!(stream.next().await.is_some());
    // Nobody reads: 1 GB would be there soon.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        let grown = host.metrics().await.sum(RESIDENT, &[]) - before;
        assert!(grown < 100e6, "{grown} bytes more");
    }
    assert!(stream.next().await.is_some(), "and it goes on");
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_what_to_write() {
    let host = settings("[\"test.talk.v1.Talk/Say\"]", &["talk"]).ready().await;
    host.call(&format!("{CALLER}/Any"), &line("a")).header("x-to", passed("Say")).ok().await;
    let failure = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", passed("Nothing")).fails().await;
    assert_eq!(failure.code, "permission_denied");
    assert!(failure.message.contains("calls = [\"test.talk.v1.Talk\"] under [service.caller.grants]"), "{failure:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_and_a_method_unimplemented() {
    let host = host(&["talk"]).await;
    let code = async |to: &str| host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", to).fails().await.code;
    assert_eq!(code("shop.Nowhere/Buy").await, "unavailable");
    assert_eq!(code(&passed("Shout")).await, "unimplemented");
    assert_eq!(code(&passed("Listen")).await, "unimplemented", "a stream is no unary call");
}

#[tokio::test]
async fn a_circle_of_calls_ends() {
    let host = host(&[]).await;
    let circle = vec![format!("{CALLER}/Round"); 40].join(" ");
    let failure = host.call(&format!("{CALLER}/Any"), &json!({})).header("x-to", circle).fails().await;
    assert_eq!(failure.code, "resource_exhausted");
    assert!(failure.message.contains("more than 32 calls"), "{failure:?}");
}

#[tokio::test]
async fn a_message_over_the_callees_limit_is_refused() {
    let text = format!(
        "[service.caller]\ncomponent = {:?}\nhandles = [{CALLER:?}]\ngrants = {{ calls = [\"*\"] }}\n[service.talk]\ncomponent = {:?}\nlimits = {{ request = \"1KiB\" }}\n",
        guest("caller").display().to_string(),
        guest("talk").display().to_string()
    );
    let host = Start::settings(&text).ready().await;
    let failure = host.call(&format!("{CALLER}/Any"), &line(&"x".repeat(2000))).header("x-to", passed("Say")).fails().await;
    assert_eq!(failure.code, "resource_exhausted");
    assert!(failure.message.contains("1024 bytes"), "{failure:?}");
    let mut streams = host.streams().await;
    let lines = [line("a"), line(&"x".repeat(2000))];
    let mut stream = streams.open_done_with(&format!("{CALLER}/Any"), &lines, &[("x-to", &passed("Tell"))]).await;
    assert_eq!(stream.end().await.status, 8);
}

#[tokio::test]
async fn a_generated_client_calls_a_service_of_a_proto_file_in_every_kind() {
    let host = host(&["payments"]).await;
    let outcome = host.call(&format!("{CALLER}/Shop"), &json!({})).ok().await;
    let expected = json!({
        "charge": "ch-1", "declined": ["shop.payments.v1.Declined"], "settled": 1, "sum": 5, "agrees": [true, false], "states": [1, 2],
    });
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn a_plain_import_holds_its_instance_and_no_other() {
    let text = format!(
        "[service.plain]\ncomponent = {:?}\ngrants = {{ calls = [\"test.sleeper.Sleeper\"] }}\n[service.sleeper]\ncomponent = {:?}\n",
        guest("caller-plain").display().to_string(),
        guest("sleeper").display().to_string()
    );
    let host = Start::settings(&text).ready().await;
    let call = |method: &str, message: Value| {
        let arguments = json!({ "service": "test.sleeper.Sleeper", "method": method, "message": message.to_string() });
        host.call("test.caller_plain.Plain/Call", &arguments)
    };
    let reply = call("Sleep", json!({ "ms": 1 })).ok().await;
    assert!(reply["value"].as_str().is_some_and(|text| text.contains("\"served\":\"1\"")), "{reply}");
    let failure = host.call("test.caller_plain.Plain/Call", &json!({ "service": "a.B", "method": "C", "message": "{}" })).fails().await;
    assert!(failure.message.contains("PermissionDenied"), "{failure:?}");

    let held = async {
        call("Sleep", json!({ "ms": 2000 })).ok().await;
        Instant::now()
    };
    let others = async {
        for _ in 0..20 {
            call("Sleep", json!({ "ms": 1 })).ok().await;
        }
        Instant::now()
    };
    let (held, others) = tokio::join!(held, others);
    assert!(others < held, "they do not wait for the instance that is held");
}
