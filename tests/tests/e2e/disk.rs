//! What a service has in the folders that it may write to is counted as it comes and goes, and bounded.

use std::path::Path;

use e2e::host::{Host, Start};
use e2e::http::{Version, request, send};
use e2e::metrics::{DISK, FILES};
use e2e::{guests, settings};
use serde_json::{Value, json};
use tempfile::TempDir;

const KIB: u64 = 1 << 10;
const TOKEN: &str = "a token of the tests";

/// The service `disk` with these limits, and the folder that it may write to as `/data`.
async fn host(folder: &Path, limits: &str) -> Host {
    let rest = format!(
        "limits = {{ {limits} }}\n[service.disk.grants.folders]\n\"/data\" = {{ path = {folder:?}, write = true }}\n\
         [listen]\naddress = \"127.0.0.1:0\"\nadmin-token = \"{TOKEN}\""
    );
    Start::settings(&settings::service("disk", &guests::guest("disk"), &rest)).ready().await
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// How much of it was done, and the error that ended it.
async fn ask(host: &Host, method: &str, body: Value) -> (u64, String) {
    let reply = host.call(&format!("test.disk.Disk/{method}"), &body).ok().await;
    let done = reply["done"].as_str().and_then(|done| done.parse().ok());
    (done.expect("an outcome says how much"), reply["error"].as_str().expect("an outcome has an error").to_owned())
}

/// Asks for what there has to be room for.
async fn done(host: &Host, method: &str, body: Value) {
    let (_, error) = ask(host, method, body.clone()).await;
    assert_eq!(error, "", "{method} {body}");
}

/// What is counted: bytes and names.
async fn counted(host: &Host) -> (u64, u64) {
    let metrics = host.metrics().await;
    let of = |name| metrics.value(name, &[("service", "disk")]) as u64;
    (of(DISK), of(FILES))
}

/// Both generations of WASI, by the ends of the methods' names and the words for a full disk.
const WASI: [(&str, &str); 2] = [("", "StorageFull"), ("Later", "ErrorCode::InsufficientSpace")];

#[tokio::test]
async fn writing_is_refused_where_the_limit_is_reached_and_not_before() {
    for (wasi, full) in WASI {
        let folder = folder();
        let host = host(folder.path(), "disk = \"256KiB\"").await;
        let (written, error) = ask(&host, &format!("Append{wasi}"), json!({ "path": "/data/a", "bytes": (1 << 20).to_string() })).await;
        // What `std` makes of the error of a stream, whatever its reason.
        let full_stream = if wasi.is_empty() { "Uncategorized" } else { full };
        assert_eq!((written, error.as_str()), (256 * KIB, full_stream), "append{wasi}");
        let (written, error) = ask(&host, &format!("Write{wasi}"), json!({ "path": "/data/b", "offset": "0", "bytes": "1" })).await;
        assert_eq!((written, error.as_str()), (0, full), "write{wasi}");
        let over = json!({ "path": "/data/a", "offset": (64 * KIB).to_string(), "bytes": (192 * KIB).to_string() });
        done(&host, &format!("Write{wasi}"), over).await;
        assert_eq!(std::fs::metadata(folder.path().join("a")).expect("it is there").len(), 256 * KIB);
        assert_eq!(counted(&host).await, (256 * KIB, 2));
        host.logged("disk has reached its limit disk in the folders that it may write to").await;
    }
}

#[tokio::test]
async fn a_file_counts_by_its_length_however_it_came_to_it() {
    for (wasi, full) in WASI {
        let folder = folder();
        let host = host(folder.path(), "disk = \"256KiB\"").await;
        let set = format!("SetSize{wasi}");
        for size in [257 * KIB, u64::MAX / 2, 1 << 40] {
            let (_, error) = ask(&host, &set, json!({ "path": "/data/a", "size": size.to_string() })).await;
            assert_eq!(error, full, "{size}");
        }
        done(&host, &set, json!({ "path": "/data/a", "size": (256 * KIB).to_string() })).await;
        assert_eq!(counted(&host).await.0, 256 * KIB);
        done(&host, &set, json!({ "path": "/data/a", "size": (100 * KIB).to_string() })).await;
        assert_eq!(counted(&host).await.0, 100 * KIB);
        let far = json!({ "path": "/data/b", "offset": (200 * KIB).to_string(), "bytes": "1" });
        let (_, error) = ask(&host, &format!("Write{wasi}"), far).await;
        assert_eq!(error, full, "a hole counts, too");
        assert_eq!(counted(&host).await, (100 * KIB, 2));
    }
}

#[tokio::test]
async fn what_is_truncated_removed_or_replaced_makes_room() {
    for (wasi, _) in WASI {
        let folder = folder();
        let host = host(folder.path(), "disk = \"256KiB\"").await;
        let fill = json!({ "path": "/data/a", "bytes": (256 * KIB).to_string() });
        for way in ["Truncate", "Remove"] {
            done(&host, &format!("Append{wasi}"), fill.clone()).await;
            done(&host, &format!("{way}{wasi}"), json!({ "path": "/data/a" })).await;
            assert_eq!(counted(&host).await.0, 0, "{way}{wasi}");
        }
        assert_eq!(counted(&host).await, (0, 0));
        // Both are there for a moment.
        done(&host, "Replace", json!({ "folder": "/data", "times": 20, "size": (128 * KIB).to_string() })).await;
        assert_eq!(counted(&host).await, (128 * KIB, 1));
    }
}

#[tokio::test]
async fn a_file_with_two_names_counts_once_and_until_both_are_gone() {
    let folder = folder();
    let host = host(folder.path(), "disk = \"256KiB\", files = 2").await;
    done(&host, "Append", json!({ "path": "/data/a", "bytes": "1000" })).await;
    done(&host, "Link", json!({ "path": "/data/a", "other": "/data/b" })).await;
    assert_eq!(counted(&host).await, (1000, 2));
    done(&host, "Remove", json!({ "path": "/data/a" })).await;
    assert_eq!(counted(&host).await, (1000, 1));
    done(&host, "Remove", json!({ "path": "/data/b" })).await;
    assert_eq!(counted(&host).await, (0, 0));
}

#[tokio::test]
async fn names_of_every_kind_are_bounded_by_the_limit_files() {
    for (wasi, full) in WASI {
        let folder = folder();
        let host = host(folder.path(), "files = 5").await;
        done(&host, "Nest", json!({ "folder": "/data", "folders": 2 })).await;
        let (made, error) = ask(&host, &format!("Create{wasi}"), json!({ "folder": "/data", "files": 10 })).await;
        assert_eq!((made, error.as_str()), (3, full));
        for (method, body) in
            [("Nest", json!({ "folder": "/data/d/d", "folders": 1 })), ("Link", json!({ "path": "/data/0", "other": "/data/x" }))]
        {
            assert_eq!(ask(&host, method, body).await, (0, "StorageFull".to_owned()), "{method}");
        }
        // Those that are there may be opened again.
        done(&host, "Create", json!({ "folder": "/data", "files": 3 })).await;
        assert_eq!(counted(&host).await, (0, 5));
        host.logged("disk has reached its limit files").await;
    }
}

#[tokio::test]
async fn what_is_in_the_folder_at_the_start_counts_and_what_its_owner_removes_makes_room() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("before")).expect("it can be written to");
    std::fs::write(folder.path().join("before/a"), vec![0; 200 << 10]).expect("it can be written to");
    let host = host(folder.path(), "disk = \"256KiB\"").await;
    assert_eq!(counted(&host).await, (200 * KIB, 2));
    let more = json!({ "path": "/data/b", "size": (60 * KIB).to_string() });
    assert_eq!(ask(&host, "SetSize", more.clone()).await, (0, "StorageFull".to_owned()));
    std::fs::remove_dir_all(folder.path().join("before")).expect("it can be written to");
    e2e::soon("room for more", async {
        // It is counted anew for whoever is refused, and not too often.
        while !ask(&host, "SetSize", more.clone()).await.1.is_empty() {}
    })
    .await;
}

