//! What tells of hosts: a NATS server, which may be gone for a while, and a file, which may be wrong.

use e2e::host::{Host, Start};
use e2e::nats::Server;
use e2e::{cluster, guests, settings, soon};
use serde_json::{Value, json};

async fn back(cluster: &str, told: &str) -> Host {
    Start::guest("back").among(cluster).arg("--cluster").arg(told).ready().await
}

/// A host whose service calls that of the others.
async fn front(cluster: &str, told: &str) -> Host {
    let text = settings::service("front", &guests::guest("front"), "grants = { calls = [\"test.back.Back\"] }");
    Start::settings(&text).among(cluster).arg("--cluster").arg(told).ready().await
}

async fn adds(front: &Host) {
    assert_eq!(front.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).ok().await, json!({"value": 3}));
}

/// Waits until a host knows of these that have the service.
async fn knows(front: &Host, backs: &[&Host]) {
    let mut urls: Vec<Value> = backs.iter().map(|back| json!(back.url())).collect();
    urls.sort_by_key(Value::to_string);
    soon("the hosts that are known", async {
        loop {
            let services = front.admin(["services", "--json"]).run().await.json();
            let services = services.as_array().expect("a list");
            let mut known: Vec<Value> =
                services.iter().filter(|service| service["name"] == "back").map(|service| service["address"].clone()).collect();
            known.sort_by_key(Value::to_string);
            if known == urls {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn hosts_that_nats_tells_of_call_one_another_also_while_it_is_gone() {
    let Some(mut server) = Server::start().await else { return };
    let cluster = cluster::unique("nats");
    let one = back(&cluster, &server.url()).await;
    let front = front(&cluster, &server.url()).await;
    adds(&front).await;
    server.kill().await;
    server.forget();
    soon("that it is lost", async {
        while !front.admin(["services"]).run().await.succeeded().contains("out of reach") {
            adds(&front).await;
        }
    })
    .await;
    server.restart().await;
    let other = back(&cluster, &server.url()).await;
    knows(&front, &[&one, &other]).await;
    one.stop().await;
    knows(&front, &[&other]).await;
    adds(&front).await;
}

#[tokio::test]
async fn a_host_starts_before_the_nats_server_that_tells_of_it() {
    let Some(mut server) = Server::start().await else { return };
    let cluster = cluster::unique("early");
    server.kill().await;
    let back = back(&cluster, &server.url()).await;
    server.restart().await;
    let front = front(&cluster, &server.url()).await;
    knows(&front, &[&back]).await;
    adds(&front).await;
}

#[tokio::test]
async fn a_password_of_nats_is_in_no_log_and_no_list() {
    let Some(server) = Server::with(&["--user", "ann", "--pass", "right"]).await else { return };
    let url = format!("nats://ann:cret@{}", server.address());
    let host = Start::guest("back")
        .among(&cluster::unique("secret"))
        .env("MICROHOST_CLUSTER", url)
        .arg("--log-level")
        .arg("microhost=trace,async_nats=trace");
    let host = host.ready().await;
    let line = host.logged("the registry is lost").await.to_string();
    let listed = host.admin(["services"]).run().await.succeeded();
    assert!(listed.contains("out of reach") && !listed.contains("cret") && !line.contains("cret"), "{listed}{line}");
    host.terminate();
    soon("its end", host.exited()).await;
    assert!(!host.log().lines().concat().contains("cret"), "{:?}", host.log().lines());
}

#[tokio::test]
async fn a_file_tells_of_hosts_that_know_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hosts.toml");
    let write = |text: &str| std::fs::write(&path, text).expect("it can be written");
    let node = |back: &Host| {
        format!("[[node]]\naddresses = [\"{}\"]\n[[node.service]]\nname = \"back\"\ninterfaces = [\"test.back.Back\"]\n", back.url())
    };
    let [one, other] = [Host::of("back").await, Host::of("back").await];
    write(&node(&one));
    let front = front(&cluster::unique("file"), &format!("file:{}", path.display())).await;
    adds(&front).await;
    write(&format!("{}wieght = 5\n", node(&one)));
    let warning = front.logged("the registry is lost").await.to_string();
    assert!(warning.contains("line 6") && warning.contains("did you mean `weight`?"), "{warning}");
    adds(&front).await;
    write(&(node(&one) + &node(&other)));
    knows(&front, &[&one, &other]).await;
    one.stop().await;
    adds(&front).await;
}
