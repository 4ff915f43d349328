//! A service is swapped while it runs: no call fails, whatever it is in the middle of; and what should
//! not come up does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use e2e::guests::{guest, text};
use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version, request, send};
use e2e::raw::{Raw, status};
use e2e::soon;
use http::HeaderValue;
use serde_json::{Value, json};

const TOKEN: &str = "a token of the tests";
const WHICH: &str = "test.turns.Turns/Which";
const LATER: &str = "test.turns.Turns/Later";
const ALONE: &str = "test.turns.Turns/Alone";
const TELL: &str = "test.turns.Turns/Tell";
const ECHO: &str = "test.turns.Turns/Echo";
const WORK: &str = "test.turns.Turns/Work";

/// A host with the service `turns`, whose version is 1, and others beside it.
async fn host(others: &str) -> Host {
    let component = guest("turns");
    Start::settings(&format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nadmin-token = \"{TOKEN}\"\n\
         [service.turns]\ncomponent = \"{}\"\ngrants = {{ environment = {{ VERSION = \"1\" }} }}\n{others}",
        component.display()
    ))
    .ready()
    .await
}

/// Asks the admin API, with a body or for a page.
async fn admin(host: &Host, path: &str, body: Option<&Value>) -> Answer {
    let method = if body.is_some() { "POST" } else { "GET" };
    let text = body.map(ToString::to_string).unwrap_or_default();
    let mut request = request(method, host.address, &format!("/_microhost/admin/{path}"), text);
    let token = HeaderValue::from_str(&format!("Bearer {TOKEN}")).expect("the token is text");
    request.headers_mut().insert("authorization", token);
    send(host.address, Version::One, request).await
}

/// Changes the version of a service; it has to work.
async fn changed(host: &Host, service: &str, what: &str, order: &Value) -> Value {
    let answer = admin(host, &format!("services/{service}/{what}"), Some(order)).await;
    assert_eq!(answer.status, 200, "{what} of {service}: {}", answer.text());
    answer.json()
}

/// Changes the version of a service; it has to be refused. What is told.
async fn refused(host: &Host, service: &str, what: &str, order: &Value) -> String {
    let answer = admin(host, &format!("services/{service}/{what}"), Some(order)).await;
    assert!(answer.status.is_client_error(), "{what} of {service} should be refused: {}", answer.text());
    answer.json()["message"].as_str().expect("a refusal has a message").to_owned()
}

/// A swap of the service `turns` to itself, as a version that calls itself so.
fn to(version: u32) -> Value {
    json!({ "component": guest("turns"), "grants": [format!("env=VERSION={version}")] })
}

async fn which(host: &Host) -> String {
    host.call(WHICH, &json!({})).ok().await["value"].as_str().expect("a version").to_owned()
}

async fn versions(host: &Host, service: &str) -> Value {
    admin(host, &format!("services/{service}"), None).await.json()["versions"].clone()
}

/// Waits until all versions that were swapped away have ended.
async fn drained(host: &Host, service: &str) {
    soon("the end of the old versions", async {
        // The host has no other way to tell of it.
        while versions(host, service).await["draining"].as_array().is_some_and(|draining| !draining.is_empty()) {}
    })
    .await;
}

/// How slowly bodies come.
const PACE: Duration = Duration::from_millis(40);

/// What is common to the clients of a load.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    calls: AtomicU64,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.over.load(Relaxed)
    }

    fn answered(&self) {
        self.calls.fetch_add(1, Relaxed);
    }
}

/// A version in an answer; it is never one that came before the last.
fn no_older(last: &mut u32, answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let version: u32 = answer.json()["value"].as_str().and_then(|text| text.parse().ok()).expect("a version");
    assert!(version >= *last, "version {version} answered after {last}");
    *last = version;
}

/// Unary calls one after the other, on one connection.
async fn calls(host: &Host, version: Version, load: &Load) {
    let mut connection = Connection::open(host.address, version).await.expect("HTTP is spoken");
    let mut last = 0;
    while load.goes_on() {
        for (endpoint, body) in [(WHICH, json!({})), (LATER, json!({ "ms": 5 })), (ALONE, json!({}))] {
            let answer = soon("an answer", connection.send(host.call(endpoint, &body).into_request())).await;
            no_older(&mut last, &answer.unwrap_or_else(|error| panic!("{endpoint}: {error:?}")));
            load.answered();
        }
    }
}

