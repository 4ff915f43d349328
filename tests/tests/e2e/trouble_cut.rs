//! A host whose network drops all packets: nobody is told, and yet no call waits for it longer than a try may.

use std::time::Instant;

use e2e::http::Version;
use e2e::load::Load;
use e2e::network::Network;
use e2e::soon;

use crate::trouble::{CONNECTIONS, Callee, LONGEST, RATE, Slow, TRIES, add, all_serve, back, front, known};

const PORT: u16 = 8080;

#[tokio::test]
async fn a_host_that_is_cut_off_under_load_fails_no_call_and_is_used_again_when_the_network_is() {
    let Some(network) = Network::new() else { return };
    let machine = network.machine();
    let front = front(TRIES).on(&machine, PORT).ready().await;
    let mut backs = Vec::new();
    for _ in 0..3 {
        let machine = network.machine();
        let host = back("[cluster]\nlease = \"5s\"\n").on(&machine, PORT).ready().await;
        let connection = machine.open(PORT, Version::Two).await;
        backs.push(Callee::new((machine, host), connection));
    }
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(machine.open(PORT, Version::Two).await);
    }
    known(&front).await;
    let load = Load::begin(connections, RATE, add());
    all_serve(&mut backs, 100.0).await;
    let slow = Slow::begin(machine.open(PORT, Version::Two).await, &mut backs).await;
    let mut cut = backs.pop().expect("three");
    cut.host.0.cut();
    all_serve(&mut backs, 100.0).await;
    // Longer than a try may take. Few calls are left waiting, as those who choose look at how many wait already;
    // whether enough to open the breaker is chance.
    load.goes_on(5000).await;
    cut.host.0.heal();
    let since = Instant::now();
    cut.serves(100.0).await;
    println!("it serves 100 calls {:?} after the network is back", since.elapsed());
    let told = load.end().await;
    told.none_failed("one of three hosts cut off");
    assert!(told.slowest < LONGEST, "a call has waited for {:?}", told.slowest);
    let (all, of, succeeded) = (slow.count(), slow.of.clone(), slow.succeeded().await);
    println!("{} of {all} slow calls were lost", all - succeeded);
    // Those are counted by the host: where calls are given up, their instance goes, and the handler's count with it.
    soon("the end of its slow calls", async { while cut.slept_ever().await < of[2] {} }).await;
    assert_eq!(cut.slept_ever().await, of[2], "none was sent to the host again that was cut off");
    for (back, of) in backs.iter_mut().zip(&of) {
        assert_eq!(back.slept().await, *of, "none has begun anew on another host");
    }
    assert!(succeeded >= of[0] + of[1], "{succeeded} of {all} succeed, of {of:?}");
}
