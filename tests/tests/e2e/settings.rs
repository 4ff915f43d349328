//! Settings are read strictly: what is wrong is named with its place and the nearest right name.

use e2e::guests::guest;
use e2e::host::Start;
use e2e::settings::service;
use serde_json::json;

/// A settings file has to be refused with these words.
async fn refused(text: &str, words: &[&str]) {
    let (code, said) = Start::settings(text).refused().await;
    assert_eq!(code, 3, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_line_and_nearest_name() {
    refused("[service.a]\nlimits = { memroy = \"1MiB\" }\n", &["line 2", "memroy", "did you mean `memory`?"]).await;
    refused("[listen]\n\naddres = \"127.0.0.1:0\"\n", &["line 3", "addres", "did you mean `address`?"]).await;
    refused("[servise.a]\n", &["line 1", "servise", "did you mean `service`?"]).await;
}

#[tokio::test]
async fn a_wrong_value_is_answered_with_its_line_and_what_fits() {
    refused("[service.a]\nisolation = \"requests\"\n", &["line 2", "requests", "request"]).await;
    refused("[service.a.limits]\nmemory = \"many\"\n", &["line 2", "many", "64MiB"]).await;
    refused("[service.a.limits]\ntimeout = \"1 fortnight\"\n", &["line 2", "5s"]).await;
    refused("[listen]\naddress = \"here\"\n", &["line 2", "here"]).await;
}

#[tokio::test]
async fn what_is_no_toml_is_answered_with_its_line() {
    refused("[listen]\naddress = \n", &["line 2"]).await;
}

#[tokio::test]
async fn a_limit_that_allows_nothing_is_refused() {
    refused("[service.a.limits]\ninstances = 0\n", &["instances", "more than zero"]).await;
}

#[tokio::test]
async fn a_service_whose_component_is_missing_is_named() {
    refused(&service("lost", "/no/such/file.wasm".as_ref(), ""), &["/no/such/file.wasm"]).await;
}

#[tokio::test]
async fn a_safe_endpoint_that_is_not_there_is_refused() {
    let text = service("echo", &guest("echo"), "safe = [\"test.echo.Echo/Ecko\"]");
    refused(&text, &["test.echo.Echo/Ecko", "Echo"]).await;
}

#[tokio::test]
async fn flags_that_are_wrong_are_refused_with_what_fits() {
    let rows: [(&str, &str, &[&str]); 6] = [
        ("--limit", "memroy=1MiB", &["memroy", "did you mean memory?"]),
        ("--limit", "memory", &["NAME=VALUE"]),
        ("--limit", "instances=0", &["more than zero"]),
        ("--isolation", "none", &["shared", "request"]),
        ("--env", "NOVALUE", &["--env"]),
        ("--listen", "nowhere", &["--listen"]),
    ];
    for (flag, value, words) in rows {
        let (code, said) = Start::guest("echo").arg(flag).arg(value).refused().await;
        assert_eq!(code, 2, "{flag} {value}: {said}");
        for word in words {
            assert!(said.contains(word), "{flag} {value}: {word:?} in {said}");
        }
    }
}

#[tokio::test]
async fn a_component_is_found_beside_its_settings_file() {
    let start = Start::settings("[service.echo]\ncomponent = \"parts/echo.wasm\"\n");
    std::fs::create_dir(start.folder().join("parts")).expect("it can be made");
    std::fs::copy(guest("echo"), start.folder().join("parts/echo.wasm")).expect("the guest is built");
    let host = start.ready().await;
    assert_eq!(host.call("test.echo.Echo/Echo", &json!({"id": "1"})).ok().await["id"], "1");
}

#[tokio::test]
async fn the_command_line_wins_over_the_file() {
    let text = service("sleeper", &guest("sleeper"), "limits = { timeout = \"1h\" }");
    let host = Start::settings(&text).limit("timeout=200ms").ready().await;
    assert_eq!(host.call("test.sleeper.Sleeper/Hang", &json!({})).fails().await.code, "deadline_exceeded");
}

#[tokio::test]
async fn each_service_has_its_own_limits() {
    let short = service("sleeper", &guest("sleeper"), "limits = { timeout = \"200ms\" }");
    let host = Start::settings(&(short + &service("spin", &guest("spin"), ""))).ready().await;
    assert_eq!(host.call("test.sleeper.Sleeper/Hang", &json!({})).fails().await.code, "deadline_exceeded");
    host.call("test.spin.Spin/For", &json!({"ms": 400})).ok().await;
}