/// Calls whose bodies come slowly, so that versions change between head and body.
async fn slow_bodies(host: &Host, load: &Load) {
    while load.goes_on() {
        let mut raw = Raw::open(host.address).await;
        let (path, body) = (format!("/{LATER}"), "{\"ms\":1}");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        assert!(raw.send(head).await && raw.send(&body[..4]).await, "the host reads");
        // The client's pace, and nothing that is waited for.
        tokio::time::interval_at(tokio::time::Instant::now() + PACE, PACE).tick().await;
        assert!(raw.send(&body[4..]).await, "the host reads on");
        let answer = raw.rest().await;
        assert_eq!(status(&answer), Some(200), "{answer}");
        load.answered();
    }
}

/// Pages by plain HTTP, one after the other.
async fn pages(host: &Host, load: &Load) {
    let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
    while load.goes_on() {
        let answer = soon("a page", connection.send(request("GET", host.address, "/pages/", ""))).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        load.answered();
    }
}

/// Streams that last a while, one after the other: each is of one version from beginning to end.
async fn tellers(host: &Host, load: &Load) {
    let mut streams = host.streams().await;
    while load.goes_on() {
        let (told, end) = streams.all(TELL, &[json!({ "times": 10, "ms": 10 })]).await;
        assert_eq!((end.status, told.len()), (0, 10), "{}", end.message);
        assert!(told.iter().all(|version| *version == told[0]), "{told:?}");
        load.answered();
    }
}

