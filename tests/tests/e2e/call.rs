//! `microhost call`: short names, no schema asked of the user, and exit codes that mean something.

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::{guests, settings};
use serde_json::json;

use crate::messages::hello_json;

#[tokio::test]
async fn names_may_be_short_full_or_as_wit_spells_them() {
    let host = Host::of("echo").await;
    let body = hello_json().to_string();
    for service in ["echo", "Echo", "test.echo.Echo", "test:echo/echo"] {
        for method in ["echo-plain", "EchoPlain", "echo_plain"] {
            let reply = host.command(["call", service, method, &body]).run().await.json();
            assert_eq!(reply, hello_json(), "{service} {method}");
        }
    }
}

#[tokio::test]
async fn the_message_is_read_from_standard_input_or_left_out() {
    let host = Host::of("echo").await;
    let reply = host.command(["call", "echo", "echo", "-"]).input(hello_json().to_string()).run().await.json();
    assert_eq!(reply, hello_json());
    let reply = host.command(["call", "echo", "echo"]).run().await.json();
    assert_eq!(reply, json!({"id": "0", "text": "", "tags": []}));
}

#[tokio::test]
async fn a_wrong_name_is_answered_with_what_there_is() {
    let host = Host::of("echo").await;
    let ended = host.command(["call", "ecko", "echo"]).run().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.failed().contains("test.echo.Echo"));
    let ended = host.command(["call", "echo", "ecko"]).run().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let said = ended.failed();
    assert!(said.contains("EchoPlain") && said.contains("try: Echo"), "{said}");
}

#[tokio::test]
async fn a_name_that_fits_several_services_is_answered_with_them() {
    let host = Host::of("types").await;
    let ended = host.command(["call", "types", "text", r#"{"value":"v"}"#]).run().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let said = ended.failed();
    assert!(said.contains("test.types.Echo Text") && said.contains("test.types.EchoAsync Text"), "{said}");
}

#[tokio::test]
async fn a_status_is_the_exit_code_and_is_printed_with_its_details() {
    let host = Host::of("types").await;
    let ended = host.command(["call", "errors", "variant", r#"{"which":{"notFound":{}}}"#]).run().await;
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.failed().contains("not_found"));
    let ended = host.command(["call", "errors", "record", r#"{"number":7,"text":"seven"}"#]).run().await;
    assert_eq!(ended.code, Some(66), "{ended:?}");
    assert!(ended.failed().contains("seven"));
    let ended = host.command(["call", "errors", "record", r#"{"number":7,"text":"seven"}"#, "--json"]).run().await;
    let error: serde_json::Value = serde_json::from_str(&ended.stdout).expect("--json prints JSON");
    assert_eq!((&error["code"], ended.code), (&json!("unknown"), Some(66)), "{ended:?}");
    let ended = host.command(["call", "test.types.Echo", "u8", r#"{"value":256}"#]).run().await;
    assert_eq!(ended.code, Some(67), "{ended:?}");
    assert!(ended.failed().contains("value"));
}

#[tokio::test]
async fn metadata_and_time_limit_go_with_the_call() {
    let host = Host::of("context").await;
    let reply = host.command(["call", "context", "look", r#"{"tag":"t"}"#, "-H", "x-a: one", "--timeout", "20s"]).run().await.json();
    let look = reply["before"].to_string();
    assert!(look.contains("x-a") && look.contains("b25l"), "{look}");
    let left: u64 = reply["before"]["timeLeftMs"].as_str().and_then(|left| left.parse().ok()).expect("a deadline");
    assert!(left <= 20_000, "{left}");
    let sleeper = Host::of("sleeper").await;
    let ended = sleeper.command(["call", "sleeper", "hang", "--timeout", "300ms"]).run().await;
    assert_eq!(ended.code, Some(68), "{ended:?}");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_said_not_to_be() {
    let host = Host::of("echo").await;
    let url = host.url();
    host.stop().await;
    let ended = Command::microhost(["call", "echo", "echo", "--at", &url]).run().await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let said = ended.failed();
    assert!(said.contains(&url) && said.contains("microhost run"), "{said}");
}

#[tokio::test]
async fn what_is_no_json_is_refused_before_anything_is_sent() {
    for body in ["{", "[1,", "name=Ada"] {
        let ended = Command::microhost(["call", "echo", "echo", body, "--at", "http://127.0.0.1:9"]).run().await;
        assert_eq!(ended.code, Some(2), "{body}: {ended:?}");
        ended.failed();
    }
}

#[tokio::test]
async fn the_address_is_taken_from_the_environment_too() {
    let host = Host::of("echo").await;
    let reply = Command::microhost(["call", "echo", "echo", r#"{"id":5}"#]).env("MICROHOST_AT", host.url()).run().await.json();
    assert_eq!(reply["id"], "5");
}

#[tokio::test]
async fn services_of_one_host_are_told_apart() {
    let echo = settings::service("one", &guests::guest("echo"), "");
    let host = Start::settings(&(echo + &settings::service("two", &guests::guest("plain"), ""))).ready().await;
    let reply = host.command(["call", "plain", "greet", r#"{"name":"Ann"}"#]).run().await.json();
    assert_eq!(reply, json!({"value": "Hello, Ann!"}));
    let reply = host.command(["call", "echo", "echo", r#"{"id":5}"#]).run().await.json();
    assert_eq!(reply["id"], "5");
}
