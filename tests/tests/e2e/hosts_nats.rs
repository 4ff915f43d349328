//! Commands that find hosts by a NATS server, and call those that it alone leads to.

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::metrics::IN_FLIGHT;
use e2e::nats::Server;
use e2e::{cluster, guests, settings, soon};
use serde_json::{Value, json};

const ADD: &str = "{\"a\": 1, \"b\": 2}";

/// A host with a service of each kind of call.
fn services(cluster: &str, server: &Server) -> Start {
    let of = |name| settings::service(name, &guests::guest(name), "");
    Start::settings(&(of("back") + &of("streams"))).among(cluster).arg("--cluster").arg(server.url())
}

/// Waits until the server tells of one host; its address.
async fn told(by: impl Fn(&[&str]) -> Command) -> String {
    soon("a host that is known", async {
        loop {
            let ended = by(&["services", "--json"]).run().await;
            if ended.code == Some(0)
                && let Some(address) = ended.json()[0]["address"].as_str()
            {
                return address.to_owned();
            }
        }
    })
    .await
}

#[tokio::test]
async fn commands_find_a_service_by_the_nats_server_of_its_cluster() {
    let Some(server) = Server::start().await else { return };
    let cluster = cluster::unique("found-by-nats");
    let host = services(&cluster, &server).ready().await;
    let by = |args: &[&str]| Command::microhost(args).args(["--cluster-name", &cluster, "--cluster", &server.url()]);
    assert_eq!(told(by).await, host.url());
    assert_eq!(by(&["call", "back", "add", ADD]).run().await.json(), json!({"value": 3}));
    let by_variable = Command::microhost(["call", "back", "add", ADD, "--discover"]);
    let by_variable = by_variable.env("MICROHOST_CLUSTER", server.url()).env("MICROHOST_CLUSTER_NAME", &cluster);
    assert_eq!(by_variable.run().await.json(), json!({"value": 3}));
}

#[tokio::test]
async fn commands_call_a_host_that_nats_alone_leads_to() {
    let Some(server) = Server::start().await else { return };
    let cluster = cluster::unique("called-by-nats");
    let host: Host = services(&cluster, &server).arg("--advertise").arg("nats:").ready().await;
    let by = |args: &[&str]| Command::microhost(args).args(["--cluster-name", &cluster, "--cluster", &server.url()]);
    let address = told(by).await;
    assert!(address.starts_with(&format!("nats:microhost.{cluster}.host.")), "{address}");
    for protocol in ["connect", "grpc", "grpc-web"] {
        let called = by(&["call", "back", "add", ADD, "--protocol", protocol]).run().await;
        assert_eq!(called.json(), json!({"value": 3}), "{protocol}");
    }
    let counted = by(&["call", "streams", "countdown", "{\"from\": 1000}"]).run().await.succeeded();
    assert_eq!(counted.lines().count(), 1000);
    let described: Value = by(&["describe", "back", "--json"]).run().await.json();
    assert_eq!(described["nodes"][0]["addresses"], json!([address]));

    let mut ticks = by(&["call", "streams", "tick", "{\"milliseconds\": 3600000}"]).talk();
    ticks.line().await;
    ticks.interrupt();
    assert_eq!(ticks.ended().await.code, Some(65), "canceled");
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "Tick")], |calls| calls == 0.0).await;

    // Who knows of it from the host itself has no server that leads there.
    let by_page = Command::microhost(["call", "back", "add", ADD, "--cluster-name", &cluster, "--peer", &host.url()]);
    let ended = by_page.run().await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("--cluster nats://HOST"), "{ended:?}");

    host.kill().await;
    let ended = by(&["call", "back", "add", ADD]).run().await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
}
