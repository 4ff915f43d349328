//! What of a swap outlasts the host, and what a swap says of that.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use e2e::guests::guest;
use e2e::host::Start;
use serde_json::json;

#[tokio::test]
async fn a_swap_says_what_of_it_a_restart_forgets_and_a_file_that_was_replaced_is_not_forgotten() {
    let start = Start::path("");
    let (mine, other) = (start.folder().join("mine.wasm"), start.folder().join("other.wasm"));
    let first = fs::read(guest("turns")).expect("the guest is built");
    // What an empty custom section adds, nobody sees but who compares files.
    let second = [&first[..], &[0, 2, 1, b'x']].concat();
    fs::write(&mine, &first).expect("the folder can be written to");
    fs::write(&other, &second).expect("the folder can be written to");
    let host = start.at_path(&mine).ready().await;
    let run = async |args: &[&OsStr]| host.admin(args).run().await.succeeded();
    let swap = async |component: &Path, more: &[&str]| {
        let args = ["swap".as_ref(), "mine".as_ref(), component.as_os_str()];
        host.admin(args).args(more).run().await.succeeded()
    };
    const AGAIN: &str = "note: a host that is started again";
    let told = swap(&other, &[]).await;
    assert!(
        told.contains(&format!(
            "{AGAIN} begins with {} as it is then; to have this version last, put it there, or name {}",
            mine.display(),
            other.display()
        )),
        "{told}"
    );
    let told = run(&["rollback".as_ref(), "mine".as_ref()]).await;
    assert!(told.contains("version 1 has the calls") && !told.contains(AGAIN), "it begins with this one: {told}");
    // Put in its place whole, while the one that was there runs.
    fs::rename(&other, &mine).expect("it can be replaced");
    let told = swap(&mine, &[]).await;
    assert!(told.contains("version 3 has the calls") && !told.contains(AGAIN), "{told}");
    let told = run(&["rollback".as_ref(), "mine".as_ref()]).await;
    assert!(
        told.contains(&format!("{AGAIN} begins with {} as it is then; to have this version last, put it there\n", mine.display())),
        "{told}"
    );
    run(&["rollback".as_ref(), "mine".as_ref()]).await;
    let described = host.admin(["describe", "mine", "--json"]).run().await.json();
    assert_eq!(described["component"], json!(mine), "{described}");
    let told = swap(&mine, &["--grant", "env=VERSION=4"]).await;
    assert!(told.contains(&format!("{AGAIN} has the grants of its settings")) && told.contains("[service.mine.grants]"), "{told}");
    let which = host.call("test.turns.Turns/Which", &json!({})).ok().await;
    assert_eq!(which["value"], "4");
}
