//! Commands that see all hosts: from one of them, and from a machine on which none runs.

use e2e::command::{Command, Ended};
use e2e::host::{Host, Start};
use e2e::network::Network;
use e2e::{cluster, guests, program, settings, soon};
use serde_json::{Value, json};

const ADD: &str = "{\"a\": 1, \"b\": 2}";

/// A host with the service that is called, in its version of the test.
fn back(cluster: &str, rest: &str) -> Start {
    Start::settings(&settings::service("back", &guests::guest("back"), rest)).among(cluster)
}

/// A host with the service that calls it.
fn front(cluster: &str) -> Start {
    let grants = "grants = { calls = [\"test.back.Back\"], late = [\"test.back.Back\"] }";
    Start::settings(&settings::service("front", &guests::guest("front"), grants)).among(cluster)
}

/// A command that finds hosts of this cluster by peers, from outside of it.
fn outside(args: &[&str], cluster: &str, peers: &[&str]) -> Command {
    let peers: Vec<&str> = peers.iter().flat_map(|peer| ["--peer", peer]).collect();
    Command::microhost(args).args(["--cluster-name", cluster]).args(peers)
}

/// Runs a command until it succeeds: on a machine that does much else, a host may be heard of too late for one.
async fn succeeds<F: Future<Output = Ended>>(what: &str, run: impl Fn() -> F) -> Ended {
    soon(what, async {
        loop {
            let ended = run().await;
            if ended.code == Some(0) {
                return ended;
            }
        }
    })
    .await
}

