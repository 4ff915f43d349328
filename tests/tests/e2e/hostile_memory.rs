//! Guests that want all memory there is, their own and the host's: they are refused by name, and the
//! neighbour is served as before.

use e2e::connect::Failure;
use e2e::guests::{guest, text};
use e2e::host::Host;
use e2e::metrics::{DROPPED, HOST_MEMORY, IN_FLIGHT, LOG_BYTES, MEMORY, STREAMS};
use e2e::neighbour::beside_echo;
use futures::future::join_all;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

const OF_HOSTILE: &[(&str, &str)] = &[("service", "hostile")];

fn endpoint(method: &str) -> String {
    format!("test.hostile.Hostile/{method}")
}

/// Calls that have to fail with this code, and to tell this limit and what to write to raise it.
async fn fails_by_limit(host: &Host, endpoint: &str, body: &Value, code: &str, limit: &str) {
    let failure = host.call(endpoint, body).fails().await;
    assert_eq!(failure.code, code, "{failure:?}");
    assert!(failure.message.contains(&format!("limit {limit}")), "{failure:?}");
    assert!(failure.message.contains("in [service.hostile.limits]"), "{failure:?}");
}

#[tokio::test]
async fn hostile_memory_in_many_instances_stays_within_the_limit_of_the_service() {
    let host = beside_echo(&guest("hostile"), "instances = 16, concurrency = 1, memory = \"64MiB\", total-memory = \"128MiB\"").await;
    let neighbour = host.neighbour().await;
    let hoards = join_all((0..16).map(|_| host.call(&endpoint("Hoard"), &json!({})).answer()));
    let answers = neighbour.withstands(hoards, 192 * MIB).await;
    // Those that got next to nothing fail as they please; all that they have together is bounded.
    assert!(answers.iter().any(|answer| answer.status == 200), "{answers:?}");
    host.metric_becomes(MEMORY, OF_HOSTILE, |bytes| bytes <= f64::from(128 << 20)).await;
}

#[tokio::test]
async fn hostile_memory_that_one_instance_holds_makes_callers_wait_and_then_tells_them_why() {
    let limits = "instances = 4, concurrency = 1, queue = 1, memory = \"64MiB\", total-memory = \"65MiB\"";
    let host = beside_echo(&guest("hostile"), limits).await;
    let hoard = host.call(&endpoint("Hoard"), &json!({}));
    let (hoarded, ()) = tokio::join!(hoard.ok(), async {
        host.metric_becomes(MEMORY, OF_HOSTILE, |bytes| bytes >= f64::from(63 << 20)).await;
        let beside = join_all((0..8).map(|_| host.call(&endpoint("Ok"), &json!({})).answer())).await;
        let (served, refused): (Vec<_>, Vec<_>) = beside.iter().partition(|answer| answer.status == 200);
        assert!(!served.is_empty(), "one waits until there is room: {beside:?}");
        for refused in refused {
            let failure = Failure::of(refused);
            assert_eq!(failure.code, "resource_exhausted", "{failure:?}");
            assert!(failure.message.contains("hostile has reached its limit total-memory, 65.0 MiB"), "{failure:?}");
        }
    });
    assert!(hoarded["value"].as_u64().is_some_and(|mib| mib >= 60), "{hoarded}");
}

#[tokio::test]
async fn hostile_tables_in_every_instance_hold_no_neighbour_up() {
    let host = beside_echo(&text("table"), "instances = 16").await;
    let neighbour = host.neighbour().await;
    let grow = |elements: u32| json!({ "elements": elements });
    let harm = async {
        for _ in 0..10 {
            join_all([90_000, 1_000_000, u32::MAX].map(|elements| host.call("test.table.Table/Grow", &grow(elements)).answer())).await;
        }
        host.call("test.table.Table/Grow", &grow(1_000_000)).ok().await
    };
    let refused = neighbour.withstands(harm, 64 * MIB).await;
    assert_eq!(refused, json!({ "value": -1 }), "the instruction's own answer to no");
}

#[tokio::test]
async fn hostile_handles_of_every_kind_are_bounded_by_name() {
    let bombs = [
        (guest("hostile"), endpoint("Pollables"), json!({ "count": 100_000_000 }), endpoint("Ok")),
        (guest("hostile"), endpoint("Streams"), json!({ "count": 100_000_000 }), endpoint("Ok")),
        (text("hostile-resources"), "test.resources.Resources/Make".to_owned(), json!({}), "test.resources.Resources/Ok".to_owned()),
    ];
    for (component, bomb, body, fine) in bombs {
        let host = beside_echo(&component, "").await;
        let neighbour = host.neighbour().await;
        let harm = async {
            for _ in 0..5 {
                fails_by_limit(&host, &bomb, &body, "internal", "handles").await;
            }
        };
        neighbour.withstands(harm, 256 * MIB).await;
        host.call(&fine, &json!({})).ok().await;
    }
}

