//! The commands that look into a running host, by its admin socket.

use std::path::Path;

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::running::Running;
use e2e::{guests, program, settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::messages::hello_json;

/// Where hosts of a test share their sockets.
fn shared() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// `microhost` for a user whose hosts have their sockets below this folder.
fn microhost(folder: &Path, args: &[&str]) -> Command {
    Command::microhost(args).env("XDG_RUNTIME_DIR", folder).env("TMPDIR", folder)
}

/// A host of that user.
async fn host(folder: &Path, guest: &str, args: &[&str]) -> Host {
    args.iter().fold(Start::guest(guest), |start, arg| start.arg(arg)).env("XDG_RUNTIME_DIR", folder).ready().await
}

/// A host of two services.
async fn two() -> Host {
    let both = settings::service("echo", &guests::guest("echo"), "") + &settings::service("chatty", &guests::guest("chatty"), "");
    Start::settings(&both).ready().await
}

async fn say(host: &Host, message: &str) {
    host.call("test.chatty.Chatty/Say", &json!({"level": "warn", "message": message, "fields": [{"name": "a", "value": "b"}]})).ok().await;
}

#[tokio::test]
async fn two_hosts_are_told_apart_by_name_process_and_socket() {
    let folder = shared();
    let (shop, other) = (host(folder.path(), "echo", &["--admin-name", "shop"]).await, host(folder.path(), "plain", &[]).await);
    let unclear = microhost(folder.path(), &["services"]).run().await;
    assert_eq!(unclear.code, Some(2), "{unclear:?}");
    for part in ["shop", &shop.id().to_string(), &other.id().to_string(), &other.address.to_string(), "echo", "plain", "--host"] {
        assert!(unclear.stderr.contains(part), "{part} in {}", unclear.stderr);
    }
    let socket = folder.path().join("microhost/shop.sock").display().to_string();
    for named in ["shop", &shop.id().to_string(), &socket] {
        let services = microhost(folder.path(), &["services", "--json", "--host", named]).run().await.json();
        assert_eq!((services.as_array().map(Vec::len), &services[0]["name"]), (Some(1), &json!("echo")), "{named}");
    }
    let wrong = microhost(folder.path(), &["services", "--host", "shoop"]).run().await;
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.stderr.contains("try: --host shop"), "{wrong:?}");
    shop.stop().await;
    // The only one needs no name.
    let services = microhost(folder.path(), &["services", "--json"]).run().await.json();
    assert_eq!(services[0]["name"], "plain", "{services}");
}

#[tokio::test]
async fn a_second_host_of_a_name_is_refused() {
    let folder = shared();
    let _first = host(folder.path(), "echo", &["--admin-name", "shop"]).await;
    let (code, said) = Start::guest("echo").env("XDG_RUNTIME_DIR", folder.path()).arg("--admin-name").arg("shop").refused().await;
    assert!(code == 4 && said.contains("shop.sock") && said.contains("--admin-name"), "{code}: {said}");
}

#[tokio::test]
async fn without_a_host_the_commands_say_how_to_start_one() {
    let folder = shared();
    for command in [&["services"][..], &["describe", "echo"], &["stats"], &["logs"]] {
        let ended = microhost(folder.path(), command).run().await;
        assert_eq!(ended.code, Some(4), "{ended:?}");
        assert!(ended.stderr.contains("microhost run"), "{ended:?}");
    }
}

#[tokio::test]
async fn the_socket_of_a_killed_host_is_passed_over_and_removed() {
    let folder = shared();
    let (dead, alive) = (host(folder.path(), "echo", &["--admin-name", "shop"]).await, host(folder.path(), "plain", &[]).await);
    dead.kill().await;
    let socket = folder.path().join("microhost/shop.sock");
    assert!(socket.exists(), "a killed host leaves its socket");
    let services = microhost(folder.path(), &["services", "--json"]).run().await.json();
    assert_eq!(services[0]["name"], "plain", "{services}");
    assert!(!socket.exists(), "it is removed");
    alive.kill().await;
    // Another one takes the name and the place of the dead.
    let next = host(folder.path(), "echo", &["--admin-name", "shop"]).await;
    let left: Vec<_> =
        std::fs::read_dir(folder.path().join("microhost")).expect("the folder").flatten().map(|entry| entry.path()).collect();
    assert_eq!(left, [socket]);
    next.stop().await;
    assert!(!left[0].exists(), "a host that ends takes its socket along");
}