/// What `describe back` tells of a host when it knows so many that offer it.
async fn described(host: &Host, nodes: usize) -> Value {
    soon("the hosts that offer it", async {
        loop {
            let ended = host.admin(["describe", "back", "--json"]).run().await;
            if ended.code == Some(0) {
                let found = ended.json();
                if found["nodes"].as_array().is_some_and(|all| all.len() == nodes) {
                    return found;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_service_is_described_with_all_hosts_that_offer_it_its_own_first() {
    let cluster = cluster::unique("described");
    let other = back(&cluster, "version = \"2.0.0\"\nweight = 30\nlabels = { track = \"canary\" }").ready().await;
    let own = back(&cluster, "version = \"1.0.0\"").arg("--zone").arg("a").arg("--peer").arg(other.url()).ready().await;
    let found = described(&own, 2).await;
    let first = json!({
        "host": found["nodes"][0]["host"], "own": true, "addresses": [own.url()], "zone": "a", "version": "1.0.0", "weight": 100,
        "ready": true, "labels": {},
    });
    assert_eq!(found["nodes"][0], first);
    let second = &found["nodes"][1];
    assert_eq!((&second["own"], &second["addresses"], &second["zone"]), (&json!(false), &json!([other.url()]), &Value::Null));
    assert_eq!((&second["version"], &second["weight"], &second["labels"]["track"]), (&json!("2.0.0"), &json!(30), &json!("canary")));
    assert_eq!(found["endpoints"][0]["service"], "test.back.Back", "the host's own is described as before");
    let text = own.admin(["describe", "back"]).run().await.succeeded();
    assert!(text.contains("offered by") && text.contains(", this one") && text.contains("track=canary"), "{text}");
}

#[tokio::test]
async fn a_service_of_other_hosts_is_described_by_what_they_tell() {
    let cluster = cluster::unique("elsewhere");
    let back = back(&cluster, "safe = [\"test.back.Back/Add\"]").ready().await;
    let front = front(&cluster).arg("--peer").arg(back.url()).ready().await;
    let found = described(&front, 1).await;
    let add = json!({"service": "test.back.Back", "method": "Add", "kind": "unary", "safe": true});
    assert!(found["endpoints"].as_array().is_some_and(|all| all.contains(&add)), "{found}");
    for name in ["back", "test.back.Back"] {
        let text = front.admin(["describe", name]).run().await.succeeded();
        for part in ["back  on other hosts", &back.url(), "Add  (unary, safe)"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    let from_outside = outside(&["describe", "back", "--json"], &cluster, &[&back.url()]).run().await.json();
    assert_eq!(from_outside["endpoints"], found["endpoints"]);
    let ended = outside(&["describe", "bakc"], &cluster, &[&back.url()]).run().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.failed().contains("try: back"));
}

#[tokio::test]
async fn a_call_finds_a_host_that_offers_the_service() {
    let cluster = cluster::unique("found");
    let (back, front) = (back(&cluster, "").ready().await, front(&cluster).ready().await);
    let (at_back, at_front) = (back.url(), front.url());
    for service in ["test.back.Back", "back", "Back", "test:back/back"] {
        for rest in [&[][..], &["--protocol", "grpc"], &["--protocol", "grpc-web", "--timeout", "20s"]] {
            let call = outside(&["call", service, "add", ADD], &cluster, &[&at_front, &at_back]).args(rest);
            assert_eq!(call.run().await.json(), json!({"value": 3}), "{service} {rest:?}");
        }
    }
    // By variables, where they are asked for.
    let by_variables = |args: &[&str]| {
        let command = Command::microhost(["call", "back", "add", ADD]).args(args);
        command.env("MICROHOST_PEER", format!("{at_front},{at_back}")).env("MICROHOST_CLUSTER_NAME", &cluster)
    };
    assert_eq!(by_variables(&["--discover"]).run().await.json(), json!({"value": 3}));
    let at_nobody = by_variables(&["--discover"]).env("MICROHOST_AT", "http://127.0.0.1:9");
    assert_eq!(at_nobody.run().await.json(), json!({"value": 3}), "a flag wins over a variable");
    let refused = by_variables(&["--discover", "--at", "http://127.0.0.1:9"]).run().await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.failed().contains("leave --at away"));
}

#[tokio::test]
async fn streams_go_to_a_host_that_was_found() {
    let cluster = cluster::unique("streams");
    let host = Start::guest("streams").among(&cluster).ready().await;
    let listed = outside(&["describe", "streams", "--json"], &cluster, &[&host.url()]).run().await.json();
    let endpoints = listed["endpoints"].as_array().expect("a list");
    assert!(endpoints.iter().any(|one| one["kind"] == "server-stream") && endpoints.iter().any(|one| one["kind"] == "bidi-stream"));
    let called = outside(&["call", "streams", "countdown", "{\"from\": 3}"], &cluster, &[&host.url()]).run().await;
    assert_eq!(called.succeeded().lines().count(), 3);
}

#[tokio::test]
async fn an_address_that_nobody_answers_at_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hosts.toml");
    let back = Host::of("back").await;
    let service = "[[node.service]]\nname = \"back\"\ninterfaces = [\"test.back.Back\"]\n";
    let node = |addresses: &[&str]| format!("[[node]]\naddresses = {addresses:?}\n{service}");
    std::fs::write(&path, node(&["http://127.0.0.1:1"]) + &node(&["http://127.0.0.1:2", &back.url()])).expect("it can be written");
    let told = format!("file:{}", path.display());
    let call = || Command::microhost(["call", "back", "Add", ADD, "--cluster", &told]).run();
    assert_eq!(call().await.json(), json!({"value": 3}));
    back.stop().await;
    let ended: Ended = call().await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let said = ended.failed();
    assert!(said.contains("no host that offers test.back.Back can be reached") && said.contains("http://127.0.0.1:2"), "{said}");
}

#[tokio::test]
async fn a_call_that_nobody_takes_says_who_was_found() {
    let cluster = cluster::unique("nobody");
    let back = back(&cluster, "").ready().await;
    let ended = outside(&["call", "payments", "charge"], &cluster, &[&back.url()]).run().await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let said = ended.failed();
    assert!(said.contains("no service \"payments\"") && said.contains(&format!("at {} runs back", back.url())), "{said}");

    let strange = cluster::unique("strange");
    let ended = outside(&["call", "back", "add"], &strange, &[&back.url(), "http://127.0.0.1:1"]).run().await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let said = ended.failed();
    for part in ["no host of the cluster", &strange, "belongs to another cluster", "http://127.0.0.1:1", "--cluster-name"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn where_no_host_answers_a_command_names_the_way_to_find_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["services"][..], &["describe", "back"], &["call", "back", "add", "--at", "http://127.0.0.1:1"]] {
        let ended = Command::microhost(args).env("XDG_RUNTIME_DIR", folder.path()).run().await;
        assert_eq!(ended.code, Some(4), "{ended:?}");
        assert!(ended.stderr.contains("--discover"), "{ended:?}");
    }
}

#[tokio::test]
async fn services_are_listed_where_no_host_runs() {
    let cluster = cluster::unique("listed");
    let (back, front) = (back(&cluster, "").ready().await, front(&cluster).ready().await);
    let peers = [back.url(), front.url()];
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let services = outside(&["services", "--json"], &cluster, &peers).run().await.json();
    let mut listed: Vec<(&str, &str)> = services
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["name"].as_str().expect("a name"), one["address"].as_str().expect("an address")))
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [("back", peers[0]), ("front", peers[1])]);
    let text = outside(&["services"], &cluster, &peers).run().await.succeeded();
    assert!(text.starts_with("NAME") && text.contains(peers[0]) && text.contains("serving"), "{text}");
}

#[tokio::test]
async fn hosts_of_a_network_are_found_from_a_machine_without_one() {
    let Some(network) = Network::new() else { return };
    let (one, other, without) = (network.machine(), network.machine(), network.machine());
    let _hosts = [Start::guest("back").on(&one, 8080).ready().await, Start::guest("echo").on(&other, 8080).ready().await];
    let on = |args: &[&str]| Command::microhost(args).on(&without);
    for by in [&["--discover"][..], &["--cluster", "mdns:"]] {
        let called = succeeds("a call", || on(&["call", "back", "add", ADD]).args(by).run()).await;
        assert_eq!(called.json(), json!({"value": 3}), "{by:?}");
    }
    soon("that all are listed", async {
        loop {
            let listed = on(&["services", "--discover"]).run().await;
            if listed.stdout.contains("back") && listed.stdout.contains("echo") {
                return;
            }
        }
    })
    .await;
    let ended = on(&["call", "back", "add", ADD]).run().await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.failed().contains("--discover"));
}

#[tokio::test]
async fn hosts_that_name_the_same_one_know_each_other_also_when_it_is_gone() {
    let cluster = cluster::unique("hearsay");
    let first = back(&cluster, "").ready().await;
    let named = |start: Start| start.arg("--peer").arg(first.url());
    let (second, third) = (named(back(&cluster, "")).ready().await, named(front(&cluster)).ready().await);
    described(&third, 2).await;
    // A command knows whom the host knows that it names.
    succeeds("a call by another", || outside(&["call", "front", "add", ADD], &cluster, &[&second.url()]).run()).await;
    first.kill().await;
    let found = described(&third, 1).await;
    assert_eq!(found["nodes"][0]["addresses"], json!([second.url()]), "who is gone is forgotten, and nobody else");
    let add = third.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).ok().await;
    assert_eq!(add, json!({"value": 3}));
}

