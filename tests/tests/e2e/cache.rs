//! The compile cache: quick, shared, and never trusted further than it can be verified.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::guests::guest;
use e2e::host::{Host, Start};
use e2e::metrics::{HITS, MISSES, REFUSED};
use serde_json::json;
use tempfile::TempDir;

use crate::messages::hello_json;

/// Hits, misses and refusals of a host.
async fn figures(host: &Host) -> (f64, f64, f64) {
    let metrics = host.metrics().await;
    (metrics.value(HITS, &[]), metrics.value(MISSES, &[]), metrics.value(REFUSED, &[]))
}

async fn echo(host: &Host) {
    assert_eq!(host.call("test.echo.Echo/Echo", &hello_json()).ok().await, hello_json());
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The files of this kind: `code` is compiled code, `entry` says which code a component has.
fn kind(cache: &Path, extension: &str) -> Vec<PathBuf> {
    let mut all = files(cache);
    all.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert!(!all.is_empty(), "nothing of the kind {extension} in {:?}", files(cache));
    all
}

/// The one file of this kind, in a cache of one component.
fn only(cache: &Path, extension: &str) -> PathBuf {
    let all = kind(cache, extension);
    assert_eq!(all.len(), 1, "one component, one entry: {all:?}");
    all.into_iter().next().expect("there is one")
}

#[tokio::test]
async fn the_second_start_is_from_the_cache_and_quick() {
    let cache = TempDir::new().expect("a temporary folder");
    let first = Start::guest("types").cache(cache.path()).ready().await;
    assert_eq!(figures(&first).await, (0.0, 1.0, 0.0));
    first.stop().await;
    let began = Instant::now();
    let second = Start::guest("types").cache(cache.path()).ready().await;
    let took = began.elapsed();
    assert_eq!(figures(&second).await, (1.0, 0.0, 0.0));
    assert!(took < Duration::from_secs(5), "took {took:?}");
    assert_eq!(second.call("test.types.Echo/U32", &json!({"value": 1})).ok().await, json!({"value": 1}));
}

#[tokio::test]
async fn two_hosts_that_start_at_once_share_an_empty_cache() {
    let cache = TempDir::new().expect("a temporary folder");
    let starting: Vec<_> = (0..4).map(|_| Start::guest("echo").cache(cache.path()).spawn()).collect();
    for host in starting {
        let host = host.ready().await;
        echo(&host).await;
        let (hits, misses, refused) = figures(&host).await;
        assert_eq!((hits + misses, refused), (1.0, 0.0));
    }
    let late = Start::guest("echo").cache(cache.path()).ready().await;
    assert_eq!(figures(&late).await, (1.0, 0.0, 0.0));
}

#[tokio::test]
async fn another_component_has_another_entry() {
    let cache = TempDir::new().expect("a temporary folder");
    Start::guest("echo").cache(cache.path()).ready().await.stop().await;
    let other = Start::guest("plain").cache(cache.path()).ready().await;
    assert_eq!(figures(&other).await, (0.0, 1.0, 0.0));
    let again = Start::guest("echo").cache(cache.path()).ready().await;
    assert_eq!(figures(&again).await, (1.0, 0.0, 0.0));
}

/// What is done to an entry.
type Harm = fn(&Path);

#[tokio::test]
async fn a_damaged_entry_is_refused_and_made_anew() {
    let harms: [(&str, Harm); 5] = [
        ("one bit in the middle", |path| {
            let mut bytes = fs::read(path).expect("the entry");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).expect("it can be written to");
        }),
        ("the last byte", |path| {
            let mut bytes = fs::read(path).expect("the entry");
            *bytes.last_mut().expect("it is not empty") ^= 0x80;
            fs::write(path, bytes).expect("it can be written to");
        }),
        ("cut short", |path| {
            let bytes = fs::read(path).expect("the entry");
            fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written to");
        }),
        ("empty", |path| fs::write(path, "").expect("it can be written to")),
        ("longer", |path| {
            let mut bytes = fs::read(path).expect("the entry");
            bytes.extend([0; 64]);
            fs::write(path, bytes).expect("it can be written to");
        }),
    ];
    let cache = TempDir::new().expect("a temporary folder");
    Start::guest("echo").cache(cache.path()).ready().await.stop().await;
    for (what, harm) in harms {
        for extension in ["code", "entry"] {
            harm(&only(cache.path(), extension));
            let host = Start::guest("echo").cache(cache.path()).ready().await;
            echo(&host).await;
            assert_eq!(figures(&host).await, (0.0, 1.0, 1.0), "{extension}, {what}");
            host.stop().await;
            let healed = Start::guest("echo").cache(cache.path()).ready().await;
            assert_eq!(figures(&healed).await, (1.0, 0.0, 0.0), "{extension}, {what}: made anew");
            healed.stop().await;
        }
    }
}

