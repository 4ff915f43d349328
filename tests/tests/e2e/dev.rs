//! `microhost dev`: what is edited is served, and what is broken leaves the version before it serving.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::guests::{greeter_sources, guest};
use e2e::host::{Host, Start};
use e2e::log::message;
use e2e::settings::service;
use serde_json::{Value, json};

const HELLO: &str = "example.greeter.Greet/Hello";
const ECHO: &str = "test.echo.Echo/Echo";

/// A record of the log of a service, waited for.
async fn told(host: &Host, service: &str, words: &str) -> Value {
    let of_service = |record: &Value| record["fields"]["service"] == service && message(record).contains(words);
    host.log().record(&format!("{words:?} of {service}"), of_service).await
}

fn count(host: &Host, words: &str) -> usize {
    host.log().records().iter().filter(|record| message(record).contains(words)).count()
}

/// A project in a folder, whose source is a component and whose build copies it.
fn project(folder: &Path, name: &str, component: &str) -> PathBuf {
    let project = folder.join(name);
    fs::create_dir(&project).expect("it can be made");
    let build = "[build]\ncommand = \"cat part > made.wasm\"\ncomponent = \"made.wasm\"\n";
    fs::write(project.join("microhost.toml"), build).expect("a file");
    edit(&project, component);
    project
}

/// Replaces the source of a project by a component of `guests/`.
fn edit(project: &Path, component: &str) {
    fs::copy(guest(component), project.join("part")).expect("the guest is built");
}

async fn hello(host: &Host) -> Value {
    host.call(HELLO, &json!({"name": "Ada"})).ok().await["value"].clone()
}

#[tokio::test]
async fn an_edit_is_served_a_broken_one_is_told_and_a_mended_one_is_served() {
    let start = Start::path("");
    let (folder, target) = greeter_sources(start.folder());
    let host = start.at_path(&folder).dev().env("CARGO_TARGET_DIR", target).ready().await;
    assert_eq!(hello(&host).await, "Hello, Ada!");
    let lib = folder.join("src/lib.rs");
    let write = |text: &str| fs::write(&lib, text).expect("a file");
    let first = fs::read_to_string(&lib).expect("the source");

    write(&first.replace("greeting(\"Hello\"", "greeting(\"Good day\""));
    assert_eq!(told(&host, "greeter", "building").await["fields"]["changed"], "src/lib.rs");
    told(&host, "greeter", "what was built serves").await;
    assert_eq!(hello(&host).await, "Good day, Ada!");

    write(&first.replace("greeting(\"Hello\"", "greeting(Hello"));
    host.log().find("the compiler's message", |line| line.contains("error[E0425]").then_some(())).await;
    let record = told(&host, "greeter", "not built, and the version before goes on serving").await;
    assert!(message(&record).contains("cargo build") && record["level"] == "ERROR", "{record}");
    assert_eq!(hello(&host).await, "Good day, Ada!");

    write(&first.replace("greeting(\"Hello\"", "greeting(\"Welcome back\""));
    host.log().record("the third version", |record| record["fields"]["version"] == 3 && message(record).contains("serves")).await;
    assert_eq!(hello(&host).await, "Welcome back, Ada!");
    assert_eq!((count(&host, "not built"), host.log().lines().iter().filter(|line| line.contains("error[E0425]")).count()), (1, 1));
    host.stop().await;
}

#[tokio::test]
async fn each_of_several_services_is_built_and_swapped_by_itself() {
    let start = Start::path("");
    let echo = project(start.folder(), "echo", "echo");
    let back = project(start.folder(), "back", "back");
    let host = start.at_path(&echo).dev().arg(&back).arg(guest("spin")).ready().await;
    host.call(ECHO, &json!({"id": "1"})).ok().await;
    // Another component with the same interface.
    let mut bytes = fs::read(guest("back")).expect("the guest");
    // An empty custom section.
    bytes.extend([0, 2, 1, b'x']);
    fs::write(back.join("part"), bytes).expect("a file");
    told(&host, "back", "what was built serves").await;
    assert_eq!(host.call("test.back.Back/Add", &json!({"a": 1, "b": 2})).ok().await["value"], 3);
    assert_eq!(count(&host, "building"), 1);
}

