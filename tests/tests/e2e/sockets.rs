//! Hosts at Unix sockets: beside the network, and instead of it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::network::Network;
use e2e::{cluster, guests, program, settings, soon, tools};
use serde_json::{Value, json};

use crate::clients::script;

const GRANT: &str = "grants = { calls = [\"test.back.Back\"], late = [\"test.back.Back\"] }";

/// A host that listens at a socket of its own too, and the URL of that.
fn at_socket(start: Start) -> (Start, String) {
    let url = format!("unix:{}", start.folder().join("a.sock").display());
    (start.arg("--listen").arg(&url), url)
}

fn path(url: &str) -> &std::path::Path {
    std::path::Path::new(url.strip_prefix("unix:").expect("a socket"))
}

async fn back() -> (Host, String) {
    let (start, url) = at_socket(Start::guest("back"));
    (start.ready().await, url)
}

#[tokio::test]
async fn all_protocols_are_spoken_at_a_socket() {
    let (host, url) = back().await;
    for protocol in ["connect", "grpc", "grpc-web"] {
        let call = Command::microhost(["call", "--at", &url, "--protocol", protocol, "test.back.Back/Add", "{\"a\": 1, \"b\": 2}"]);
        assert_eq!(call.run().await.json(), json!({"value": 3}), "{protocol}");
    }
    let mode = std::fs::metadata(path(&url)).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "for the user and the group");
    host.stop().await;
    assert!(!path(&url).exists(), "it goes with its host");
}

#[tokio::test]
async fn grpcio_and_curl_call_by_a_socket() {
    let text = settings::service("echo", &guests::guest("echo"), "")
        + &settings::service("types", &guests::guest("types"), "")
        + &settings::service("context", &guests::guest("context"), "")
        + &settings::service("sleeper", &guests::guest("sleeper"), "");
    let (start, url) = at_socket(Start::settings(&text));
    let _host = start.ready().await;
    let look = ["-s", "-H", "content-type: application/json", "-d", "{}", "http://localhost/test.context.Context/Look"];
    let curl = Command::new("curl").args(["--unix-socket".as_ref(), path(&url).as_os_str()]).args(look).run().await;
    let look: Value = curl.json();
    let peer = look["before"]["peer"].as_str().unwrap_or_default().to_owned();
    assert!(peer.starts_with("unix:uid=") && peer.contains(",pid="), "{look}");
    if let Some(python) = tools::python() {
        script(&python, "reflection.py", &[&url]).await;
    }
}

#[tokio::test]
async fn a_host_that_listens_at_a_socket_alone_serves_and_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("unix:{}", folder.path().join("a.sock").display());
    let guest = guests::guest("back");
    let host = Command::microhost(["run", "--alone", "--no-admin", "--listen", &url])
        .args(["--cache-dir".as_ref(), program::shared_cache().as_os_str(), guest.as_os_str()])
        .talk();
    let added = soon("an answer at the socket", async {
        loop {
            let ended = Command::microhost(["call", "--at", &url, "test.back.Back/Add", "{\"a\": 1, \"b\": 2}"]).run().await;
            if ended.code == Some(0) {
                return ended.json();
            }
        }
    })
    .await;
    assert_eq!(added, json!({"value": 3}));
    host.interrupt();
    let ended = host.ended().await;
    assert_eq!((ended.code, path(&url).exists()), (Some(0), false), "{ended:?}");
    assert!(ended.stderr.contains(&format!("serves at {url}")) || ended.stderr.contains("a.sock"), "{ended:?}");
}

#[tokio::test]
async fn the_socket_of_a_killed_host_is_taken_and_that_of_a_living_one_is_not() {
    let (first, url) = back().await;
    let (code, text) = Start::guest("back").arg("--listen").arg(&url).refused().await;
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("a host listens at") && text.contains("--listen unix:PATH"), "{text}");
    first.kill().await;
    assert!(path(&url).exists(), "a host that is killed leaves its socket");
    let second = Start::guest("back").arg("--listen").arg(&url).ready().await;
    let call = Command::microhost(["call", "--at", &url, "test.back.Back/Add", "{\"a\": 1, \"b\": 2}"]);
    assert_eq!(call.run().await.json(), json!({"value": 3}));
    second.stop().await;
}

#[tokio::test]
async fn hosts_of_one_machine_call_each_other_by_socket_with_no_network_between() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine(), network.machine());
    let (back, url) = at_socket(Start::guest("back"));
    let back = back.on(&one, 8080).ready().await;
    let (front, front_url) = at_socket(Start::settings(&settings::service("front", &guests::guest("front"), GRANT)));
    let front = front.on(&other, 8080).ready().await;
    soon("that it is known", async { while !front.admin(["services", "--json"]).run().await.succeeded().contains("\"back\"") {} }).await;
    // Whatever they tell each other now is lost, but what goes by the socket.
    one.cut();
    other.cut();
    let call = Command::microhost(["call", "--at", &front_url, "test.front.Front/Add", "{\"a\": 1, \"b\": 2}"]);
    assert_eq!(call.run().await.json(), json!({"value": 3}));
    assert!(path(&url).exists());
    drop((front, back));
}

#[tokio::test]
async fn where_nobody_answers_at_a_socket_a_host_is_called_by_the_network() {
    let cluster = cluster::unique("socket");
    let (back, url) = at_socket(Start::guest("back"));
    let back = back.among(&cluster).ready().await;
    // As if it were the socket of another container, or of somebody else.
    std::fs::remove_file(path(&url)).expect("it is there");
    drop(UnixListener::bind(path(&url)).expect("free"));
    let front = Start::settings(&settings::service("front", &guests::guest("front"), GRANT)).among(&cluster).arg("--peer").arg(back.url());
    let front = front.ready().await;
    soon("an answer", async { while front.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).answer().await.status != 200 {} }).await;
}

#[tokio::test]
async fn a_peer_is_asked_by_its_socket() {
    let cluster = cluster::unique("peer-socket");
    let (back, url) = at_socket(Start::guest("back"));
    let _back = back.among(&cluster).ready().await;
    let front = Start::settings(&settings::service("front", &guests::guest("front"), GRANT)).among(&cluster).arg("--peer").arg(&url);
    let front = front.ready().await;
    soon("an answer", async { while front.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).answer().await.status != 200 {} }).await;
}
