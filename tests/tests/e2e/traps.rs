//! Guests that die: their own calls fail, the log tells why, and the next call is served.

use e2e::connect::Failure;
use e2e::host::{Host, Start};
use e2e::metrics::TRAPS;
use serde_json::{Value, json};

const OK: &str = "test.trap.Trap/Ok";

/// Makes the guest die; the caller is told little and the next call is served.
async fn dies(host: &Host, method: &str, body: Value) -> Failure {
    let failure = host.call(&format!("test.trap.Trap/{method}"), &body).fails().await;
    assert_eq!((failure.code.as_str(), failure.http), ("internal", 500), "{method}: {failure:?}");
    assert!(
        !failure.message.contains("wasm backtrace") && !failure.message.contains(".rs:"),
        "{method} tells the caller too much: {failure:?}"
    );
    assert_eq!(host.call(OK, &json!({})).ok().await, json!({"value": "ok"}), "after {method}");
    failure
}

/// The log record that tells of a trap, waited for.
async fn backtrace(host: &Host, why: &str) -> String {
    let tells = |record: &Value| {
        let text = record.to_string();
        text.contains("wasm backtrace") && text.contains(why)
    };
    host.log().record(&format!("a backtrace and {why:?}"), tells).await.to_string()
}

#[tokio::test]
async fn a_panic_fails_the_call_and_the_log_has_message_and_backtrace() {
    let host = Host::of("trap").await;
    let failure = dies(&host, "Panic", json!({"message": "boom-4711"})).await;
    assert!(!failure.message.contains("boom-4711"), "a panic's message is for the log: {failure:?}");
    host.log().record("the panic's message", |record| record.to_string().contains("boom-4711")).await;
    backtrace(&host, "unreachable").await;
    assert_eq!(host.metrics().await.value(TRAPS, &[]), 1.0);
}

#[tokio::test]
async fn every_way_to_die_fails_one_call_and_names_itself_in_the_log() {
    let host = Host::of("trap").await;
    let ways = [("Unreachable", "unreachable"), ("OutOfBounds", "out of bounds"), ("DivideByZero", "divide by zero")];
    for (method, why) in ways {
        dies(&host, method, json!({})).await;
        backtrace(&host, why).await;
    }
}

#[tokio::test]
async fn endless_recursion_is_stopped_by_the_stack_limit() {
    let host = Host::of("trap").await;
    dies(&host, "StackOverflow", json!({})).await;
    host.log().record("why", |record| record.to_string().contains("stack")).await;
}

#[tokio::test]
async fn a_guest_that_exits_ends_itself_and_not_the_host() {
    let host = Host::of("trap").await;
    dies(&host, "Exit", json!({"code": 3})).await;
    dies(&host, "Exit", json!({"code": 0})).await;
}

#[tokio::test]
async fn a_trap_fails_the_calls_of_its_instance_and_of_no_other() {
    let host = Start::guest("trap").limit("instances=2").limit("concurrency=2").ready().await;
    // Four calls fill two instances; what traps takes its neighbour along and nobody else.
    let waits = (0..3).map(|_| host.call("test.trap.Trap/Wait", &json!({"ms": 1500})).answer());
    let trap = host.call("test.trap.Trap/PanicLater", &json!({"ms": 700})).answer();
    let (waited, trapped) = tokio::join!(futures::future::join_all(waits), trap);
    assert_eq!(Failure::of(&trapped).code, "internal");
    let (lived, died): (Vec<_>, Vec<_>) = waited.iter().partition(|answer| answer.status == 200);
    assert_eq!((lived.len(), died.len()), (2, 1), "{waited:?}");
    assert_eq!(Failure::of(died[0]).code, "internal");
    assert_eq!(host.call(OK, &json!({})).ok().await, json!({"value": "ok"}));
}

#[tokio::test]
async fn a_hundred_traps_at_once_leave_a_host_that_serves() {
    let host = Host::of("trap").await;
    let traps = (0..100).map(|_| host.call("test.trap.Trap/Unreachable", &json!({})).answer());
    for answer in futures::future::join_all(traps).await {
        assert_eq!(Failure::of(&answer).code, "internal");
    }
    assert_eq!(host.call(OK, &json!({})).ok().await, json!({"value": "ok"}));
}
