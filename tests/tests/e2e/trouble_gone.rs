//! All hosts of a service gone, and back: whoever calls is told what is missing, and nobody has to do anything when
//! it is there again.

use e2e::{cluster, soon};
use serde_json::json;

use crate::trouble::{ADD, another, knows, three};

/// Hosts that say nothing are forgotten soon.
const LEASE: &str = "[cluster]\nlease = \"5s\"\n";

#[tokio::test]
async fn calls_of_a_service_that_is_gone_everywhere_name_it_and_succeed_again_by_themselves() {
    let cluster = cluster::unique("trouble-gone");
    let (front, backs) = three(&cluster, LEASE, LEASE).await;
    let numbers = json!({"a": 1, "b": 2});
    front.call(ADD, &numbers).ok().await;
    for back in &backs {
        back.host.kill().await;
    }
    let fails = async || {
        let failure = front.call(ADD, &numbers).fails().await;
        assert!(failure.code == "unavailable" && failure.message.contains("test.back.Back"), "{failure:?}");
        let mut streams = front.streams().await;
        let end = streams.open_done("test.front.Front/Count", &[json!({"to": 1})]).await.end().await;
        assert!(end.status == 14 && end.message.contains("test.back.Back"), "{end:?}");
    };
    // At first its hosts are known and nobody is there, and then none is known.
    fails().await;
    soon("leases that run out", async {
        while knows(&front).await {
            fails().await;
        }
    })
    .await;
    fails().await;
    let _back = another(&cluster, &front, "").await;
    soon("a call that succeeds", async { while front.call(ADD, &numbers).answer().await.status != 200 {} }).await;
    for _ in 0..20 {
        front.call(ADD, &numbers).ok().await;
    }
}