#[tokio::test]
async fn one_that_does_not_fit_leaves_the_old_one_serving_unless_it_is_forced() {
    for force in [false, true] {
        let start = Start::path("");
        let folder = project(start.folder(), "one", "echo");
        let start = start.at_path(&folder).dev();
        let host = if force { start.arg("--force") } else { start }.ready().await;
        edit(&folder, "spin");
        if force {
            let record = told(&host, "one", "what was built serves").await;
            assert!(message(&record).contains("test.echo.Echo"), "what is lost is told: {record}");
            host.call("test.spin.Spin/For", &json!({"ms": 1})).ok().await;
        } else {
            let record = told(&host, "one", "was not swapped").await;
            assert!(message(&record).contains("test.echo.Echo") && message(&record).contains("--force"), "{record}");
            host.call(ECHO, &json!({"id": "1"})).ok().await;
        }
    }
}

#[tokio::test]
async fn one_that_does_not_build_at_first_is_started_once_it_does_with_those_that_need_it() {
    let start = Start::path("");
    let back = project(start.folder(), "back", "back");
    fs::remove_file(back.join("part")).expect("it is there");
    let host = start.at_path(&back).dev().arg(guest("front")).arg("--allow-call").arg("*").ready().await;
    assert_eq!(host.get("/_microhost/health/ready").await.json()["failed"], json!(["back", "front"]));
    edit(&back, "back");
    told(&host, "front", "started").await;
    assert_eq!(host.call("test.front.Front/Greet", &json!({"name": "Ada"})).ok().await["value"], "Hello, Ada!");
    assert_eq!(host.get("/_microhost/health/ready").await.json()["failed"], json!([]));
}

#[tokio::test]
async fn settings_that_change_are_taken_over_and_wrong_ones_are_told() {
    let text = |rest: &str| service("sleeper", &guest("sleeper"), rest);
    let start = Start::settings(&text("")).dev();
    let file = start.folder().join("microhost.toml");
    let host = start.ready().await;
    fs::write(&file, text("limits = { timeuot = \"200ms\" }")).expect("a file");
    let record = host.logged("the settings have changed and are not taken over").await;
    assert!(message(&record).contains("did you mean `timeout`?"), "{record}");
    fs::write(&file, text("limits = { timeout = \"200ms\" }")).expect("a file");
    told(&host, "sleeper", "what was built serves").await;
    assert_eq!(host.call("test.sleeper.Sleeper/Hang", &json!({})).fails().await.code, "deadline_exceeded");
}

#[tokio::test]
async fn settings_that_wait_for_the_next_start_are_told_once_by_their_keys() {
    let text = |listen: &str, timeout: u32| {
        let sleeper = service("sleeper", &guest("sleeper"), &format!("limits = {{ timeout = \"{timeout}s\" }}"));
        format!("[listen]\naddress = \"127.0.0.1:0\"\n{listen}\n[admin]\nname = \"shop\"\n{sleeper}")
    };
    let start = Start::settings(&text("", 1)).dev();
    let file = start.folder().join("microhost.toml");
    let write = |text: &str| fs::write(&file, text).expect("a file");
    let host = start.ready().await;
    let swapped = async |version: u32| {
        host.log().record("the next version", |record| record["fields"]["version"] == version && message(record).contains("serves")).await;
    };
    const WAITS: &str = "the host has to be started anew for";
    // With the settings of a service, which are taken over at once.
    write(&text("streams = 7\nadmin-token = \"secret\"", 2));
    let record = host.logged(WAITS).await;
    assert!(message(&record).contains("for [listen] admin-token, [listen] streams, and goes on as it began"), "{record}");
    swapped(2).await;
    // They wait on, and were told.
    write(&text("streams = 7\nadmin-token = \"secret\"", 3));
    swapped(3).await;
    assert_eq!(count(&host, WAITS), 1);
    assert!(!host.log().lines().iter().any(|line| line.contains("secret")), "keys are told, and no values");
    // As the host has them: nothing waits.
    write(&text("", 4));
    swapped(4).await;
    assert_eq!(count(&host, WAITS), 1);
}

#[tokio::test]
async fn a_build_under_way_ends_with_the_host() {
    let start = Start::path("");
    let folder = project(start.folder(), "one", "echo");
    let host = start.at_path(&folder).dev().ready().await;
    let build = "[build]\ncommand = \"echo it begins as $$ >&2; sleep 600; true\"\ncomponent = \"made.wasm\"\n";
    fs::write(folder.join("microhost.toml"), build).expect("a file");
    let begun = |line: &str| line.strip_prefix("it begins as ").map(|id| PathBuf::from(format!("/proc/{}", id.trim())));
    let process = host.log().find("the build", begun).await;
    assert!(process.exists());
    host.stop().await;
    assert!(!process.exists(), "nobody waits for the build, and it is gone");
}
