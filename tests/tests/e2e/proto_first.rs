//! Services that begin with a `.proto` file: the handler, descriptors that travel inside the component,
//! and the code that is made of the file.

use std::path::PathBuf;

use e2e::command::Command;
use e2e::guests::{guest, payments};
use e2e::host::{Host, Start};
use e2e::{grpc, program, settings, tools};
use serde_json::{Value, json};

const TALK: &str = "test.talk.v1.Talk";

/// `test.talk.v1.Line`.
#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(string, tag = "1")]
    text: String,
}

fn line(text: &str) -> Value {
    json!({ "text": text })
}

fn proto(path: &str) -> PathBuf {
    program::root().join(path)
}

#[tokio::test]
async fn a_unary_method_is_called_in_json_and_protobuf() {
    let host = Host::of("talk").await;
    let endpoint = format!("{TALK}/Say");
    let answer = host.call(&endpoint, &json!({ "text": "hello", "newer": [1] })).answer().await;
    assert_eq!((answer.status.as_u16(), answer.json(), answer.header("x-said")), (200, line("hello"), "yes"), "{answer:?}");
    let sent = Line { text: "hä".into() };
    let outcome = host.grpc(&endpoint, &sent).outcome().await;
    assert_eq!(outcome.reply::<Line>(), sent);
    assert_eq!(host.grpc_web(&endpoint, &sent).await.reply::<Line>(), sent);
    assert_eq!(host.call(&format!("{TALK}/Nothing"), &json!({})).ok().await, json!({}));
}

#[tokio::test]
async fn a_wrong_message_is_refused_by_its_path_and_never_reaches_the_guest() {
    let host = Host::of("talk").await;
    let failure = host.call(&format!("{TALK}/Say"), &json!({ "text": 5 })).fails().await;
    assert_eq!(failure.code, "invalid_argument");
    assert!(failure.message.starts_with("text: "), "{failure:?}");
    let outcome = host.grpc(&format!("{TALK}/Say"), &Line::default()).body(grpc::frame(false, b"\xff")).outcome().await;
    assert_eq!(outcome.status, 3, "{outcome:?}");
}

#[tokio::test]
async fn a_failure_brings_its_details() {
    let host = Host::of("talk").await;
    let answer = host.call(&format!("{TALK}/Say"), &line("fail")).answer().await;
    let error = answer.json();
    assert_eq!((error["code"].as_str(), error["message"].as_str()), (Some("aborted"), Some("as you asked")), "{error}");
    assert_eq!(error["details"][0]["type"], "test.talk.v1.Line");
}

#[tokio::test]
async fn messages_come_one_by_one_and_a_failure_may_follow_them() {
    let host = Host::of("talk").await;
    let mut streams = host.streams().await;
    let endpoint = format!("{TALK}/Listen");
    let mut stream = streams.open_done(&endpoint, &[json!({ "line": line("la"), "times": 3 })]).await;
    assert_eq!(stream.headers["x-times"], "3");
    for _ in 0..3 {
        assert_eq!(stream.next().await, Some(line("la")));
    }
    let end = stream.end().await;
    assert_eq!((end.status, end.trailers["x-told"].as_bytes()), (0, b"3".as_slice()), "{end:?}");

    let (messages, end) = streams.all(&endpoint, &[json!({ "line": line("la"), "times": 2, "thenFail": "lost the tune" })]).await;
    assert_eq!((messages.len(), end.status, end.message.as_str()), (2, 15, "lost the tune"), "{end:?}");
    assert!(end.trailers.contains_key("grpc-status-details-bin"), "{end:?}");

    let (messages, end) = streams.all(&endpoint, &[json!({ "times": 2 })]).await;
    assert_eq!((messages.len(), end.status), (0, 3), "a failure before any message: {end:?}");
}

#[tokio::test]
async fn ten_thousand_messages_go_each_way_in_order() {
    let host = Host::of("talk").await;
    let mut streams = host.streams().await;
    let (messages, end) = streams.all(&format!("{TALK}/Listen"), &[json!({ "line": line("x"), "times": 10_000 })]).await;
    assert_eq!((messages.len(), end.status), (10_000, 0), "{end:?}");
    let lines: Vec<Value> = (0..10_000).map(|number| line(&number.to_string())).collect();
    let (count, end) = streams.all(&format!("{TALK}/Tell"), &lines).await;
    assert_eq!((count, end.status), (vec![json!({ "lines": "10000", "letters": "38890" })], 0), "{end:?}");
}

