//! What a service sees of all services, and what it says of itself: in one host, and in several.

use e2e::host::{Host, Start};
use e2e::{cluster, guests, settings, soon};
use serde_json::{Value, json};

const SERVICE: &str = "test.registry.Registry";

fn endpoint(method: &str) -> String {
    format!("{SERVICE}/{method}")
}

/// A service that may see the others, with these settings besides.
fn seeing(rest: &str) -> Start {
    let rest = format!("grants = {{ registry = true }}\n{rest}");
    Start::settings(&settings::service("registry", &guests::guest("registry"), &rest))
}

/// Has one instance, so that it is the same one which takes its word back.
const ONE: &str = "instances=1";

/// A host with a service that another one sees.
async fn seen(cluster: &str, peer: &Host) -> Host {
    Start::guest("registry").limit(ONE).among(cluster).arg("--peer").arg(peer.url()).ready().await
}

/// Two hosts that know each other: one that sees, and one that is seen.
async fn two(test: &str, rest: &str) -> (Host, Host) {
    let cluster = cluster::unique(test);
    let sees = seeing(rest).among(&cluster).ready().await;
    let other = seen(&cluster, &sees).await;
    soon("both to be seen", async { while places(&sees).await.len() < 2 {} }).await;
    (sees, other)
}

async fn places(host: &Host) -> Vec<Value> {
    let found = host.call(&endpoint("LookUp"), &json!({"service": SERVICE})).ok().await;
    found["value"].as_array().cloned().unwrap_or_default()
}

/// What a host sees of the other one.
async fn elsewhere(host: &Host) -> Option<Value> {
    places(host).await.into_iter().find(|place| place["here"] != json!(true))
}

async fn report(host: &Host, unwell: &Value) {
    host.call(&endpoint("Report"), unwell).ok().await;
}

async fn label(host: &Host, name: &str, value: &str) -> Value {
    host.call(&endpoint("Label"), &json!({"name": name, "value": value})).ok().await["value"].clone()
}

#[tokio::test]
async fn a_service_alone_sees_itself_as_others_would() {
    let host = seeing("labels = { tier = \"gold\" }\nversion = \"1.2.3\"").arg("--admin-name").arg("solo").ready().await;
    assert_eq!(label(&host, "cache", "warm").await, json!(["cache=warm"]));
    soon("the label", async { while places(&host).await[0]["labels"] != json!(["cache=warm", "tier=gold"]) {} }).await;
    let place = &places(&host).await[0];
    assert_eq!((&place["here"], &place["ready"], &place["host"]), (&json!(true), &json!(true), &json!("solo")));
    assert_eq!((&place["version"], &place["addresses"]), (&json!("1.2.3"), &json!([host.url()])));
    let methods = place["methods"].as_array().expect("a list");
    assert!(methods.contains(&json!("LookUp unary")) && methods.contains(&json!("Watch server-stream")), "{methods:?}");
    let listed = host.call(&endpoint("List"), &json!({})).ok().await;
    assert_eq!(listed["value"], json!(["test.registry.Registry 1/1"]));
    assert_eq!(host.call(&endpoint("LookUp"), &json!({"service": "a.B"})).ok().await["value"], json!([]));
}

#[tokio::test]
async fn what_others_offer_is_seen_only_where_it_is_granted_and_what_to_write_is_told() {
    let host = Host::of("registry").await;
    for (method, request) in [("List", json!({})), ("LookUp", json!({"service": SERVICE}))] {
        let failure = host.call(&endpoint(method), &request).fails().await;
        assert_eq!(failure.code, "permission_denied");
        assert!(failure.message.contains("registry = true under [service.registry.grants], or --allow-registry"), "{}", failure.message);
    }
    let (told, _) = host.streams().await.all(&endpoint("Watch"), &[json!({})]).await;
    assert!(told[0]["value"].as_str().is_some_and(|told| told.contains("--allow-registry")), "{told:?}");
    assert_eq!(label(&host, "a", "b").await, json!(["a=b"]), "of itself it may say what it wants");
    assert_eq!(host.call(&endpoint("Unlabel"), &json!({"name": "a"})).ok().await["value"], json!([]));
    let granted = Start::guest("registry").arg("--allow-registry").ready().await;
    assert_eq!(places(&granted).await.len(), 1);
}

#[tokio::test]
async fn labels_and_watches_have_bounds() {
    let host = seeing("").ready().await;
    for count in 0..32 {
        label(&host, &format!("l-{count}"), "x").await;
    }
    for (name, value, why) in
        [("l-32", "x", "at most 32 labels"), ("a b", "x", "cannot be the name"), ("l-1", "a\nb", "control characters")]
    {
        let failure = host.call(&endpoint("Label"), &json!({"name": name, "value": value})).fails().await;
        assert!(failure.message.contains(why), "{}", failure.message);
    }
    host.call(&endpoint("WatchOften"), &json!({"times": 16})).ok().await;
    host.call(&endpoint("WatchOften"), &json!({"times": 16})).ok().await;
    let failure = host.call(&endpoint("WatchOften"), &json!({"times": 17})).fails().await;
    assert!(failure.message.contains("at most 16 watches"), "{}", failure.message);
}

