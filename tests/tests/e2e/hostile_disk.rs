//! Guests that want all of the disk: they get their part of it, by whatever way they try, and the
//! neighbour is served as before.

use std::path::Path;

use e2e::guests::guest;
use e2e::host::Host;
use e2e::metrics::DISK;
use e2e::neighbour::beside_echo_with;
use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// The limit of the hostile service.
const LIMIT: u64 = 8 * MIB;

async fn host(folder: &Path, limits: &str) -> Host {
    let grants = format!("[service.hostile.grants.folders]\n\"/data\" = {{ path = {folder:?}, write = true }}");
    beside_echo_with(&guest("disk"), &format!("disk = \"8MiB\"{limits}"), &grants).await
}

/// What all the files of a folder take.
fn taken(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |metadata| metadata.len())).sum()
}

async fn ask(host: &Host, method: &str, body: &Value) -> Value {
    host.call(&format!("test.disk.Disk/{method}"), body).ok().await
}

async fn counted(host: &Host) -> f64 {
    host.metrics().await.value(DISK, &[("service", "hostile")])
}

#[tokio::test]
async fn hostile_writes_of_many_instances_stay_within_the_limit_disk() {
    let folder = TempDir::new().expect("a temporary folder");
    let host = host(folder.path(), ", instances = 16, concurrency = 1").await;
    let neighbour = host.neighbour().await;
    let harm = join_all((0..16).map(|number| {
        let (host, method) = (&host, ["Append", "AppendLater"][number % 2]);
        let body = json!({ "path": format!("/data/{}", number / 4), "bytes": (64 * MIB).to_string() });
        async move { ask(host, method, &body).await }
    }));
    for outcome in neighbour.withstands(harm, 64 * MIB).await {
        let error = outcome["error"].as_str().expect("an outcome has an error");
        // The first is what `std` makes of the error of any stream.
        assert!(["Uncategorized", "StorageFull", "ErrorCode::InsufficientSpace"].contains(&error), "{outcome}");
    }
    let (taken, counted) = (taken(folder.path()), counted(&host).await);
    assert!((LIMIT - MIB..=LIMIT).contains(&taken) && taken as f64 <= counted, "{taken} bytes are there, {counted} are counted");
}

#[tokio::test]
async fn hostile_lengths_of_a_hundred_open_files_are_counted_together() {
    let folder = TempDir::new().expect("a temporary folder");
    let host = host(folder.path(), "").await;
    let neighbour = host.neighbour().await;
    let body = json!({ "folder": "/data", "files": 100, "size": MIB.to_string() });
    let outcome = neighbour.withstands(ask(&host, "GrowMany", &body), 64 * MIB).await;
    assert_eq!(outcome, json!({ "done": "8", "error": "StorageFull" }));
    assert_eq!(taken(folder.path()), LIMIT);
}

#[tokio::test]
async fn hostile_files_without_a_name_count_until_they_are_closed() {
    let folder = TempDir::new().expect("a temporary folder");
    let host = host(folder.path(), "").await;
    let neighbour = host.neighbour().await;
    let body = json!({ "folder": "/data", "files": 100, "size": MIB.to_string() });
    let outcome = neighbour.withstands(ask(&host, "Nameless", &body), 64 * MIB).await;
    assert_eq!(outcome, json!({ "done": "8", "error": "StorageFull" }));
    // The guest has closed them when it answers; it is looked at for whoever is refused.
    e2e::soon("room where the files were", async {
        while ask(&host, "SetSize", &json!({ "path": "/data/a", "size": LIMIT.to_string() })).await["error"] != "" {}
    })
    .await;
}

#[tokio::test]
async fn hostile_growth_and_truncation_at_once_never_make_more_room_than_there_is() {
    let folder = TempDir::new().expect("a temporary folder");
    let host = host(folder.path(), ", instances = 16, concurrency = 1").await;
    let neighbour = host.neighbour().await;
    let harm = join_all((0..16).map(|number| {
        let host = &host;
        async move {
            for _ in 0..20 {
                let path = format!("/data/{}", number % 2);
                let calls = [
                    ("Append", json!({ "path": path, "bytes": (2 * MIB).to_string() })),
                    ("SetSizeLater", json!({ "path": path, "size": MIB.to_string() })),
                    ("Truncate", json!({ "path": path })),
                    ("Replace", json!({ "folder": "/data", "times": 3, "size": MIB.to_string() })),
                    ("Remove", json!({ "path": path })),
                ];
                let (method, body) = &calls[number % calls.len()];
                ask(host, method, body).await;
            }
        }
    }));
    neighbour.withstands(harm, 64 * MIB).await;
    let (taken, counted) = (taken(folder.path()), counted(&host).await);
    assert!(taken <= LIMIT && taken as f64 <= counted, "{taken} bytes are there, {counted} are counted");
}