#[tokio::test]
async fn hostile_arguments_of_128_mib_are_not_copied_into_the_host() {
    let host = beside_echo(&guest("hostile"), "memory = \"1GiB\"").await;
    let neighbour = host.neighbour().await;
    let harm = join_all((0..2).map(|_| async {
        for _ in 0..3 {
            let failure = host.call(&endpoint("Shout"), &json!({ "mib": 128 })).fails().await;
            assert_eq!(failure.code, "internal", "{failure:?}");
            assert!(failure.message.contains("limit host-call"), "{failure:?}");
        }
    }));
    // The guest's own memory is most of it.
    neighbour.withstands(harm, 2 * 400 * MIB).await;
    host.call(&endpoint("Shout"), &json!({ "mib": 8 })).ok().await;
}

#[tokio::test]
async fn hostile_requests_for_random_bytes_are_refused() {
    let host = beside_echo(&guest("hostile"), "").await;
    let neighbour = host.neighbour().await;
    let harm = async {
        for bytes in [2_u64 << 20, 1 << 30, u64::MAX] {
            let failure = host.call(&endpoint("Random"), &json!({ "bytes": bytes.to_string() })).fails().await;
            assert_eq!(failure.code, "internal", "{failure:?}");
        }
        host.call(&endpoint("Random"), &json!({ "bytes": "65536" })).ok().await
    };
    assert_eq!(neighbour.withstands(harm, 64 * MIB).await, json!({ "value": "65536" }));
}

#[tokio::test]
async fn hostile_chatter_is_cut_by_lines_and_bytes_and_is_no_terminals_master() {
    let host = beside_echo(&guest("hostile"), "cpu = \"1s\", log-lines = 100, log-bytes = \"2KiB\"").await;
    let neighbour = host.neighbour().await;
    let chatter = join_all((0..4).map(|_| host.call(&endpoint("Chatter"), &json!({})).fails()));
    for failure in neighbour.withstands(chatter, 64 * MIB).await {
        assert_eq!(failure.code, "resource_exhausted", "{failure:?}");
    }
    let metrics = host.metrics().await;
    assert!(metrics.value(DROPPED, OF_HOSTILE) > 1000.0, "{}", metrics.text);
    // What may come at once, and what came meanwhile.
    let bytes = metrics.value(LOG_BYTES, OF_HOSTILE);
    assert!(bytes < 2048.0 * 60.0, "{bytes} bytes were logged");
    host.logged("more than its limits log-lines and log-bytes allow").await;
    let lines = host.log().lines();
    assert!(lines.iter().all(|line| !line.contains('\x1b') && !line.contains('\u{202e}') && !line.contains('\x07')));
    assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "no line is forged");
}

#[tokio::test]
async fn hostile_replies_without_end_that_nobody_reads_stay_within_the_hosts_memory() {
    let host = beside_echo(&guest("hostile"), "host-memory = \"4MiB\", stream-buffer = \"1MiB\"").await;
    let neighbour = host.neighbour().await;
    let open = async {
        join_all((0..40).map(|_| async {
            let mut streams = host.streams().await;
            let stream = streams.open_done(&endpoint("Endless"), &[json!({})]).await;
            (streams, stream)
        }))
        .await
    };
    let unread = open.await;
    let settle = async {
        for _ in 0..20 {
            let held = host.metrics().await.value(HOST_MEMORY, OF_HOSTILE);
            assert!(held <= f64::from(4 << 20), "{held} bytes are held");
        }
    };
    // The client's own windows are the test's memory; an instance holds the pieces that it writes.
    neighbour.withstands(settle, 160 * MIB).await;
    assert!(host.metrics().await.value(STREAMS, OF_HOSTILE) >= 40.0);
    drop(unread);
    host.metric_becomes(HOST_MEMORY, OF_HOSTILE, |bytes| bytes == 0.0).await;
    host.metric_becomes(STREAMS, OF_HOSTILE, |streams| streams == 0.0).await;
}

#[tokio::test]
async fn hostile_replies_that_are_never_finished_end_by_their_time_limit() {
    let host = beside_echo(&guest("hostile"), "stream-timeout = \"1s\"").await;
    let neighbour = host.neighbour().await;
    let harm = join_all((0..50).map(|_| async {
        let (replies, end) = host.streams().await.all(&endpoint("Unfinished"), &[json!({})]).await;
        assert_eq!(replies, [json!({ "value": 1 })]);
        end
    }));
    for end in neighbour.withstands(harm, 64 * MIB).await {
        assert_eq!(end.status, 4, "{end:?}");
    }
    host.metric_becomes(STREAMS, OF_HOSTILE, |streams| streams == 0.0).await;
    assert_eq!(host.metrics().await.sum(IN_FLIGHT, &[("endpoint", "Unfinished")]), 0.0);
}
