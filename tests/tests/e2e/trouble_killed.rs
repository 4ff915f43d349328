//! Hosts that are killed while there is much to do: those who call notice nothing, and nothing is done twice.

use std::time::Instant;

use e2e::cluster;
use e2e::host::Host;

use crate::trouble::{Slow, all_serve, load, open, three};

/// Tries of the calling host after one that failed.
async fn retries(front: &Host) -> f64 {
    front.metrics().await.sum("microhost_remote_retries_total", &[])
}

#[tokio::test]
async fn hosts_killed_under_load_fail_no_idempotent_call_and_no_other_call_is_made_twice() {
    let (front, mut backs) = three(&cluster::unique("trouble-killed"), "", "").await;
    let load = load(&front).await;
    all_serve(&mut backs, 200.0).await;
    let slow = Slow::begin(open(&front).await, &mut backs).await;
    while backs.len() > 1 {
        let tries = retries(&front).await;
        backs.pop().expect("more than one").host.kill().await;
        let killed = Instant::now();
        all_serve(&mut backs, 200.0).await;
        load.goes_on(500).await;
        println!("{} calls were tried again within {:?} of a kill", retries(&front).await - tries, killed.elapsed());
    }
    load.end().await.none_failed("two of three hosts killed");
    let (all, of, succeeded) = (slow.count(), slow.of.clone(), slow.succeeded().await);
    println!("{} of {all} slow calls were lost", all - succeeded);
    assert_eq!(backs[0].slept().await, of[0], "no call of a host that was killed has begun anew, of {of:?}");
    assert!((of[0]..=all).contains(&succeeded), "{succeeded} of {all} succeed, of {of:?}");
}
