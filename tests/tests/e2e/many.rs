//! Many services in one host: however they are named, in any order, and with some that cannot start.

use std::fs;

use e2e::command::Command;
use e2e::guests::guest;
use e2e::host::{Host, Start};
use e2e::log::message;
use e2e::settings::service;
use serde_json::{Value, json};

const ECHO: &str = "test.echo.Echo/Echo";
const GREET: &str = "test.front.Front/Greet";

/// The fields of the host's ready line.
async fn ready(host: &Host) -> Value {
    host.log().record("the ready line", |record| message(record) == "ready").await["fields"].clone()
}

/// Why a service does not run, as the log tells it.
async fn why(host: &Host, service: &str) -> String {
    let told = |record: &Value| record["level"] == "ERROR" && record["fields"]["service"] == service;
    host.log().record("a word on the service", told).await["fields"]["error"].as_str().expect("a reason").to_owned()
}

async fn serves_echo(host: &Host) {
    assert_eq!(host.call(ECHO, &json!({"id": "7"})).ok().await["id"], "7");
}

#[tokio::test]
async fn components_a_folder_and_settings_run_in_one_host() {
    let start = Start::settings(&service("mine", &guest("echo"), "version = \"2026-11\""));
    let folder = start.folder().join("spin");
    fs::create_dir(&folder).expect("it can be made");
    fs::copy(guest("spin"), folder.join("spin.wasm")).expect("the guest is built");
    let host = start.arg(guest("back")).arg(&folder).ready().await;
    let fields = ready(&host).await;
    assert_eq!((&fields["services"], &fields["versions"]), (&json!("back,mine,spin"), &json!("back=1.3.1,mine=2026-11,spin=0.1.0")));
    serves_echo(&host).await;
    host.call("test.spin.Spin/For", &json!({"ms": 1})).ok().await;
    assert_eq!(host.call("test.back.Back/Add", &json!({"a": 1, "b": 2})).ok().await["value"], 3);
}

#[tokio::test]
async fn what_one_needs_of_another_is_found_in_any_order() {
    for order in [["front", "back"], ["back", "front"]] {
        let host = Start::guest(order[0]).arg(guest(order[1])).arg("--allow-call").arg("test.back.Back").ready().await;
        assert_eq!(host.call(GREET, &json!({"name": "Ada"})).ok().await["value"], "Hello, Ada!", "{order:?}");
    }
}

#[tokio::test]
async fn one_that_cannot_start_is_told_and_takes_no_other_down() {
    let text =
        service("echo", &guest("echo"), "") + &service("lost", "/no/such.wasm".as_ref(), "") + &service("front", &guest("front"), "");
    let host = Start::settings(&text).ready().await;
    let fields = ready(&host).await;
    assert_eq!((&fields["services"], &fields["failed"]), (&json!("echo"), &json!("front,lost")));
    serves_echo(&host).await;
    assert!(why(&host, "lost").await.contains("/no/such.wasm"));
    let told = why(&host, "front").await;
    for part in ["calls = [\"test.back.Back\"]", "--allow-call test.back.Back", "late = [\"test.back.Back\"]", "--late test.back.Back"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let health = host.get("/_microhost/health/ready").await;
    assert_eq!((health.status.as_u16(), &health.json()["failed"]), (200, &json!(["front", "lost"])));
    assert_eq!(health.json()["services"], json!({"test.echo.Echo": "serving", "test.front.Front": "not_serving"}));
}

#[tokio::test]
async fn people_read_beside_the_services_which_do_not_run_and_why() {
    let text = service("echo", &guest("echo"), "") + &service("lost", "/no/such.wasm".as_ref(), "");
    let host = Start::settings(&text).text_log().ready().await;
    host.log().find("the service that failed", |line| (line == "  lost: does not run").then_some(())).await;
    host.log().find("why it failed", |line| (line.starts_with("    /no/such.wasm: ")).then_some(())).await;
    serves_echo(&host).await;
}

#[tokio::test]
async fn one_whose_provider_failed_starts_only_if_that_may_come_late() {
    // The provider is a component, and has a setting that it cannot start with.
    let back = service("back", &guest("back"), "http = \"/back\"");
    let of = |grants: &str| back.clone() + &service("front", &guest("front"), grants) + &service("echo", &guest("echo"), "");
    let host = Start::settings(&of("grants = { calls = [\"test.back.Back\"] }")).ready().await;
    assert_eq!(ready(&host).await["failed"], "back,front");
    assert!(why(&host, "front").await.contains("no service here offers it"));
    serves_echo(&host).await;
    let host = Start::settings(&of("grants = { calls = [\"*\"], late = [\"*\"] }")).ready().await;
    assert_eq!(ready(&host).await["failed"], "back");
    host.call(GREET, &json!({"name": "Ada"})).fails().await;
    let host = Start::settings(&of("grants = { calls = [\"*\"] }")).arg("--late").arg("test.back.Back").ready().await;
    assert_eq!(ready(&host).await["services"], "echo,front");
}

#[tokio::test]
async fn a_strict_run_ends_where_one_cannot_start() {
    let text = service("echo", &guest("echo"), "") + &service("lost", "/no/such.wasm".as_ref(), "");
    for start in [Start::settings(&text).arg("--strict"), Start::settings(&format!("strict = true\n{text}"))] {
        let (code, said) = start.refused().await;
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("1 of 2 services cannot start") && said.contains("lost: /no/such.wasm"), "{said}");
        assert!(!said.contains("\"ready\""), "{said}");
    }
}

