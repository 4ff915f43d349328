//! Hosts that are killed while there is much to do: those who call notice nothing, and nothing is done twice.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use e2e::host::Host;
use e2e::{cluster, soon};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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

/// Stands where a host was, and notes when others want to call it.
struct Grave {
    tries: Arc<Mutex<Vec<Instant>>>,
    task: JoinHandle<()>,
}

impl Grave {
    async fn at(address: SocketAddr) -> Grave {
        let listener = soon("the port of a host that is gone", async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        let (listener, tries) = (listener.await, Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&tries);
        let task = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.expect("a listener stays");
                let mut first = [0; 3];
                // Whoever asks for its page speaks HTTP/1, and is no call.
                if socket.read_exact(&mut first).await.is_ok() && first == *b"PRI" {
                    noted.lock().expect("nobody panics").push(Instant::now());
                }
            }
        });
        Grave { tries, task }
    }

    fn tries(&self) -> Vec<Instant> {
        self.tries.lock().expect("nobody panics").clone()
    }
}

impl Drop for Grave {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_host_that_was_killed_is_tried_ever_less_and_no_more_once_its_lease_is_out() {
    let lease = "[cluster]\nlease = \"5s\"\n";
    let (front, mut backs) = three(&cluster::unique("trouble-grave"), lease, lease).await;
    let load = load(&front).await;
    all_serve(&mut backs, 200.0).await;
    let gone = backs.pop().expect("three").host;
    gone.kill().await;
    let killed = Instant::now();
    let grave = Grave::at(gone.address).await;
    let known = async || {
        let services = front.admin(["services", "--json"]).run().await.json();
        services.as_array().expect("a list").iter().filter(|service| service.get("host").is_some()).count()
    };
    soon("a lease that runs out", async { while known().await > 2 {} }).await;
    let forgotten = killed.elapsed();
    let tries = grave.tries();
    load.goes_on(1_000).await;
    assert_eq!(grave.tries().len(), tries.len(), "it is known no more, and tried all the same");
    let last = tries.last().map(|last| last.duration_since(killed));
    println!("tried {} times, the last time {last:?} after it was killed; forgotten after {forgotten:?}", tries.len());
    // Of some 330 calls a second that would be its own.
    assert!(tries.len() < 200, "left alone for most of the time: {}", tries.len());
    load.end().await.none_failed("a host killed, and its port taken");
}