#[tokio::test]
async fn a_swap_keeps_the_count_and_brings_its_own_limits() {
    let folder = folder();
    let host = host(folder.path(), "disk = \"256KiB\"").await;
    done(&host, "Append", json!({ "path": "/data/a", "bytes": (200 * KIB).to_string() })).await;
    let mut order =
        request("POST", host.address, "/_microhost/admin/services/disk/swap", json!({ "component": guests::guest("disk") }).to_string());
    order.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().expect("the token is text"));
    let answer = send(host.address, Version::One, order).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(counted(&host).await, (200 * KIB, 1));
    let (_, error) = ask(&host, "SetSize", json!({ "path": "/data/b", "size": (64 * KIB).to_string() })).await;
    assert_eq!(error, "StorageFull");
    done(&host, "Remove", json!({ "path": "/data/a" })).await;
    assert_eq!(counted(&host).await, (0, 1));
}

#[tokio::test]
async fn what_may_only_be_read_is_not_counted() {
    let folder = folder();
    std::fs::write(folder.path().join("a"), vec![0; 1000]).expect("it can be written to");
    let grant = format!("[service.disk.grants.folders]\n\"/data\" = {{ path = {:?} }}", folder.path());
    let host = Start::settings(&settings::service("disk", &guests::guest("disk"), &grant)).ready().await;
    assert_eq!(counted(&host).await, (0, 0));
    for wasi in ["", "Later"] {
        for (method, body) in [
            ("Append", json!({ "path": "/data/a", "bytes": "1" })),
            ("Truncate", json!({ "path": "/data/a" })),
            ("Remove", json!({ "path": "/data/a" })),
        ] {
            let (_, error) = ask(&host, &format!("{method}{wasi}"), body).await;
            assert!(!error.is_empty(), "{method}{wasi} where nothing may be written");
        }
    }
    assert_eq!(std::fs::metadata(folder.path().join("a")).expect("it is there").len(), 1000);
}