#[tokio::test]
async fn a_conversation_goes_both_ways_and_either_side_may_end_it() {
    let host = Host::of("talk").await;
    let mut streams = host.streams().await;
    let endpoint = format!("{TALK}/Chat");
    // The reply begins before there is a message.
    let mut stream = streams.open(&endpoint, &[]).await;
    for text in ["one", "two", "three"] {
        stream.send(&line(text)).await;
        assert_eq!(stream.next().await, Some(line(text)));
    }
    stream.half_close();
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.end().await.status, 0);

    let mut stream = streams.open(&endpoint, &[line("one"), line("enough")]).await;
    assert_eq!(stream.next().await, Some(line("one")));
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.end().await.status, 0);
}

#[tokio::test]
async fn a_method_of_another_kind_is_not_called() {
    let host = Host::of("talk").await;
    let answer = host.call(&format!("{TALK}/Listen"), &json!({})).answer().await;
    assert_eq!(answer.status, 415, "a stream is asked for by its own content type: {answer:?}");
    assert_eq!(host.call(&format!("{TALK}/Shout"), &json!({})).fails().await.code, "unimplemented");
}

#[tokio::test]
async fn descriptors_are_there_after_a_start_from_the_cache() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        let host = Start::guest("talk").cache(folder.path().join("cache")).ready().await;
        assert_eq!(host.call(&format!("{TALK}/Say"), &line("again")).ok().await, line("again"));
        host.stop().await;
    }
}

#[tokio::test]
async fn a_gateway_takes_what_nobody_else_serves() {
    let text = settings::service("echo", &guest("echo"), "") + &settings::service("gateway", &guest("gateway"), "");
    let host = Start::settings(&text).ready().await;
    let body = json!({ "any": ["thing"] });
    let answer = host.call("acme.Anything/Do", &body).header("x-tag", "t").answer().await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, body), "{answer:?}");
    let told = ["x-service", "x-method", "x-codec", "trailer-x-tag"].map(|name| answer.header(name).to_owned());
    assert_eq!(told, ["acme.Anything", "Do", "json", "t"]);

    let sent = Line { text: "raw".into() };
    let outcome = host.grpc("acme.Anything/Do", &sent).outcome().await;
    assert_eq!(outcome.reply::<Line>(), sent);
    assert_eq!(outcome.headers["x-codec"], "proto");

    let failure = host.call("acme.Anything/Fail", &json!({})).fails().await;
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("not_found", "acme.Anything is not here"));
    // What has a name of its own goes where it did before.
    assert_eq!(host.call("test.echo.Echo/Echo", &crate::messages::hello_json()).ok().await, crate::messages::hello_json());
}

#[tokio::test]
async fn a_gateway_takes_only_the_services_that_its_settings_name() {
    let text = settings::service("gateway", &guest("gateway"), "handles = [\"acme.One\"]");
    let host = Start::settings(&text).ready().await;
    assert_eq!(host.call("acme.One/Do", &json!({})).ok().await, json!({}));
    assert_eq!(host.call("acme.Two/Do", &json!({})).fails().await.code, "unimplemented");
}

#[tokio::test]
async fn only_a_gateway_can_be_told_what_it_handles() {
    let text = settings::service("talk", &guest("talk"), "handles = [\"acme.One\"]");
    let (_, said) = Start::settings(&text).refused().await;
    assert!(said.contains("`handles` of talk") && said.contains("descriptors"), "{said}");
}

#[tokio::test]
async fn the_proto_files_that_a_component_gives_make_the_same_code_as_its_own() {
    let file = proto("guests/talk/proto/test/talk/v1/talk.proto");
    let include = proto("guests/talk/proto");
    let own =
        Command::microhost(["gen".as_ref(), "rust".as_ref(), file.as_os_str(), "--include".as_ref(), include.as_os_str()]).run().await;
    let own = own.succeeded();
    // The guest's build script makes it by the same generator, so that it compiles is shown.
    assert!(own.contains("trait Talk") && own.contains("struct TalkServer") && own.contains("struct TalkClient"), "{own}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let component = guest("talk");
    Command::microhost(["gen".as_ref(), "proto".as_ref(), component.as_os_str(), "-o".as_ref(), "proto".as_ref()])
        .within(folder.path())
        .run()
        .await
        .succeeded();
    let made = Command::microhost(["gen", "rust", "proto/test/talk/v1/talk.proto", "-I", "proto"]).within(folder.path()).run().await;
    assert_eq!(made.succeeded(), own);
}

#[tokio::test]
async fn wrong_proto_files_are_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a.proto"), "syntax = \"proto3\";\nmessage A { Missing b = 1; }\n").expect("a file");
    for what in ["rust", "wit"] {
        let said = Command::microhost(["gen", what, "a.proto"]).within(folder.path()).run().await.failed();
        assert!(said.contains("a.proto") && said.contains("Missing"), "{said}");
        let said = Command::microhost(["gen", what, "b.proto"]).within(folder.path()).run().await.failed();
        assert!(said.contains("b.proto"), "{said}");
    }
}