/// Resident memory, in MiB.
fn resident(host: &Host) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", host.id())).expect("the host runs");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096 / (1 << 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_services_are_swapped_under_load() {
    const SWAPS: u32 = 25;
    let page = guest("page");
    let host = Arc::new(host(&format!("[service.page]\ncomponent = \"{}\"\nhttp = \"/pages\"\n", page.display())).await);
    let load = Arc::new(Load::default());
    // Open through all of it: it belongs to the first version.
    let mut streams = host.streams().await;
    let mut echo = streams.open(ECHO, &[json!({ "value": "hello" })]).await;
    assert_eq!(echo.next().await, Some(json!({ "value": "1 hello" })));

    let mut clients = tokio::task::JoinSet::new();
    for client in 0..64 {
        let (host, load) = (Arc::clone(&host), Arc::clone(&load));
        clients.spawn(async move {
            match client % 8 {
                0..3 => calls(&host, Version::One, &load).await,
                3 | 4 => calls(&host, Version::Two, &load).await,
                5 => slow_bodies(&host, &load).await,
                6 => pages(&host, &load).await,
                _ => tellers(&host, &load).await,
            }
        });
    }
    soon("the first calls", async {
        while load.calls.load(Relaxed) < 500 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let before = resident(&host);
    for version in 2..=SWAPS + 1 {
        let begun = load.calls.load(Relaxed);
        let mut order = to(version);
        // The stream of the first version goes on through all swaps, however long a busy machine takes for them.
        order["graceMs"] = json!(600_000);
        let swapped = changed(&host, "turns", "swap", &order).await;
        assert_eq!((swapped["from"].as_u64(), swapped["to"].as_u64()), (Some(u64::from(version) - 1), Some(u64::from(version))));
        changed(&host, "page", "swap", &json!({ "component": page })).await;
        echo.send(&json!({ "value": version.to_string() })).await;
        assert_eq!(echo.next().await, Some(json!({ "value": format!("1 {version}") })));
        // Each version has calls of its own.
        soon("calls of this version", async {
            while load.calls.load(Relaxed) < begun + 100 && !clients.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    load.over.store(true, Relaxed);
    soon("the last calls", async {
        while let Some(ended) = clients.join_next().await {
            ended.expect("no call fails");
        }
    })
    .await;
    assert_eq!(which(&host).await, (SWAPS + 1).to_string());
    // The first version is still there for its stream, and for nothing else.
    let draining = versions(&host, "turns").await["draining"].clone();
    assert!(draining.as_array().is_some_and(|draining| draining.iter().any(|old| old["version"] == 1)), "{draining}");
    echo.half_close();
    assert_eq!(echo.next().await, None);
    assert_eq!(echo.end().await.status, 0);
    drained(&host, "turns").await;
    drained(&host, "page").await;
    let after = resident(&host);
    assert!(after < before + 64, "{before} MiB before {SWAPS} swaps, {after} MiB after");
}

#[tokio::test]
async fn a_canary_gets_exactly_its_share_until_it_is_promoted_or_taken_back() {
    let host = host("").await;
    let canary = |version| {
        let mut order = to(version);
        order["canary"] = json!("10%");
        order
    };
    changed(&host, "turns", "swap", &canary(2)).await;
    let share = async || {
        let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
        let mut new = 0;
        for _ in 0..100 {
            let answer = soon("an answer", connection.send(host.call(WHICH, &json!({})).into_request())).await.expect("an answer");
            new += usize::from(answer.json()["value"] != "1");
        }
        new
    };
    assert_eq!(share().await, 10);
    let shown = versions(&host, "turns").await;
    assert_eq!((&shown["serving"], &shown["canary"]["version"], &shown["canary"]["share"]), (&json!(1), &json!(2), &json!("10%")));
    let why = refused(&host, "turns", "swap", &to(3)).await;
    assert!(why.contains("version 2 is being tried with 10%") && why.contains("--promote"), "{why}");

    changed(&host, "turns", "rollback", &json!({})).await;
    assert_eq!(share().await, 0);
    changed(&host, "turns", "swap", &canary(3)).await;
    changed(&host, "turns", "promote", &json!({})).await;
    assert_eq!(which(&host).await, "3");
    assert_eq!(versions(&host, "turns").await["previous"], 1);
    drained(&host, "turns").await;
}

#[tokio::test]
async fn a_rollback_is_a_swap_back() {
    let host = host("").await;
    let why = refused(&host, "turns", "rollback", &json!({})).await;
    assert!(why.contains("no version came before"), "{why}");
    changed(&host, "turns", "swap", &to(2)).await;
    assert_eq!(which(&host).await, "2");
    let back = changed(&host, "turns", "rollback", &json!({})).await;
    assert_eq!((&back["from"], &back["to"]), (&json!(2), &json!(1)));
    assert_eq!(which(&host).await, "1");
    changed(&host, "turns", "rollback", &json!({})).await;
    assert_eq!(which(&host).await, "2");
}

#[tokio::test]
async fn a_version_whose_calls_fail_is_taken_back_by_itself() {
    let host = Arc::new(host("").await);
    let load = Arc::new(Load::default());
    let (caller, calling) = (Arc::clone(&host), Arc::clone(&load));
    let client = tokio::spawn(async move {
        while calling.goes_on() {
            caller.call(WORK, &json!({})).answer().await;
            calling.answered();
        }
    });
    let mut order = to(2);
    order["grants"].as_array_mut().expect("a list").push(json!("env=BROKEN=yes"));
    order["watch"] = json!({ "maxErrorRate": "5%", "timeMs": 20_000 });
    let swapped = changed(&host, "turns", "swap", &order).await;
    assert_eq!(swapped["verdict"]["verdict"], "taken-back", "{swapped}");
    assert_eq!(which(&host).await, "1");
    load.over.store(true, Relaxed);
    client.await.expect("the client ends");
    assert_eq!(host.call(WORK, &json!({})).ok().await["value"], "1");
}

#[tokio::test]
async fn a_version_whose_calls_go_well_is_kept() {
    let host = host("").await;
    let mut order = to(2);
    order["watch"] = json!({ "maxErrorRate": "5%", "timeMs": 300 });
    let swapped = changed(&host, "turns", "swap", &order).await;
    assert_eq!(swapped["verdict"]["verdict"], "kept", "{swapped}");
    assert_eq!(which(&host).await, "2");
}

#[tokio::test]
async fn what_callers_would_miss_is_told_and_only_swapped_by_force() {
    let host = host("").await;
    let other = json!({ "component": guest("sleeper") });
    let why = refused(&host, "turns", "swap", &other).await;
    assert!(why.contains("version 1 goes on serving") && why.contains("--force"), "{why}");
    assert!(why.contains("- test.turns.Turns/Later: later: async func(ms: u32) -> string"), "{why}");
    assert_eq!(which(&host).await, "1");
    let mut forced = other.clone();
    forced["force"] = json!(true);
    let swapped = changed(&host, "turns", "swap", &forced).await;
    assert!(swapped["difference"]["added"].as_array().is_some_and(|added| !added.is_empty()), "{swapped}");
    // At one moment: what is gone is gone everywhere.
    assert_eq!(host.call(WHICH, &json!({})).fails().await.code, "unimplemented");
    host.call("test.sleeper.Sleeper/Report", &json!({})).ok().await;
    let health = host.get("/_microhost/health/ready").await.json();
    assert!(health["services"].get("test.sleeper.Sleeper").is_some() && health["services"].get("test.turns.Turns").is_none(), "{health}");
}

#[tokio::test]
async fn a_version_that_traps_at_its_start_never_gets_a_call() {
    let table = text("table");
    let host = host(&format!("[service.table]\ncomponent = \"{}\"\n", table.display())).await;
    let why = refused(&host, "table", "swap", &json!({ "component": text("stillborn") })).await;
    assert!(why.contains("warmed up") && why.contains("unreachable"), "{why}");
    assert_eq!(host.call("test.table.Table/Grow", &json!({ "elements": 1 })).ok().await["value"], 1);
    assert_eq!(versions(&host, "table").await["serving"], 1);
}

#[tokio::test]
async fn what_is_no_component_leaves_the_running_version_alone() {
    let host = host("").await;
    let readme = e2e::program::root().join("README.md");
    let why = refused(&host, "turns", "swap", &json!({ "component": readme })).await;
    assert!(why.contains("no WebAssembly at all") && why.contains("version 1 goes on serving"), "{why}");
    let why = refused(&host, "turns", "swap", &json!({ "component": "turns.wasm" })).await;
    assert!(why.contains("absolute"), "{why}");
    let why = refused(&host, "turn", "swap", &to(2)).await;
    assert!(why.contains("did you mean turns?"), "{why}");
    assert_eq!(which(&host).await, "1");
}

#[tokio::test]
async fn calls_that_outlast_the_grace_are_ended_and_told_why() {
    let host = host("").await;
    let mut streams = host.streams().await;
    let mut echo = streams.open(ECHO, &[json!({ "value": "hello" })]).await;
    assert_eq!(echo.next().await, Some(json!({ "value": "1 hello" })));
    let mut order = to(2);
    order["graceMs"] = json!(100);
    changed(&host, "turns", "swap", &order).await;
    let end = echo.end().await;
    assert_eq!(end.status, 14, "unavailable: {}", end.message);
    assert!(end.message.contains("replaced"), "{}", end.message);
    drained(&host, "turns").await;
    assert_eq!(which(&host).await, "2");
}

#[tokio::test]
async fn by_the_commands_a_service_is_swapped_and_back_and_never_against_those_who_import_it() {
    let (front, back, circle) = (guest("front"), guest("back"), guest("circle"));
    let grants = "grants = { calls = [\"test.back.Back\"] }";
    let text = e2e::settings::service("front", &front, grants) + &e2e::settings::service("back", &back, "");
    let host = Start::settings(&text).ready().await;
    let add = async || host.call("test.front.Front/Add", &json!({"a": 1, "b": 2})).ok().await["value"].clone();
    let swap =
        |component: &std::path::Path, more: &[&str]| host.admin(["swap".as_ref(), "back".as_ref(), component.as_os_str()]).args(more);
    for force in [&[][..], &["--force"]] {
        let error = swap(&circle, force).run().await.failed();
        assert!(error.contains("version 1 goes on serving") && error.contains("- test.back.Back/Add"), "{error}");
        assert!(error.contains("front imports test:back/back@1.2.0") && !error.contains("--force"), "it would not help: {error}");
    }
    assert_eq!(add().await, 3);
    assert!(swap(&back, &[]).run().await.succeeded().contains("version 2"));
    assert_eq!(add().await, 3);
    assert!(host.admin(["rollback", "back"]).run().await.succeeded().contains("version 1"));
    assert_eq!(add().await, 3);
}
