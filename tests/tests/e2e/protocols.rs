//! One endpoint, every protocol, by clients that share no code with the host.

use e2e::command::Command;
use e2e::connect::Failure;
use e2e::host::{Host, Start};
use e2e::http::{Version, request, send};
use e2e::{grpc, settings, soon};
use futures::future::join_all;
use http::HeaderValue;
use prost::Message as _;
use serde_json::json;

use crate::messages::{Message, Text, hello, hello_json};

const ECHO: &str = "test.echo.Echo/Echo";

#[tokio::test]
async fn json_is_answered_over_both_versions_of_http_on_one_port() {
    let host = Host::of("echo").await;
    for version in [Version::One, Version::Two] {
        assert_eq!(host.call(ECHO, &hello_json()).over(version).ok().await, hello_json(), "{version:?}");
    }
}

#[tokio::test]
async fn curl_gets_json() {
    let host = Host::of("echo").await;
    let call = Command::new("curl").args(["--silent", "--show-error", "--fail-with-body", "--max-time", "10"]);
    let printed = call
        .args(["--header", "content-type: application/json", "--data", &hello_json().to_string(), &format!("{}/{ECHO}", host.url())])
        .run()
        .await
        .json();
    assert_eq!(printed, hello_json());
}

#[tokio::test]
async fn curl_speaks_http_2_with_prior_knowledge_and_sees_errors_as_json() {
    let host = Host::of("echo").await;
    let call = Command::new("curl").args([
        "--silent",
        "--http2-prior-knowledge",
        "--max-time",
        "10",
        "--write-out",
        "\n%{http_code} %{http_version}",
    ]);
    let printed = call
        .args(["--header", "content-type: application/json", "--data", r#"{"idd":1}"#, &format!("{}/{ECHO}", host.url())])
        .run()
        .await
        .succeeded();
    let (body, status) = printed.rsplit_once('\n').expect("the body, and the line asked for");
    assert_eq!(status, "400 2");
    let error: serde_json::Value = serde_json::from_str(body).expect("an error is JSON");
    assert_eq!(error["code"], "invalid_argument");
    let message = error["message"].as_str().expect("an error has a message");
    assert!(message.contains("idd") && message.contains("id"), "names the field and the nearest: {message}");
}

#[tokio::test]
async fn connect_takes_protobuf() {
    let host = Host::of("echo").await;
    let call = host.call(ECHO, &json!(null)).header("content-type", "application/proto").body(hello().encode_to_vec());
    let answer = call.header("connect-protocol-version", "1").answer().await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/proto"), "{answer:?}");
    assert_eq!(Message::decode(&*answer.body).expect("a message"), hello());
}

#[tokio::test]
async fn grpc_is_answered_with_trailers() {
    let host = Host::of("echo").await;
    let outcome = host.grpc(ECHO, &hello()).outcome().await;
    assert_eq!(outcome.reply::<Message>(), hello());
    assert!(outcome.trailers.contains_key("grpc-status") && !outcome.headers.contains_key("grpc-status"), "{outcome:?}");
}

#[tokio::test]
async fn grpc_web_is_answered_over_http_1() {
    let host = Host::of("echo").await;
    assert_eq!(host.grpc_web(ECHO, &hello()).await.reply::<Message>(), hello());
}

#[tokio::test]
async fn a_plain_function_is_called_like_an_async_one() {
    let host = Host::of("echo").await;
    assert_eq!(host.call("test.echo.Echo/EchoPlain", &hello_json()).ok().await, hello_json());
    let plain = Host::of("plain").await;
    assert_eq!(plain.call("test.plain.Plain/Greet", &json!({"name": "Ann"})).ok().await, json!({"value": "Hello, Ann!"}));
    let outcome = plain.grpc("test.plain.Plain/Greet", &Text { value: "Ann".into() }).outcome().await;
    assert_eq!(outcome.reply::<Text>().value, "Hello, Ann!");
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_answered() {
    let host = Host::of("echo").await;
    let calls = (0..1000_u64).map(|id| {
        let host = &host;
        async move {
            let message = Message { id, text: format!("call {id}"), tags: Vec::new() };
            match id % 3 {
                0 => assert_eq!(host.grpc(ECHO, &message).outcome().await.reply::<Message>(), message),
                1 => assert_eq!(host.grpc_web(ECHO, &message).await.reply::<Message>(), message),
                _ => {
                    let reply = host.call(ECHO, &json!({"id": id, "text": message.text})).ok().await;
                    assert_eq!(reply, json!({"id": id.to_string(), "text": message.text, "tags": []}));
                }
            }
        }
    });
    join_all(calls).await;
}

#[tokio::test]
async fn a_thousand_calls_share_one_connection() {
    let host = Host::of("echo").await;
    let mut connection = e2e::http::Connection::open(host.address, Version::Two).await.expect("HTTP/2 is spoken");
    let mut calls = Vec::new();
    for id in 0..1000_u64 {
        let message = Message { id, text: String::new(), tags: Vec::new() };
        let begun = connection.begin(host.grpc(ECHO, &message).into_request()).await.expect("the connection takes calls");
        calls.push(async move { (id, begun.await.expect("an answer")) });
    }
    for (id, answer) in soon("a thousand answers", join_all(calls)).await {
        assert_eq!(grpc::outcome(&answer).reply::<Message>().id, id);
    }
}

#[tokio::test]
async fn an_endpoint_marked_safe_is_called_by_get() {
    let text = settings::service("echo", &e2e::guests::guest("echo"), &format!("safe = [\"{ECHO}\"]"));
    let host = Start::settings(&text).ready().await;
    let answer = host.get(&format!("/{ECHO}?connect=v1&encoding=json&message=%7B%22id%22%3A%227%22%2C%22text%22%3A%22hello%22%2C%22tags%22%3A%5B%22a%22%2C%22b%22%5D%7D")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), hello_json());
    let message = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hello().encode_to_vec());
    let answer = host.get(&format!("/{ECHO}?connect=v1&encoding=proto&base64=1&message={message}")).await;
    assert_eq!(Message::decode(&*answer.body).expect("a message"), hello());
}

#[tokio::test]
async fn an_endpoint_not_marked_safe_is_not_called_by_get() {
    let host = Host::of("echo").await;
    let answer = host.get(&format!("/{ECHO}?connect=v1&encoding=json&message=%7B%7D")).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{answer:?}");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_in_every_protocol() {
    let host = Host::of("echo").await;
    let failure = host.call("test.echo.Echo/Nothing", &json!({})).fails().await;
    // 404 is how the Connect protocol says that there is nothing at a path.
    assert_eq!((failure.code.as_str(), failure.http), ("unimplemented", 404), "{failure:?}");
    assert_eq!(host.grpc("test.echo.Echo/Nothing", &hello()).outcome().await.status, 12);
    assert_eq!(host.grpc_web("test.echo.Echo/Nothing", &hello()).await.status, 12);
}

#[tokio::test]
async fn a_content_type_that_no_protocol_has_is_refused_with_those_there_are() {
    let host = Host::of("echo").await;
    let mut wrong = request("POST", host.address, &format!("/{ECHO}"), "x=1");
    wrong.headers_mut().insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    let answer = send(host.address, Version::One, wrong).await;
    assert_eq!(answer.status, 415, "{answer:?}");
    assert!(answer.header("accept-post").contains("application/json"), "{answer:?}");
}

#[tokio::test]
async fn two_messages_in_a_unary_grpc_call_are_refused() {
    let host = Host::of("echo").await;
    let one = grpc::frame(false, &hello().encode_to_vec());
    let outcome = host.grpc(ECHO, &hello()).body([one.clone(), one].concat()).outcome().await;
    assert_eq!(outcome.status, 12, "{outcome:?}");
    let none = host.grpc(ECHO, &hello()).body("").outcome().await;
    assert_eq!(none.status, 12, "{none:?}");
}

#[tokio::test]
async fn a_message_that_is_no_protobuf_is_the_callers_mistake() {
    let host = Host::of("echo").await;
    let outcome = host.grpc(ECHO, &hello()).body(grpc::frame(false, &[0xff; 9])).outcome().await;
    assert_eq!(outcome.status, 3, "{outcome:?}");
    let answer = host.call(ECHO, &json!(null)).body("{\"id\": [1]}").answer().await;
    let failure = Failure::of(&answer);
    assert_eq!(failure.code, "invalid_argument");
    assert!(failure.message.contains("id"), "names the path: {failure:?}");
}
