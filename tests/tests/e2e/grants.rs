//! A guest gets what it was granted, and nothing else of this machine.

use e2e::host::{Host, Start};
use e2e::{guests, settings, soon};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What the probe says of one thing it tried.
#[derive(Debug)]
struct Outcome {
    done: bool,
    text: String,
}

async fn probe(host: &Host, method: &str, body: Value) -> Outcome {
    let reply = host.call(&format!("test.wasi.Probe/{method}"), &body).ok().await;
    let text = reply["text"].as_str().expect("an outcome has a text").to_owned();
    Outcome { done: reply["done"] == true, text }
}

#[tokio::test]
async fn without_grants_a_guest_computes_and_knows_the_time_and_that_is_all() {
    let host = Host::of("wasi").await;
    for method in ["Clock", "Random"] {
        let outcome = probe(&host, method, json!({})).await;
        assert!(outcome.done, "{method}: {outcome:?}");
    }
    let tries = [
        ("ReadFile", json!({"path": "/etc/hostname"})),
        ("ReadFile", json!({"path": "../../../../etc/hostname"})),
        ("WriteFile", json!({"path": "/tmp/a", "text": "t"})),
        ("ListFolder", json!({"path": "/"})),
        ("Connect", json!({"address": host.address.to_string()})),
        ("Listen", json!({"address": "127.0.0.1:0"})),
        ("Lookup", json!({"host": "localhost"})),
    ];
    for (method, body) in tries {
        let outcome = probe(&host, method, body).await;
        assert!(!outcome.done, "{method} is not granted: {outcome:?}");
    }
}

#[tokio::test]
async fn the_hosts_own_environment_and_arguments_stay_with_the_host() {
    let host = Host::of("wasi").await;
    let environment = probe(&host, "Environment", json!({})).await;
    // The host has these from the test that starts it.
    for name in ["PATH", "HOME", "CARGO"] {
        assert!(!environment.text.contains(name), "{environment:?}");
    }
    let arguments = probe(&host, "Arguments", json!({})).await;
    assert!(!arguments.text.contains("--cache-dir"), "{arguments:?}");
}

#[tokio::test]
async fn standard_input_is_closed() {
    let host = Host::of("wasi").await;
    let outcome = probe(&host, "Stdin", json!({})).await;
    assert!(outcome.text.is_empty() || !outcome.done, "{outcome:?}");
}

#[tokio::test]
async fn variables_are_granted_on_the_command_line() {
    let host = Start::guest("wasi").arg("--env").arg("COLOUR=dark blue=1").arg("--env").arg("EMPTY=").ready().await;
    let environment = probe(&host, "Environment", json!({})).await;
    assert!(environment.text.contains("COLOUR=dark blue=1") && environment.text.contains("EMPTY"), "{environment:?}");
}

#[tokio::test]
async fn variables_are_granted_in_the_file_and_the_command_line_wins() {
    let text = settings::service("wasi", &guests::guest("wasi"), "[service.wasi.grants]\nenvironment = { A = \"file\", B = \"file\" }");
    let host = Start::settings(&text).arg("--env").arg("B=line").ready().await;
    let environment = probe(&host, "Environment", json!({})).await;
    assert!(
        environment.text.contains("A=file") && environment.text.contains("B=line") && !environment.text.contains("B=file"),
        "{environment:?}"
    );
}

