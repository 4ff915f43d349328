//! Streams with clients that nobody here wrote: Python's grpcio, Connect's for Node, and curl.

use std::path::Path;
use std::time::Duration;

use e2e::command::Command;
use e2e::grpc::{frame, frames};
use e2e::guests::guest;
use e2e::host::{Host, Start};
use e2e::metrics::{CALLS, IN_FLIGHT};
use e2e::{program, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A script has some hundred calls to make, a few of which wait for a deadline; each call has a limit of its
/// own.
const SCRIPT: Duration = Duration::from_secs(300);

/// A host with streams; its instances take all the calls of a script at once.
async fn host() -> Host {
    Start::guest("streams").ready().await
}

/// Runs protoc, which Python's `grpcio-tools` brings, over what `microhost gen proto` makes of the
/// component; `out` says what it is to write, into `folder`.
async fn protoc(python: &Path, folder: &Path, out: &[&str]) {
    let component = guest("streams");
    Command::microhost(["gen".as_ref(), "proto".as_ref(), component.as_os_str(), "-o".as_ref(), "proto".as_ref()])
        .within(folder)
        .run()
        .await
        .succeeded();
    let protoc = Command::new(python).args(["-m", "grpc_tools.protoc", "-I", "proto"]).args(out);
    protoc.args(["proto/example/streams.proto"]).within(folder).run().await.succeeded();
}

/// Nothing is left of the calls, however they ended.
async fn is_idle(host: &Host) {
    host.metric_becomes(IN_FLIGHT, &[], |calls| calls == 0.0).await;
}

#[tokio::test]
async fn pythons_grpcio_streams_both_ways() {
    let Some(python) = tools::python() else { return };
    let host = host().await;
    let folder = TempDir::new().expect("a temporary folder");
    protoc(&python, folder.path(), &["--python_out=.", "--grpc_python_out=."]).await;
    let script = program::root().join("tests/tests/e2e/python/streams.py");
    let address = host.address.to_string();
    let ended = Command::new(&python).args([script.as_os_str(), address.as_ref(), folder.path().as_os_str()]).limit(SCRIPT).run().await;
    assert_eq!(ended.stdout.trim(), "ok", "{ended:#?}");
    is_idle(&host).await;
    let metrics = host.metrics().await;
    // The client gives up at the very deadline, too: either may come first.
    let ended = |code| metrics.sum(CALLS, &[("endpoint", "Deaf"), ("code", code)]);
    assert_eq!(ended("deadline_exceeded") + ended("canceled"), 1.0, "{}", metrics.text);
    assert_eq!(metrics.value(CALLS, &[("endpoint", "Endless"), ("code", "canceled")]), 2.0, "{}", metrics.text);
}

#[tokio::test]
async fn connects_client_for_node_streams_over_every_protocol_and_codec() {
    // Python brings protoc.
    let (Some(python), Some((node, packages))) = (tools::python(), tools::node()) else { return };
    let host = host().await;
    let folder = TempDir::new().expect("a temporary folder");
    protoc(&python, folder.path(), &["--include_imports", "--descriptor_set_out=streams.binpb"]).await;
    let script = program::root().join("tests/tests/e2e/node/streams.mjs");
    let descriptors = folder.path().join("streams.binpb");
    let url = host.url();
    let args = [script.as_os_str(), packages.as_os_str(), url.as_ref(), descriptors.as_os_str()];
    let ended = Command::new(&node).args(args).limit(SCRIPT).run().await;
    assert_eq!(ended.stdout.trim(), "ok", "{ended:#?}");
    is_idle(&host).await;
}

/// What curl gets for messages of JSON in Connect's frames.
async fn curl(host: &Host, method: &str, version: &str, messages: &[Value]) -> Vec<(u8, Value)> {
    let folder = TempDir::new().expect("a temporary folder");
    let body: Vec<u8> = messages.iter().flat_map(|message| frame(false, message.to_string().as_bytes())).collect();
    std::fs::write(folder.path().join("body"), body).expect("a temporary folder can be written to");
    let url = format!("{}/example.streams.Streams/{method}", host.url());
    let args = ["-sS", "--fail", "--max-time", "20", version, "-H", "content-type: application/connect+json"];
    let ended = Command::new("curl").args(args).args(["--data-binary", "@body", "-o", "reply", &url]).within(folder.path()).run().await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let reply = std::fs::read(folder.path().join("reply")).expect("curl wrote a reply");
    frames(&reply).into_iter().map(|(flags, body)| (flags, serde_json::from_slice(&body).expect("each frame has JSON"))).collect()
}

#[tokio::test]
async fn curl_streams_json_by_connects_frames() {
    let host = host().await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let reply = curl(&host, "Countdown", version, &[json!({"from": 2})]).await;
        assert_eq!(reply, [(0, json!({"value": "1"})), (0, json!({"value": "0"})), (2, json!({}))], "{version}");
        let reply = curl(&host, "Sum", version, &[json!({"value": 1}), json!({"value": -3})]).await;
        assert_eq!(reply, [(0, json!({"value": "-2"})), (2, json!({}))], "{version}");
        let reply = curl(&host, "Fallible", version, &[json!({"number": 102})]).await;
        let (flags, end) = reply.last().expect("an end");
        assert_eq!((reply.len(), *flags, &end["error"]["code"]), (4, 2, &json!("aborted")), "{version}: {reply:?}");
        assert_eq!(end["error"]["message"], "it was too much", "{version}");
    }
    is_idle(&host).await;
}
