//! A host that stands still: its system takes connections and bytes for it, and nothing is answered.

use std::time::Instant;

use e2e::{cluster, soon};

use crate::trouble::{LONGEST, TRIES, all_serve, load, three};

#[tokio::test]
async fn a_host_that_stands_still_fails_no_call_loses_its_lease_and_comes_back_by_itself() {
    let (front, mut backs) = three(&cluster::unique("trouble-stalled"), TRIES, "[cluster]\nlease = \"5s\"\n").await;
    let load = load(&front).await;
    all_serve(&mut backs, 100.0).await;
    let mut still = backs.pop().expect("three");
    still.host.pause();
    let since = Instant::now();
    all_serve(&mut backs, 100.0).await;
    soon("the end of its lease", async { while front.admin(["services"]).run().await.succeeded().contains(&still.host.url()) {} }).await;
    println!("its lease is over {:?} after that", since.elapsed());
    still.host.resume();
    let since = Instant::now();
    still.serves(100.0).await;
    println!("it serves 100 calls {:?} after it goes on", since.elapsed());
    let told = load.end().await;
    told.none_failed("one of three hosts stands still");
    assert!(told.slowest < LONGEST, "a call has waited for {:?}", told.slowest);
}