#[tokio::test]
async fn services_are_listed_with_what_they_do() {
    let host = two().await;
    host.call("test.echo.Echo/Echo", &hello_json()).ok().await;
    let services = host.admin(["services", "--json"]).run().await.json();
    let echo = services.as_array().and_then(|all| all.iter().find(|one| one["name"] == "echo")).expect("it is listed");
    assert_eq!((&echo["state"], &echo["calls"], &echo["errors"], &echo["underWay"]), (&json!("serving"), &json!(1), &json!(0), &json!(0)));
    assert!(echo["instances"].as_i64() >= Some(1) && echo["since"].is_string() && echo["version"].is_string(), "{echo}");
    let text = host.admin(["services"]).run().await.succeeded();
    let columns: Vec<usize> = text.lines().filter_map(|line| line.find("serving")).collect();
    assert!(columns.len() == 2 && columns[0] == columns[1] && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn a_service_that_could_not_be_started_is_listed_with_the_reason() {
    let text = settings::service("echo", &guests::guest("echo"), "") + "[service.gone]\ncomponent = \"/no/such.wasm\"\n";
    let host = Start::settings(&text).ready().await;
    let services = host.admin(["services", "--json"]).run().await.json();
    let gone = services.as_array().and_then(|all| all.iter().find(|one| one["name"] == "gone")).expect("it is listed");
    assert_eq!((&gone["state"], gone["why"].as_str().map(|why| why.contains("/no/such.wasm"))), (&json!("failed"), Some(true)), "{gone}");
    for command in [&["services"][..], &["describe", "gone"]] {
        let text = host.admin(command).run().await.succeeded();
        assert!(text.contains("failed") && text.contains("/no/such.wasm"), "{text}");
    }
}

#[tokio::test]
async fn a_service_is_described_with_schema_grants_and_limits() {
    let rest = "safe = [\"test.echo.Echo/Echo\"]\nlimits = { memory = \"64MiB\" }\ngrants = { environment = { SECRET = \"open-sesame\" } }";
    let host = Start::settings(&settings::service("echo", &guests::guest("echo"), rest)).ready().await;
    let found = host.admin(["describe", "echo", "--json"]).run().await.json();
    let endpoint = &found["endpoints"][0];
    assert_eq!(
        (&endpoint["service"], &endpoint["method"], &endpoint["kind"], &endpoint["safe"]),
        (&json!("test.echo.Echo"), &json!("Echo"), &json!("unary"), &json!(true)),
        "{found}"
    );
    assert!(endpoint["signature"].as_str().is_some_and(|signature| signature.starts_with("echo: async func(")), "{endpoint}");
    let message =
        found["messages"].as_array().and_then(|all| all.iter().find(|one| one["name"] == endpoint["input"])).expect("the request");
    assert_eq!(message["fields"][0], json!({"number": 1, "name": "id", "jsonName": "id", "type": "u64"}));
    assert_eq!((&found["limits"]["memory"], &found["grants"]["environment"]), (&json!("64MiB"), &json!(["SECRET"])));
    let text = host.admin(["describe", "echo"]).run().await.succeeded();
    for part in ["test.echo.Echo", "echo: async func(", "memory = 64MiB", "SECRET"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("open-sesame") && !found.to_string().contains("open-sesame"), "values of the environment may be secret");
}

#[tokio::test]
async fn an_unknown_service_is_answered_with_those_there_are() {
    let host = two().await;
    for command in ["describe", "stats", "logs"] {
        let ended = host.admin([command, "ecko"]).run().await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains("chatty, echo") && ended.stderr.contains("did you mean echo?"), "{ended:?}");
    }
}

#[tokio::test]
async fn stats_and_metrics_show_the_same() {
    let host = two().await;
    for _ in 0..3 {
        host.call("test.echo.Echo/Echo", &hello_json()).ok().await;
    }
    host.call("test.echo.Echo/Echo", &json!({"no": 1})).fails().await;
    let stats = host.admin(["stats", "echo", "--json"]).run().await.json();
    let [echo] = &stats["services"].as_array().expect("services")[..] else { panic!("one service: {stats}") };
    assert_eq!((&echo["name"], &echo["calls"]["ended"], &echo["calls"]["errors"]), (&json!("echo"), &json!(4), &json!(0)), "{stats}");
    let endpoint = &echo["endpoints"]["test.echo.Echo/Echo"];
    assert_eq!(endpoint["codes"], json!({"ok": 3, "invalid_argument": 1}), "{endpoint}");
    assert!(endpoint["p50Us"].as_u64() > Some(0) && endpoint["p99Us"].as_u64() >= endpoint["p50Us"].as_u64(), "{endpoint}");
    let metrics = host.metrics().await;
    for (name, value) in echo["figures"].as_object().expect("figures") {
        let shown = [format!("microhost_{name}"), format!("microhost_{name}_total")];
        let shown = shown.iter().flat_map(|name| metrics.samples(name, &[("service", "echo")])).next();
        assert!(shown.is_some(), "{name} = {value} is not in\n{}", metrics.text);
    }
    assert_eq!(metrics.value("microhost_service_calls_ended_total", &[("service", "echo")]), 4.0);
    assert!(echo["figures"]["instance_memory_bytes"].as_f64() > Some(0.0), "{echo}");
    let text = host.admin(["stats"]).run().await.succeeded();
    assert!(text.contains("SERVICE") && text.contains("echo") && text.contains("chatty"), "{text}");
}

#[tokio::test]
async fn stats_are_watched_until_they_are_interrupted() {
    let host = two().await;
    let mut watch = host.admin(["stats", "--watch", "--every", "100ms", "--json"]).talk();
    let first: Value = serde_json::from_str(&watch.line().await).expect("a line of JSON");
    let second: Value = serde_json::from_str(&watch.line().await).expect("a line of JSON");
    assert!(first["at"].as_str() < second["at"].as_str(), "{first} {second}");
    drop(watch);
    let mut table = host.admin(["stats", "--watch", "--every", "100ms"]).talk();
    while !table.line().await.starts_with("echo") {}
    host.terminate();
    host.exited().await;
    assert_eq!(ended(table).await, Some(4), "the host is gone");
}

async fn ended(running: Running) -> Option<i32> {
    running.ended().await.code
}

#[tokio::test]
async fn logs_tell_what_services_said_and_the_host_of_them() {
    let host = two().await;
    say(&host, "mark-31").await;
    host.logged("mark-31").await;
    let lines = host.admin(["logs", "chatty", "--json"]).run().await.succeeded();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    assert_eq!((&line["level"], &line["service"], &line["method"]), (&json!("warn"), &json!("chatty"), &json!("Say")), "{line}");
    assert_eq!((&line["guest"], &line["message"], &line["fields"]["guest"]), (&json!(true), &json!("mark-31"), &json!("a=b")), "{line}");
    assert_eq!(host.admin(["logs", "echo"]).run().await.succeeded(), "");
    assert_eq!(host.admin(["logs", "chatty", "--level", "error"]).run().await.succeeded(), "");
    let all = host.admin(["logs"]).run().await.succeeded();
    assert!(all.contains("(host): ready") && all.contains("WARN chatty Say: mark-31 a=b"), "{all}");
    assert_eq!(host.admin(["logs", "-n", "1"]).run().await.succeeded().lines().count(), 1);
}

#[tokio::test]
async fn logs_follow_a_service_until_the_host_ends() {
    let host = two().await;
    say(&host, "mark-32").await;
    host.logged("mark-32").await;
    let mut follow = host.admin(["logs", "-f", "chatty"]).talk();
    let line = follow.line().await;
    assert!(line.contains("mark-32") && !line.contains("chatty"), "who asks for one service needs not be told which: {line}");
    host.call("test.echo.Echo/Echo", &hello_json()).ok().await;
    for mark in ["mark-33", "mark-34"] {
        say(&host, mark).await;
        let line = follow.line().await;
        assert!(line.contains(mark), "{line}");
    }
    host.stop().await;
    let ended = follow.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

#[tokio::test]
async fn a_reader_of_the_log_that_goes_away_is_no_failure() {
    let host = two().await;
    let (program, socket) = (program::microhost().display(), host.socket());
    let pipe = format!("set -o pipefail; '{program}' logs -f --host '{}' | head -n 1 >/dev/null", socket.display());
    let shell = Command::new("bash").args(["-c", &pipe]).talk();
    // The follower notes that nobody reads with the next line.
    let mut ended = std::pin::pin!(shell.ended());
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            () = say(&host, "mark-35") => {}
        }
    };
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

#[tokio::test]
async fn a_slow_reader_of_the_log_is_told_what_it_lost() {
    let host = two().await;
    say(&host, "first").await;
    host.logged("first").await;
    // Once it tells the last line it is there for the next ones.
    let mut follow = host.admin(["logs", "-f", "chatty", "--json"]).talk();
    follow.line().await;
    // More than pipe, socket and queue hold; nobody reads meanwhile.
    for _ in 0..4 {
        host.call("test.chatty.Chatty/Flood", &json!({"lines": 2_000, "length": 400})).ok().await;
    }
    let mut lost = 0;
    while lost == 0 {
        let line: Value = serde_json::from_str(&follow.line().await).expect("a line of JSON");
        lost = line["lost"].as_u64().unwrap_or_default();
    }
    say(&host, "last").await;
    while !follow.line().await.contains("\"last\"") {}
}
