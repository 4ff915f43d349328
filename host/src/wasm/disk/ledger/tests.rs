use std::fs;

use tempfile::TempDir;

use super::*;

const A: Inode = (1, 1);

fn ledger() -> (TempDir, Arc<Ledger>, Arc<ServiceStats>) {
    let (folder, stats) = (tempfile::tempdir().expect("a temporary folder"), Arc::new(ServiceStats::default()));
    let ledger = Ledger::count(vec![folder.path().to_owned()], Arc::clone(&stats)).expect("it can be read");
    (folder, ledger, stats)
}

fn file(folder: &TempDir, len: u64) -> Arc<File> {
    let file = File::create(folder.path().join("a")).expect("the folder can be written to");
    file.set_len(len).expect("files can grow");
    Arc::new(file)
}

#[test]
fn growth_is_charged_before_it_happens_and_refused_over_the_limit() {
    let (folder, ledger, stats) = ledger();
    let file = file(&folder, 0);
    assert!(ledger.opened(&file, A, 0, 0));
    ledger.charge(&file, End::At(60), 100).expect("room").done();
    assert!(ledger.charge(&file, End::Behind(50), 100).is_none());
    assert!(ledger.charge(&file, End::At(u64::MAX), 100).is_none());
    ledger.charge(&file, End::At(30), 0).expect("no growth needs no room").done();
    assert_eq!((ledger.room(&file, Some(10), 100), ledger.room(&file, None, 100)), (90, 40));
    assert_eq!((ledger.counted(), stats.disk_bytes.load(Relaxed)), ((60, 0), 60));
    drop(ledger);
    assert_eq!(stats.disk_bytes.load(Relaxed), 0);
}

#[tokio::test]
async fn what_came_of_a_change_is_only_known_when_nobody_else_is_at_the_file() {
    let (folder, ledger, _) = ledger();
    let file = file(&folder, 40);
    assert!(ledger.opened(&file, A, 0, 0));
    let (write, truncation) = (ledger.charge(&file, End::At(100), 100), ledger.charge(&file, End::At(0), 100));
    truncation.expect("it is no growth").settled().await;
    assert_eq!(ledger.counted().0, 100, "the write may come yet");
    write.expect("room").settled().await;
    assert_eq!(ledger.counted().0, 40);
    drop(ledger.charge(&file, End::At(90), 100));
    ledger.charge(&file, End::At(0), 100).expect("it is no growth").settled().await;
    assert_eq!(ledger.counted().0, 90, "nobody knows when the bytes come that were left on their way");
}

#[test]
fn a_file_without_a_name_counts_until_it_is_closed() {
    let (folder, ledger, _) = ledger();
    let (one, other) = (file(&folder, 0), file(&folder, 0));
    assert!(ledger.opened(&one, A, 0, 0) && ledger.opened(&other, A, 0, 0));
    ledger.charge(&one, End::At(70), 100).expect("room").done();
    ledger.unnamed(A, 70);
    drop(one);
    assert_eq!(ledger.counted().0, 70);
    ledger.charge(&other, End::Behind(10), 100).expect("room").done();
    drop(other);
    let next = file(&folder, 0);
    assert!(!ledger.opened(&next, A, 50, 0), "its length may be one that it had before");
    assert_eq!(ledger.counted().0, 0, "its number went to another file");
    assert!(ledger.opened(&next, A, 0, ledger.closings()));
}

#[test]
fn what_is_charged_for_a_file_outlives_its_handles() {
    let (folder, ledger, _) = ledger();
    let first = file(&folder, 0);
    assert!(ledger.opened(&first, A, 0, 0));
    ledger.charge(&first, End::At(70), 100).expect("room").done();
    drop(first);
    let second = file(&folder, 0);
    assert!(ledger.opened(&second, A, 10, 0));
    ledger.charge(&second, End::At(70), 100).expect("no growth").done();
    assert_eq!(ledger.counted().0, 70);
}

#[tokio::test]
async fn a_new_count_puts_right_what_is_charged_for_open_files() {
    let (folder, ledger, _) = ledger();
    let file = file(&folder, 40);
    assert!(ledger.opened(&file, A, 0, 0));
    ledger.charge(&file, End::At(100), 100).expect("room").done();
    assert!(ledger.count_again(&Handle::current()).await);
    assert_eq!(ledger.counted().0, 40);
    // What was put right once is not given back again.
    ledger.charge(&file, End::At(0), 100).expect("it is no growth").settled().await;
    assert_eq!(ledger.counted().0, 40);
}

#[tokio::test]
async fn a_new_count_knows_of_open_files_that_others_removed() {
    let (folder, ledger, _) = ledger();
    let file = file(&folder, 60);
    assert!(ledger.opened(&file, A, 0, 0));
    ledger.charge(&file, End::At(60), 100).expect("room").done();
    fs::remove_file(folder.path().join("a")).expect("it is there");
    assert!(ledger.count_again(&Handle::current()).await);
    assert_eq!(ledger.counted(), (60, 0));
}

#[tokio::test]
async fn a_new_count_finds_what_others_did_and_loses_nothing_that_is_on_its_way() {
    let (folder, ledger, stats) = ledger();
    let file = file(&folder, 0);
    assert!(ledger.opened(&file, A, 0, 0));
    let coming = ledger.charge(&file, End::At(60), 100).expect("room");
    fs::write(folder.path().join("b"), [0; 30]).expect("the folder can be written to");
    let heavy = Handle::current();
    assert!(ledger.count_again(&heavy).await);
    assert_eq!((ledger.counted(), stats.disk_files.load(Relaxed)), ((90, 2), 2));
    coming.done();
    assert!(!ledger.count_again(&heavy).await, "not so soon");
}

#[test]
fn closed_files_are_forgotten() {
    let (folder, ledger, _) = ledger();
    for number in 0..10_000 {
        let file = file(&folder, 0);
        while !ledger.opened(&file, (number, 0), 0, ledger.closings()) {}
    }
    let counts = ledger.lock();
    assert!(counts.handles.len() <= MIN_SWEEP && counts.open.len() <= MIN_SWEEP);
}