#[tokio::test]
async fn another_components_entry_under_this_ones_name_is_refused() {
    let ours = TempDir::new().expect("a temporary folder");
    let theirs = TempDir::new().expect("a temporary folder");
    Start::guest("echo").cache(ours.path()).ready().await.stop().await;
    Start::guest("plain").cache(theirs.path()).ready().await.stop().await;
    for extension in ["code", "entry"] {
        fs::copy(only(theirs.path(), extension), only(ours.path(), extension)).expect("it can be written to");
    }
    let host = Start::guest("echo").cache(ours.path()).ready().await;
    echo(&host).await;
    assert_eq!(figures(&host).await, (0.0, 1.0, 1.0));
}

#[tokio::test]
async fn an_entry_of_another_cache_is_not_trusted() {
    let ours = TempDir::new().expect("a temporary folder");
    let theirs = TempDir::new().expect("a temporary folder");
    for cache in [&ours, &theirs] {
        Start::guest("echo").cache(cache.path()).ready().await.stop().await;
    }
    // The same component and engine, well-formed, but not made by this cache.
    fs::copy(only(theirs.path(), "entry"), only(ours.path(), "entry")).expect("it can be written to");
    let host = Start::guest("echo").cache(ours.path()).ready().await;
    echo(&host).await;
    assert_eq!(figures(&host).await, (0.0, 1.0, 1.0));
}

#[tokio::test]
async fn a_file_that_calls_itself_compiled_is_no_component() {
    let folder = TempDir::new().expect("a temporary folder");
    let cache = folder.path().join("cache");
    Start::guest("echo").cache(&cache).ready().await.stop().await;
    let native = folder.path().join("native.wasm");
    fs::copy(only(&cache, "code"), &native).expect("it can be copied");
    let (code, said) = Start::path(&native).cache(&cache).refused().await;
    assert_eq!(code, 3, "{said}");
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept() {
    let start = Start::guest("echo").no_cache();
    let home = start.folder().join("home");
    fs::create_dir(&home).expect("it can be made");
    let host = start.env("HOME", &home).env("XDG_CACHE_HOME", home.join("cache")).ready().await;
    echo(&host).await;
    assert_eq!(files(&home), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_named_with_what_to_do() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("a-file");
    fs::write(&file, "not a folder").expect("it can be written to");
    let open_to_all = folder.path().join("open-to-all");
    fs::create_dir(&open_to_all).expect("it can be made");
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).expect("it is ours");
    for cache in [file, open_to_all] {
        let (_, said) = Start::guest("echo").cache(&cache).refused().await;
        assert!(said.contains(cache.to_str().expect("a temporary path is UTF-8")), "{said}");
        assert!(said.contains("--cache-dir"), "{said}");
    }
}

#[tokio::test]
async fn a_component_changed_on_disk_is_compiled_anew() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("service.wasm");
    let cache = folder.path().join("cache");
    fs::copy(guest("echo"), &path).expect("the guest is built");
    Start::path(&path).cache(&cache).ready().await.stop().await;
    fs::copy(guest("plain"), &path).expect("the guest is built");
    let host = Start::path(&path).cache(&cache).ready().await;
    assert_eq!(host.call("test.plain.Plain/Greet", &json!({"name": "Ann"})).ok().await, json!({"value": "Hello, Ann!"}));
}
