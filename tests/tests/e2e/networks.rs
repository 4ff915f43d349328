//! Hosts of one network find each other without settings, and lose each other as they should.

use std::time::{Duration, Instant};

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::nats::Server;
use e2e::network::{Addresses, Machine, Network};
use e2e::{guests, settings};
use serde_json::{Value, json};

const PORT: u16 = 8080;

/// The service that is called.
fn back() -> Start {
    Start::guest("back")
}

/// The service that calls it, whether it is there or not.
fn front() -> Start {
    let grants = "grants = { calls = [\"test.back.Back\"], late = [\"test.back.Back\"] }";
    Start::settings(&settings::service("front", &guests::guest("front"), grants))
}

/// Settings with a short lease, so that a test need not wait for long.
fn back_with_lease(lease: &str) -> Start {
    let service = settings::service("back", &guests::guest("back"), "");
    Start::settings(&format!("{service}\n[cluster]\nlease = \"{lease}\"\n"))
}

/// Where a host knows the service `back` to be, apart from itself.
async fn known(host: &Host) -> Vec<String> {
    let services = host.admin(["services", "--json"]).run().await.json();
    let services = services.as_array().expect("a list").clone();
    let elsewhere = services.iter().filter(|service| service["name"] == "back" && service["host"].is_string());
    elsewhere.map(|service| service["address"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Waits until it is known on just these machines, at whichever of their addresses answered first; how
/// long that took.
async fn becomes_known(host: &Host, on: &[&Machine]) -> Duration {
    let began = Instant::now();
    loop {
        let known = known(host).await;
        if known.len() == on.len() && known.iter().zip(on).all(|(url, machine)| machine.is_at(url, PORT)) {
            return began.elapsed();
        }
        assert!(began.elapsed() < e2e::SOON, "{} hosts are to be known, and it still is {known:?}", on.len());
    }
}

/// What is added up.
const SUM: &str = "{\"a\": 1, \"b\": 2}";

/// A call of the host at a port of a machine, made there.
fn call(machine: &Machine, port: u16, method: &str, request: &str) -> Command {
    let at = format!("http://localhost:{port}");
    Command::microhost(["call", "--at", &at, &format!("test.front.Front/{method}"), request]).on(machine)
}

async fn add(machine: &Machine, port: u16) -> Value {
    call(machine, port, "Add", SUM).run().await.json()
}

#[tokio::test]
async fn two_hosts_of_a_network_find_each_other_without_settings() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine(), network.machine());
    let back = back().on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    assert_eq!(add(&other, PORT).await, json!({"value": 3}));
    back.stop().await;
    front.stop().await;
}

#[tokio::test]
async fn hosts_find_each_other_by_version_6_alone() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine_with(Addresses::Six), network.machine_with(Addresses::Six));
    let _back = back().on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    assert_eq!(add(&other, PORT).await, json!({"value": 3}));
}

#[tokio::test]
async fn several_hosts_of_one_machine_find_each_other() {
    let Some(network) = Network::new() else { return };
    let machine = network.machine();
    let _back = back().on(&machine, PORT).ready().await;
    let front = front().on(&machine, PORT + 1).ready().await;
    becomes_known(&front, &[&machine]).await;
    assert_eq!(add(&machine, PORT + 1).await, json!({"value": 3}));
}

#[tokio::test]
async fn a_host_that_leaves_is_gone_before_its_lease_is() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine(), network.machine());
    let back = back_with_lease("1h").on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    back.stop().await;
    becomes_known(&front, &[]).await;
}

#[tokio::test]
async fn a_host_that_is_killed_is_gone_with_its_lease() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine(), network.machine());
    let back = back_with_lease("3s").on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    back.kill().await;
    let took = becomes_known(&front, &[]).await;
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_gone_with_its_lease_and_back_when_the_network_is() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine(), network.machine());
    let _back = back_with_lease("3s").on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    one.cut();
    becomes_known(&front, &[]).await;
    one.heal();
    becomes_known(&front, &[&one]).await;
    assert_eq!(add(&other, PORT).await, json!({"value": 3}));
}

#[tokio::test]
async fn clusters_of_different_names_in_one_network_do_not_see_each_other() {
    let Some(network) = Network::new() else { return };
    let (one, two, three) = (network.machine(), network.machine(), network.machine());
    let _theirs = back().on(&one, PORT).among("theirs").ready().await;
    let _ours = back().on(&two, PORT).among("ours").ready().await;
    let front = front().on(&three, PORT).among("ours").ready().await;
    becomes_known(&front, &[&two]).await;
}

#[tokio::test]
async fn where_multicast_is_missing_a_host_says_what_to_do_and_runs() {
    let Some(network) = Network::new() else { return };
    let (one, other) = (network.machine(), network.machine());
    other.unplug();
    let _back = back().on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    let warning = front.logged("mDNS finds").await;
    assert!(warning.to_string().contains("--peer URL"), "{warning}");
    assert_eq!(known(&front).await, Vec::<String>::new());
}

#[tokio::test]
async fn hosts_that_cannot_reach_one_another_call_each_other_by_the_server_that_both_reach() {
    let Some(network) = Network::new() else { return };
    let (between, one, other) = (network.machine(), network.machine(), network.machine());
    let Some(mut server) = Server::on(&between).await else { return };
    one.isolate();
    other.isolate();
    let by_nats = |start: Start| start.arg("--cluster").arg(server.url());
    let back = by_nats(back()).on(&one, PORT).ready().await;
    let front = by_nats(front()).on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    assert_eq!(add(&other, PORT).await, json!({"value": 3}));
    let counted = call(&other, PORT, "Count", "{\"to\": 20000}").run().await.succeeded();
    assert_eq!(counted.matches("value").count(), 20_000);
    server.kill().await;
    server.restart().await;
    // There is a way again without anybody's doing.
    e2e::soon("calls to go again", async { while call(&other, PORT, "Add", SUM).run().await.code != Some(0) {} }).await;
    back.stop().await;
    front.stop().await;
}

#[tokio::test]
async fn a_host_that_gets_other_addresses_is_called_there() {
    let Some(network) = Network::new() else { return };
    let (mut one, other) = (network.machine(), network.machine());
    let back = back().on(&one, PORT).ready().await;
    let front = front().on(&other, PORT).ready().await;
    becomes_known(&front, &[&one]).await;
    one.moves();
    back.logged("the addresses of this machine have changed").await;
    becomes_known(&front, &[&one]).await;
    assert_eq!(add(&other, PORT).await, json!({"value": 3}));
}