#[tokio::test]
async fn a_watch_sees_a_host_come_and_leave() {
    let cluster = cluster::unique("watched");
    let sees = seeing("").among(&cluster).ready().await;
    let mut streams = sees.streams().await;
    let mut watch = streams.open_done(&endpoint("Watch"), &[json!({"service": SERVICE})]).await;
    let mut next = async || watch.next().await.expect("it goes on")["value"].as_str().expect("a text").to_owned();
    let own = places(&sees).await[0]["node"].as_str().expect("an id").to_owned();
    assert_eq!(next().await, format!("put {own} ready"));
    assert_eq!(next().await, "complete");
    let other = seen(&cluster, &sees).await;
    let came = soon("the other host", next()).await;
    let id = came.strip_prefix("put ").and_then(|rest| rest.strip_suffix(" ready")).expect("it is there").to_owned();
    assert_eq!(elsewhere(&sees).await.expect("it is there")["node"], json!(id));
    other.stop().await;
    soon("its end", async { while next().await != format!("gone {id}") {} }).await;
    assert_eq!(elsewhere(&sees).await, None);
}

#[tokio::test]
async fn a_watch_sees_a_host_die() {
    let (sees, other) = two("died", "").await;
    let id = elsewhere(&sees).await.expect("it is there")["node"].as_str().expect("an id").to_owned();
    let mut streams = sees.streams().await;
    let mut watch = streams.open_done(&endpoint("Watch"), &[json!({})]).await;
    let mut next = async || watch.next().await.expect("it goes on")["value"].as_str().expect("a text").to_owned();
    soon("all there is", async { while next().await != "complete" {} }).await;
    other.kill().await;
    soon("its end", async { while next().await != format!("gone {id}") {} }).await;
}

#[tokio::test]
async fn a_label_is_seen_by_other_hosts_and_calls_are_led_by_it() {
    let (sees, other) = two("labelled", "").await;
    label(&other, "track", "canary").await;
    soon("the label", async { while elsewhere(&sees).await.expect("it is there")["labels"] != json!(["track=canary"]) {} }).await;
    let cluster = cluster::unique("led");
    let backs = [seeing("").among(&cluster).ready().await, seeing("").among(&cluster).ready().await];
    label(&backs[1], "track", "canary").await;
    let caller = settings::service("caller", &guests::guest("caller"), "handles = [\"test.Caller\"]\ngrants = { calls = [\"*\"] }");
    let caller = Start::settings(&format!("{caller}\n[calls.balance]\nlabels = {{ track = \"canary\" }}\n")).among(&cluster);
    let caller = caller.arg("--peer").arg(backs[0].url()).arg("--peer").arg(backs[1].url()).ready().await;
    let looked = async || {
        let call = caller.call("test.Caller/Any", &json!({"service": SERVICE}));
        call.header("x-to", endpoint("LookUp")).answer().await
    };
    soon("the service", async { while looked().await.status != 200 {} }).await;
    for _ in 0..20 {
        let found = looked().await.json();
        let own = found["value"].as_array().and_then(|places| places.iter().find(|place| place["here"] == json!(true)));
        assert_eq!(own.expect("who answers is among them")["addresses"], json!([backs[1].url()]), "only the one of this label is asked");
    }
}

#[tokio::test]
async fn a_service_that_says_it_is_not_well_is_ready_nowhere_until_it_is_again() {
    let (sees, other) = two("unwell", "").await;
    report(&other, &json!({"unwell": "no disk"})).await;
    soon("the word", async { while elsewhere(&sees).await.expect("it stays known")["ready"] == json!(true) {} }).await;
    let listed = sees.call(&endpoint("List"), &json!({})).ok().await;
    assert_eq!(listed["value"], json!(["test.registry.Registry 1/2"]));
    report(&other, &json!({})).await;
    soon("its end", async { while elsewhere(&sees).await.expect("it is known")["ready"] != json!(true) {} }).await;
}

#[tokio::test]
async fn the_word_of_an_instance_ends_with_it() {
    let host = seeing("").limit(ONE).ready().await;
    report(&host, &json!({"unwell": "no disk"})).await;
    soon("the word", async { while places(&host).await[0]["ready"] == json!(true) {} }).await;
    host.call(&endpoint("Die"), &json!({})).fails().await;
    soon("its end", async { while places(&host).await[0]["ready"] != json!(true) {} }).await;
}
