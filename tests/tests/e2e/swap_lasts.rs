//! What of a swap outlasts the host, and what a swap says of that.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::guests::guest;
use e2e::host::Start;
use serde_json::json;

#[tokio::test]
async fn a_swap_says_what_of_it_a_restart_forgets_and_a_file_that_was_replaced_is_not_forgotten() {
    let start = Start::path("");
    let (mine, other) = (start.folder().join("mine.wasm"), start.folder().join("other.wasm"));
    for path in [&mine, &other] {
        fs::copy(guest("turns"), path).expect("the guest is built");
    }
    let host = start.at_path(&mine).ready().await;
    let run = async |args: &[&OsStr]| host.admin(args).run().await.succeeded();
    let swap = async |component: &Path, more: &[&str]| {
        let args = ["swap".as_ref(), "mine".as_ref(), component.as_os_str()];
        host.admin(args).args(more).run().await.succeeded()
    };
    const AGAIN: &str = "note: a host that is started again";
    let told = swap(&other, &[]).await;
    assert!(
        told.contains(&format!("{AGAIN} begins with {}; to have this version last, name {}", mine.display(), other.display())),
        "{told}"
    );
    let told = run(&["rollback".as_ref(), "mine".as_ref()]).await;
    assert!(!told.contains(AGAIN), "it begins with this one: {told}");
    // Another component in the same place: what an empty custom section adds, nobody sees but the compiler.
    let mut bytes = fs::read(&mine).expect("it is there");
    bytes.extend([0, 2, 1, b'x']);
    let written = beside(&mine, &bytes);
    fs::rename(written, &mine).expect("it can be replaced");
    let told = swap(&mine, &[]).await;
    assert!(told.contains("version 3 has the calls") && !told.contains(AGAIN), "{told}");
    let described = host.admin(["describe", "mine", "--json"]).run().await.json();
    assert_eq!(described["component"], json!(mine), "{described}");
    let told = swap(&mine, &["--grant", "env=VERSION=4"]).await;
    assert!(told.contains(&format!("{AGAIN} has the grants of its settings")) && told.contains("[service.mine.grants]"), "{told}");
    let which = host.call("test.turns.Turns/Which", &json!({})).ok().await;
    assert_eq!(which["value"], "4");
}

/// A file beside another one, to be put in its place whole.
fn beside(path: &Path, bytes: &[u8]) -> PathBuf {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).expect("the folder can be written to");
    beside
}