#[tokio::test]
async fn inspect_shows_the_services_of_the_descriptors() {
    let component = guest("talk");
    let shown = Command::microhost(["inspect".as_ref(), component.as_os_str(), "--json".as_ref()]).run().await.json();
    let service = &shown["handler"]["services"][0];
    assert_eq!((service["name"].as_str(), service["docs"].as_str()), (Some(TALK), Some("One method of each kind.")), "{service}");
    let kinds: Vec<&str> = service["methods"].as_array().expect("methods").iter().filter_map(|method| method["kind"].as_str()).collect();
    assert_eq!(kinds, ["unary", "server-stream", "client-stream", "bidi-stream", "unary"]);
    let described = Command::microhost(["gen".as_ref(), "openapi".as_ref(), component.as_os_str()]).run().await.json();
    let reference = "#/components/schemas/test.talk.v1.Line";
    let body = &described["paths"]["/test.talk.v1.Talk/Say"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["$ref"], reference, "{described}");
}

#[tokio::test]
async fn pythons_grpcio_makes_calls_of_every_kind_by_what_reflection_tells() {
    let Some(python) = tools::python() else { return };
    let host = Host::of("talk").await;
    let script = program::root().join("tests/tests/e2e/python/talk.py");
    let ended = Command::new(python).args([script.as_os_str(), host.address.to_string().as_ref()]).run().await;
    assert_eq!(ended.stdout.trim(), "ok", "{ended:#?}");
}

#[tokio::test]
async fn the_shops_payments_serve_all_that_their_readme_shows() {
    let Some(program) = tools::grpcurl() else { return };
    let host = Start::path(payments()).limit("instances=1").ready().await;
    let address = host.address.to_string();
    let charge = json!({ "order": "a-1", "amount": { "currency": "EUR", "units": "1290" }, "card": "4111" });
    let reply = host.call("shop.payments.v1.Payments/Charge", &charge).ok().await;
    assert_eq!(reply, json!({ "charge": "ch-1", "state": "STATE_CHARGED" }));

    let grpcurl = |method: &str, data: String| {
        let args = ["-plaintext", "-max-time", "20", "-d", &data, &address, method].map(str::to_owned);
        Command::new(&program).args(args).run()
    };
    let settled = grpcurl("shop.payments.v1.Payments/Settle", r#"{"charge":"ch-1"}{"charge":"ch-7"}"#.to_owned()).await.json();
    assert_eq!(settled, json!({ "settled": 1, "unknown": ["ch-7"], "sums": { "EUR": "1290" } }));
    let past = grpcurl("shop.payments.v1.Payments/Watch", r#"{"onlyPast":true}"#.to_owned()).await.succeeded();
    assert!(past.find("STATE_CHARGED").expect("told") < past.find("STATE_SETTLED").expect("told"), "{past}");
    let lines = json!({ "order": "a-1", "amount": { "currency": "EUR", "units": "1" } }).to_string();
    let difference = grpcurl("shop.payments.v1.Payments/Reconcile", lines).await.json();
    assert_eq!(difference["charged"]["units"], "1290");
    let health = grpcurl("shop.health.v1.Health/Check", "{}".to_owned()).await.json();
    assert_eq!(health, json!({ "condition": "CONDITION_WELL", "charges": "1" }));

    // What is watched is told when it happens.
    let mut streams = host.streams().await;
    let mut watch = streams.open_done("shop.payments.v1.Payments/Watch", &[json!({ "orders": ["a-2"] })]).await;
    let charge = json!({ "order": "a-2", "amount": { "currency": "EUR", "units": "5" }, "card": "4111" });
    host.call("shop.payments.v1.Payments/Charge", &charge).ok().await;
    assert_eq!(watch.next().await.expect("an event")["charge"], "ch-2");
}