#[tokio::test]
async fn a_granted_folder_is_read_and_not_written() {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("a"), "kept").expect("it can be written to");
    let host = Start::guest("wasi").arg("--dir").arg(format!("{}::/data", folder.path().display())).ready().await;
    let read = probe(&host, "ReadFile", json!({"path": "/data/a"})).await;
    assert!(read.done && read.text.contains("kept"), "{read:?}");
    for (method, body) in [
        ("WriteFile", json!({"path": "/data/a", "text": "gone"})),
        ("WriteFile", json!({"path": "/data/b", "text": "new"})),
        ("ReadFile", json!({"path": "/data/../etc/hostname"})),
        ("ReadFile", json!({"path": "/etc/hostname"})),
    ] {
        let outcome = probe(&host, method, body.clone()).await;
        assert!(!outcome.done, "{method} {body}: {outcome:?}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("a")).expect("it is still there"), "kept");
    assert!(!folder.path().join("b").exists());
}

#[tokio::test]
async fn a_link_leads_out_of_no_granted_folder() {
    let folder = TempDir::new().expect("a temporary folder");
    let outside = TempDir::new().expect("a temporary folder");
    std::fs::write(outside.path().join("secret"), "secret").expect("it can be written to");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).expect("a link can be made");
    let host = Start::guest("wasi").arg("--dir").arg(format!("{}::/data:rw", folder.path().display())).ready().await;
    let outcome = probe(&host, "ReadFile", json!({"path": "/data/link/secret"})).await;
    assert!(!outcome.done, "{outcome:?}");
}

#[tokio::test]
async fn a_folder_granted_for_writing_is_written() {
    let folder = TempDir::new().expect("a temporary folder");
    let text = format!("[service.wasi.grants.folders]\n\"/data\" = {{ path = {:?}, write = true }}", folder.path());
    let host = Start::settings(&settings::service("wasi", &guests::guest("wasi"), &text)).ready().await;
    let outcome = probe(&host, "WriteFile", json!({"path": "/data/a", "text": "new"})).await;
    assert!(outcome.done, "{outcome:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("a")).expect("the guest wrote it"), "new");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_before_anything_runs() {
    let (code, said) = Start::guest("wasi").arg("--dir").arg("/no/such/folder::/data").refused().await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("/no/such/folder"), "{said}");
}

#[tokio::test]
async fn sockets_are_opened_where_they_are_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let text = settings::service("wasi", &guests::guest("wasi"), "grants = { sockets = true }");
    let host = Start::settings(&text).ready().await;
    let outcome = probe(&host, "Connect", json!({"address": address})).await;
    assert!(outcome.done, "{outcome:?}");
    soon("the guest's connection", listener.accept()).await.expect("a connection");
}

#[tokio::test]
async fn outgoing_http_is_refused_unless_the_host_is_granted() {
    let target = Host::of("echo").await;
    let get = async |host: &Host| {
        let body = json!({"authority": target.address.to_string(), "path": "/_microhost/health/live"});
        host.call("test.fetch.Fetch/Get", &body).ok().await
    };
    let denied = Host::of("fetch").await;
    let outcome = get(&denied).await;
    assert_eq!(outcome["done"], false, "{outcome}");

    let granted = Start::guest("fetch").arg("--allow-http").arg(target.address.to_string()).ready().await;
    assert_eq!(get(&granted).await, json!({"done": true, "text": "200"}));

    let other_port = Start::guest("fetch").arg("--allow-http").arg(denied.address.to_string()).ready().await;
    let outcome = get(&other_port).await;
    assert_eq!(outcome["done"], false, "another port is another host: {outcome}");
}

#[tokio::test]
async fn an_import_that_nobody_has_is_named_and_nothing_runs() {
    let (code, said) = Start::guest("unknown-import").refused().await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("acme:missing/thing"), "{said}");
    assert!(!said.contains("\"ready\""), "{said}");
}

#[tokio::test]
async fn what_cannot_be_carried_is_reported_and_the_rest_is_served() {
    let host = Host::of("resource").await;
    for service in ["Counters", "Sums"] {
        let reply = host.call(&format!("test.resource.{service}/Add"), &json!({"a": 1, "b": 2})).ok().await;
        assert_eq!(reply, json!({"value": 3}), "{service}");
    }
    let told = |record: &Value| {
        let text = record.to_string();
        text.contains("test:resource/counters") && text.contains("resource")
    };
    let record = host.log().record("a word on what is not served", told).await;
    assert_eq!(record["level"], "WARN", "{record}");
}