#[tokio::test]
async fn a_run_of_none_ends_with_what_is_wrong_with_each() {
    let text = service("lost", "/no/such.wasm".as_ref(), "") + &service("front", &guest("front"), "");
    let (code, said) = Start::settings(&text).refused().await;
    assert_eq!(code, 3, "{said}");
    for part in ["2 of 2 services cannot start", "lost: /no/such.wasm", "front: front needs", "--allow-call test.back.Back"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn two_services_of_one_name_or_one_route_are_told_apart() {
    let start = Start::settings(&service("echo", &guest("spin"), ""));
    let (code, said) = start.arg(guest("echo")).refused().await;
    assert_eq!(code, 3, "{said}");
    let place = guest("echo").display().to_string();
    assert!(
        said.contains("two services are called echo") && said.contains("microhost.toml, [service.echo]") && said.contains(&place),
        "{said}"
    );

    let text = service("one", &guest("echo"), "") + &service("two", &guest("echo"), "");
    let host = Start::settings(&text).ready().await;
    assert_eq!(ready(&host).await["failed"], "two");
    assert!(why(&host, "two").await.contains("is served already, by one"));
    serves_echo(&host).await;
    assert_eq!(host.get("/_microhost/health/ready").await.json()["services"], json!({"test.echo.Echo": "serving"}));
}

#[tokio::test]
async fn inspect_says_what_to_write_for_a_service_that_is_imported() {
    let front = guest("front");
    let front = front.to_str().expect("the target folder's name is UTF-8");
    let text = Command::microhost(["inspect", front]).run().await.succeeded();
    for part in ["the service test.back.Back  (test:back/back@1.2.0): ", "Greet", "--allow-call test.back.Back", "[service.front.grants]"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let found = Command::microhost(["inspect", "--json", front]).run().await.json();
    let need = &found["needs"][0];
    assert_eq!((&need["service"], &need["interface"]), (&json!("test.back.Back"), &json!("test:back/back@1.2.0")));
    assert!(need["methods"].as_array().is_some_and(|methods| methods.iter().any(|method| method["name"] == "Greet")), "{need}");
    assert_eq!(need["grant"], json!({"setting": "calls = [\"test.back.Back\"]", "flag": "--allow-call test.back.Back"}));
    assert_eq!(need["late"], json!({"setting": "late = [\"test.back.Back\"]", "flag": "--late test.back.Back"}));
    let import = |name: &str| found["imports"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name)).cloned();
    assert_eq!(import("test:back/back@1.2.0").expect("it is imported")["state"], "service");

    let wasi = guest("wasi");
    let found = Command::microhost(["inspect", "--json"]).args([wasi]).run().await.json();
    let flags: Vec<&str> =
        found["imports"].as_array().expect("a list").iter().filter_map(|import| import["grant"]["flag"].as_str()).collect();
    for flag in ["--env K=V", "--dir HOST::/GUEST[:rw]", "--allow-sockets"] {
        assert!(flags.contains(&flag), "{flag} in {flags:?}");
    }
}