/// A service of the shop as its own folder has it, with the component that was built for the tests.
fn of_shop(name: &str) -> Start {
    let path = program::root().join("examples/shop").join(name).join("microhost.toml");
    let text = std::fs::read_to_string(&path).expect("each service of the shop has settings");
    let (_, component) = guests::shop().into_iter().find(|(service, _)| *service == name).expect("the shop has it");
    let table = format!("[service.{name}]\n");
    assert!(text.contains(&table), "{table} in {text}");
    let text = text.replace("component = \".\"\n", "");
    Start::settings(&text.replace(&table, &format!("{table}component = {:?}\n", component.display().to_string())))
}

#[tokio::test]
async fn the_shop_runs_on_three_machines_that_nobody_told_of_one_another_in_whatever_order_they_start() {
    let Some(network) = Network::new() else { return };
    let machines = [network.machine(), network.machine(), network.machine()];
    // Each before what it calls.
    let mut hosts = Vec::new();
    for (name, machine) in ["orders", "inventory", "payments"].into_iter().zip(&machines) {
        hosts.push(of_shop(name).on(machine, 8080).ready().await);
    }
    let order = "{\"order\": \"a-1\", \"lines\": [{\"sku\": \"mug\", \"count\": 2}], \"card\": \"4111\"}";
    let place = || Command::microhost(["call", "shop.orders.Orders", "place", order, "--discover"]).on(&machines[2]).run();
    let placed = succeeds("an order that goes through", place).await.json();
    assert_eq!((&placed["charge"], &placed["note"]), (&json!("ch-1"), &json!("Thank you!")), "{placed}");
}
