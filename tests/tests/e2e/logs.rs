//! What guests print and log: kept, marked as theirs, bounded, and harmless to a terminal.

use e2e::host::{Host, Start};
use e2e::log::message;
use e2e::metrics::DROPPED;
use serde_json::{Value, json};

#[tokio::test]
async fn a_log_line_has_its_level_fields_service_and_call() {
    let host = Host::of("chatty").await;
    let say = json!({"level": "warn", "message": "mark-17", "fields": [{"name": "a", "value": "b"}]});
    host.call("test.chatty.Chatty/Say", &say).ok().await;
    let record = host.logged("mark-17").await;
    assert_eq!(record["level"], "WARN", "{record}");
    let fields = &record["fields"];
    assert_eq!((&fields["service"], &fields["method"], &fields["guest"]), (&json!("chatty"), &json!("Say"), &json!("a=b")), "{record}");
}

#[tokio::test]
async fn a_guest_cannot_forge_the_hosts_fields() {
    let host = Host::of("chatty").await;
    let fields = json!([{"name": "service", "value": "forged-service"}, {"name": "message", "value": "forged-message"}, {"name": "method", "value": "forged-method"}]);
    host.call("test.chatty.Chatty/Say", &json!({"level": "info", "message": "mark-18", "fields": fields})).ok().await;
    let record = host.logged("mark-18").await;
    assert_eq!(message(&record), "mark-18", "{record}");
    assert_eq!((&record["fields"]["service"], &record["fields"]["method"]), (&json!("chatty"), &json!("Say")), "{record}");
}

#[tokio::test]
async fn stdout_and_stderr_become_log_lines() {
    let host = Host::of("chatty").await;
    for method in ["Print", "PrintError"] {
        let before = host.log().lines().len();
        host.call(&format!("test.chatty.Chatty/{method}"), &json!({"lines": 3, "length": 20})).ok().await;
        let theirs = |record: &Value| record.to_string().contains("chatty") && message(record) != "ready";
        host.log().record(&format!("a line of {method}"), theirs).await;
        let printed = &host.log().lines()[before..];
        assert!(
            printed.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "every line is a record of the host's: {printed:?}"
        );
    }
}

#[tokio::test]
async fn the_rust_log_crate_is_heard() {
    let host = Host::of("chatty").await;
    host.call("test.chatty.Chatty/Facade", &json!({"text": "mark-19"})).ok().await;
    let record = host.log().record("a line with the text", |record| record.to_string().contains("mark-19")).await;
    assert_eq!((message(&record), &record["level"]), ("by log", &json!("INFO")), "{record}");
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_to_the_limit_and_said_to_be() {
    for method in ["Flood", "Print", "PrintError"] {
        let host = Start::guest("chatty").limit("log-lines=50").ready().await;
        let began = std::time::Instant::now();
        host.call(&format!("test.chatty.Chatty/{method}"), &json!({"lines": 20_000, "length": 40})).ok().await;
        let dropped = host.metric_becomes(DROPPED, &[], |dropped| dropped > 0.0).await;
        // Ten seconds' worth may come at once, and a second's worth each second.
        let allowed = 500.0 + 50.0 * (began.elapsed().as_secs_f64() + 1.0);
        assert!(dropped >= 20_000.0 - allowed, "{method}: only {dropped} dropped");
        let lines = host.log().lines().len();
        assert!(lines < 2_000, "{method}: {lines} lines in the log");
        host.log().record("a word on what is missing", |record| message(record).contains("drop")).await;
    }
}

#[tokio::test]
async fn a_line_without_end_is_cut() {
    let host = Start::guest("chatty").limit("log-line=1KiB").ready().await;
    host.call("test.chatty.Chatty/Endless", &json!({"bytes": 5_000_000})).ok().await;
    host.call("test.chatty.Chatty/Flood", &json!({"lines": 1, "length": 100_000})).ok().await;
    host.call("test.chatty.Chatty/Say", &json!({"level": "info", "message": "mark-20", "fields": []})).ok().await;
    host.logged("mark-20").await;
    let longest = host.log().lines().iter().map(String::len).max().unwrap_or_default();
    assert!(longest < 4 << 10, "the longest line has {longest} bytes");
}

/// What a terminal would act on, or what would make one line look like another.
fn harmful(line: &str) -> Option<char> {
    line.chars().find(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[tokio::test]
async fn control_characters_reach_neither_form_of_the_log() {
    for host in [Start::guest("chatty"), Start::guest("chatty").text_log()] {
        let host = host.ready().await;
        host.call("test.chatty.Chatty/Escapes", &json!({})).ok().await;
        host.call("test.chatty.Chatty/Say", &json!({"level": "info", "message": "mark-21", "fields": []})).ok().await;
        host.log().find("the line after", |line| line.contains("mark-21").then_some(())).await;
        let lines = host.log().lines();
        assert!(lines.iter().any(|line| line.contains("red")), "the text itself is kept: {lines:#?}");
        for line in &lines {
            assert_eq!(harmful(line), None, "{line:?}");
        }
        for record in host.log().records() {
            // JSON hides them from the terminal alone; what reads the log may print it.
            assert_eq!(harmful(message(&record)), None, "{record}");
        }
    }
}

#[tokio::test]
async fn a_line_break_in_a_message_makes_no_second_line() {
    let host = Start::guest("chatty").text_log().ready().await;
    let forged = "first\n2026-01-01T00:00:00Z  INFO forged-line";
    host.call("test.chatty.Chatty/Say", &json!({"level": "info", "message": forged, "fields": []})).ok().await;
    let line = host.log().find("the forged line", |line| line.contains("forged-line").then(|| line.to_owned())).await;
    assert!(line.contains("first"), "one message, one line: {line:?}");
}
