//! What is left of versions that were swapped away. It is counted by things that a version has and that
//! nothing else keeps alive; resident memory goes up and down by what allocators and pools keep.

use std::fs;
use std::path::Path;

use e2e::guests::guest;
use e2e::host::{Host, Start};
use e2e::metrics;
use e2e::soon;
use serde_json::{Value, json};

const BEAT: &str = "test.pulse.v1.Pulse/Beat";

/// Versions of code that are mapped to be run, from the compile cache.
fn mapped(host: &Host, cache: &Path) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", host.id())).expect("the host runs");
    let cache = cache.to_str().expect("the tests' paths are UTF-8");
    maps.lines().filter(|line| line.contains(cache) && line.split(' ').nth(1).is_some_and(|rights| rights.contains('x'))).count()
}

/// Files, sockets and the like that are open.
fn open(host: &Host) -> usize {
    fs::read_dir(format!("/proc/{}/fd", host.id())).expect("the host runs").count()
}

async fn swap(host: &Host, grants: &[&str]) -> bool {
    let component = guest("pulse");
    let command = host.admin(["swap".as_ref(), "pulse".as_ref(), component.as_os_str()]);
    command.args(grants.iter().flat_map(|grant| ["--grant", grant])).run().await.code == Some(0)
}

/// Waits until the versions that were swapped away have gone; what `describe` says then.
async fn settled(host: &Host) -> Value {
    soon("the end of the old versions", async {
        loop {
            let described = host.admin(["describe", "pulse", "--json"]).run().await.json();
            // The host has no other way to tell of it.
            if described["versions"]["draining"] == json!([]) {
                return described["versions"].clone();
            }
        }
    })
    .await
}

#[tokio::test]
async fn of_a_hundred_versions_the_one_that_serves_is_left_and_the_one_before_it() {
    let start = Start::guest("pulse").own_cache();
    let cache = start.folder().join("cache");
    let host = start.ready().await;
    // All that is made once is made, and there is a version before.
    assert!(swap(&host, &[]).await);
    host.call(BEAT, &json!({})).ok().await;
    settled(&host).await;
    host.metric_becomes(metrics::CONNECTIONS, &[], |connections| connections <= 1.0).await;
    let (code, files) = (mapped(&host, &cache), open(&host));
    assert_eq!(code, 2, "one for each of the two versions");
    for round in 0..50 {
        assert!(swap(&host, &[]).await);
        assert_eq!(host.call(BEAT, &json!({})).ok().await, json!({ "version": "" }));
        // And one that is refused when its instances are there.
        assert!(!swap(&host, &["env=HEALTH=not-serving"]).await, "{round}");
    }
    let versions = settled(&host).await;
    assert_eq!((&versions["previous"], &versions["canary"]), (&json!(99), &Value::Null), "{versions}");
    soon("the end of what the old versions held", async {
        while mapped(&host, &cache) > code || open(&host) > files {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let instances = host.metrics().await.sum(metrics::INSTANCES, &[("service", "pulse")]);
    let lanes = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(instances <= lanes as f64, "{instances} instances of the version that serves, on {lanes} lanes");
}
