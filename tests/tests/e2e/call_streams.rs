//! `microhost call` and streams: what is typed is sent, what comes is printed, in every protocol and
//! codec.

use std::time::Instant;

use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::running::Running;
use e2e::{SOON, guests, settings};
use serde_json::{Value, json};

/// Every protocol in both codecs.
const WAYS: [[&str; 4]; 6] = [
    ["--protocol", "connect", "--codec", "json"],
    ["--protocol", "connect", "--codec", "proto"],
    ["--protocol", "grpc", "--codec", "json"],
    ["--protocol", "grpc", "--codec", "proto"],
    ["--protocol", "grpc-web", "--codec", "json"],
    ["--protocol", "grpc-web", "--codec", "proto"],
];

fn call(host: &Host, method: &str, rest: &[&str]) -> Command {
    host.command(["call", "streams", method]).args(rest)
}

async fn next(talk: &mut Running) -> Value {
    let line = talk.line().await;
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("a line is a message ({error}): {line}"))
}

/// The messages of a program that has to succeed, one a line.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn a_message_is_sent_when_it_is_typed_and_its_reply_printed_when_it_comes() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let mut talk = call(&host, "shout", &way).talk();
        for (id, text) in [(1, "one"), (2, "two"), (3, "three")] {
            // The input stays open: only a message that was sent is answered.
            talk.write(&json!({"id": id, "text": text}).to_string()).await;
            let expected = json!({"id": id, "text": text.to_uppercase(), "tags": []});
            assert_eq!(next(&mut talk).await, expected, "{way:?}");
        }
        talk.close();
        let ended = talk.ended().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{way:?}: {ended:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_input_ends_a_stream_of_messages() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let reply = call(&host, "sum", &way).input("{\"value\":1} {\"value\":2}\n\n{\"value\":\n-10}").run().await.json();
        assert_eq!(reply, json!({"value": "-7"}), "{way:?}");
        let nothing = call(&host, "sum", &way).run().await.json();
        assert_eq!(nothing, json!({"value": "0"}), "{way:?}");
        let arguments = call(&host, "sum", &[r#"{"value":1}"#, r#"{"value":2}"#]).args(way).run().await.json();
        assert_eq!(arguments, json!({"value": "3"}), "{way:?}");
        let both = call(&host, "sum", &[r#"{"value":1}"#, "-"]).args(way).input(r#"{"value":5}"#).run().await.json();
        assert_eq!(both, json!({"value": "6"}), "{way:?}");
    }
}

#[tokio::test]
async fn replies_are_printed_one_a_line_when_they_come() {
    // One instance, so that one count has every stream that ended.
    let host = Start::guest("streams").limit("instances=1").ready().await;
    for way in WAYS {
        let printed = call(&host, "countdown", &[r#"{"from":3}"#]).args(way).run().await.succeeded();
        let values: Vec<_> = lines(&printed).into_iter().map(|line| line["value"].clone()).collect();
        assert_eq!(values, ["2", "1", "0"], "{way:?}: {printed}");
        // One that does not end: what comes is there at once, and Ctrl-C ends it.
        let mut talk = call(&host, "tick", &[r#"{"milliseconds":1}"#]).args(way).talk();
        let first = next(&mut talk).await;
        let second = next(&mut talk).await;
        assert_ne!(first, second, "{way:?}");
        talk.interrupt();
        let ended = talk.ended().await;
        assert_eq!(ended.code, Some(65), "{way:?}: {ended:?}");
        assert!(ended.failed().contains("canceled: interrupted"));
    }
    // The host has heard of it each time.
    let count = || async { host.call("example.streams.Streams/Ended", &json!({})).ok().await["value"].as_str().map(str::to_owned) };
    let began = Instant::now();
    while count().await.as_deref() != Some("6") {
        assert!(began.elapsed() < SOON, "six streams ended: {:?}", count().await);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ctrl_c_cancels_a_call_that_waits_for_input() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let mut talk = call(&host, "pass", &way).talk();
        talk.write("{\"id\":1}").await;
        next(&mut talk).await;
        talk.interrupt();
        let ended = talk.ended().await;
        assert_eq!(ended.code, Some(65), "{way:?}: {ended:?}");
        assert!(ended.stderr.contains("1 sent, 1 received"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_status_after_messages_is_the_exit_code() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let late = call(&host, "fallible", &[r#"{"number":102}"#]).args(way).run().await;
        assert!(!late.stdout.is_empty() && late.code == Some(74), "aborted, after messages, in {way:?}: {late:?}");
        assert!(late.failed().contains("aborted"));
        let at_once = call(&host, "fallible", &[r#"{"number":3}"#]).args(way).run().await;
        assert!(at_once.stdout.is_empty() && at_once.code.is_some_and(|code| code > 64), "{way:?}: {at_once:?}");
        let trap = call(&host, "trap-after", &[r#"{"count":2}"#]).args(way).run().await;
        assert_eq!((lines(&trap.stdout).len(), trap.code), (2, Some(77)), "{way:?}: {trap:?}");
        trap.failed();
    }
    let told = call(&host, "fallible", &[r#"{"number":102}"#, "--json"]).run().await;
    let last = lines(&told.stdout).pop().expect("a line");
    assert_eq!(last["code"], "aborted", "{told:?}");
}

#[tokio::test]
async fn a_reply_before_the_input_has_ended_ends_the_call() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let mut talk = call(&host, "first", &way).talk();
        talk.write("{\"value\":\"enough\"}\n").await;
        assert_eq!(next(&mut talk).await, json!({"value": "enough"}), "{way:?}");
        // Its input is open still.
        let ended = talk.ended().await;
        assert_eq!(ended.code, Some(0), "{way:?}: {ended:?}");
    }
}

#[tokio::test]
async fn input_that_is_no_message_is_told_with_line_and_column() {
    let host = Host::of("streams").await;
    for (wrong, code, text) in [
        ("{\"value\":1}\n{\"value\":}\n", 2, "line 2 column 10: no message in JSON"),
        ("{\"value\":1}\n{\"value\":2", 2, "line 2 column 1: no message in JSON"),
    ] {
        for way in WAYS {
            let ended = call(&host, "sum", &way).input(wrong).run().await;
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{way:?}: {ended:?}");
            assert!(ended.failed().contains(text), "{way:?}");
        }
    }
    // JSON, but not this method's: the host refuses it, or the encoder here.
    for way in WAYS {
        let ended = call(&host, "sum", &way).input("{\"value\":1} {\"velue\":1}").run().await;
        assert_eq!(ended.code, Some(67), "{way:?}: {ended:?}");
        assert!(ended.failed().contains("velue"), "{way:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_stream_and_without_one_it_lasts() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let ended = call(&host, "tick", &[r#"{"milliseconds":10}"#, "--timeout", "400ms"]).args(way).run().await;
        assert_eq!(ended.code, Some(68), "{way:?}: {ended:?}");
        assert!(!ended.stdout.is_empty() && ended.failed().contains("deadline_exceeded"), "{way:?}");
    }
    let deaf = call(&host, "deaf", &["--timeout", "300ms"]).talk().ended().await;
    assert_eq!(deaf.code, Some(68), "{deaf:?}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_on_both_ways() {
    let host = Host::of("streams").await;
    let small = ["--max-message", "1KiB"];
    for way in WAYS {
        let big = call(&host, "produce", &[r#"{"count":1,"size":2000}"#]).args(small).args(way).run().await;
        assert_eq!(big.code, Some(72), "{way:?}: {big:?}");
        assert!(big.failed().contains("--max-message"));
    }
    let message = json!({"value": "x".repeat(2000)}).to_string();
    let sent = call(&host, "texts", &small).input(message).run().await;
    assert_eq!(sent.code, Some(2), "{sent:?}");
    assert!(sent.failed().contains("line 1 column 1"));
}

#[tokio::test]
async fn a_host_that_is_killed_in_mid_stream_is_told_of() {
    for way in WAYS {
        let host = Host::of("streams").await;
        let mut talk = call(&host, "tick", &[r#"{"milliseconds":1}"#]).args(way).talk();
        next(&mut talk).await;
        host.kill().await;
        let ended = talk.ended().await;
        assert!(matches!(ended.code, Some(4 | 77 | 78)), "{way:?}: {ended:?}");
        assert!(ended.failed().contains("received"), "{way:?}");
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_the_call_quietly() {
    let host = Host::of("streams").await;
    let program = e2e::program::microhost().to_str().expect("the target folder's name is UTF-8");
    let pipe = format!("set -o pipefail; '{program}' call streams tick '{{\"milliseconds\":1}}' --at {} | head -n 2", host.url());
    let ended = Command::new("bash").args(["-c", &pipe]).run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(lines(&ended.stdout).len(), 2);
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_the_messages_and_not_ctrl_c() {
    let host = Host::of("streams").await;
    // Nobody takes its output: the pipe fills up, and so does all that is before it.
    let mut talk = call(&host, "endless", &[r#"{"size":65536}"#]).talk();
    talk.stalled().await;
    talk.interrupt();
    let ended = talk.ended().await;
    assert_eq!(ended.code, Some(65), "{:?}", ended.stderr);
}

#[tokio::test]
async fn metadata_is_told_when_it_is_asked_for() {
    let host = Host::of("streams").await;
    for way in WAYS {
        let ended = call(&host, "metadata", &["-v", "-H", "x-say: hello"]).args(way).run().await;
        assert!(ended.stderr.contains("< x-before: ") && ended.stderr.contains("< x-after: "), "{way:?}: {ended:?}");
        assert!(ended.succeeded().contains("hello"), "{way:?}");
    }
}

#[tokio::test]
async fn several_messages_for_a_method_of_one_are_refused() {
    let host = Host::of("streams").await;
    for (method, input) in [("countdown", "{} {}"), ("ended", "{}\n{}")] {
        let ended = call(&host, method, &["-"]).input(input).run().await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.failed().contains("takes one message"));
    }
}

#[tokio::test]
async fn unary_methods_are_called_in_every_protocol_and_codec() {
    let echo = settings::service("one", &guests::guest("echo"), "");
    let host = Start::settings(&echo).ready().await;
    for way in WAYS {
        let reply = host.command(["call", "test.echo.Echo/EchoPlain", r#"{"id":"5","tags":["a"]}"#]).args(way).run().await.json();
        assert_eq!(reply, json!({"id": "5", "text": "", "tags": ["a"]}), "{way:?}");
        let pretty = host.command(["call", "echo/echo", "{}", "--pretty"]).args(way).run().await.succeeded();
        assert_eq!(pretty, "{\n  \"id\": \"0\",\n  \"text\": \"\",\n  \"tags\": []\n}\n", "{way:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_passed_on_and_later_calls_do_not_take_each_others_ends() {
    // In one instance: the guest's task ends as soon as it has returned the other service's stream, and later
    // calls begin as what that one was.
    let back = settings::service("back", &guests::guest("back"), "");
    let rest = "grants = { calls = [\"test.back.Back\"] }\n[service.front.limits]\ninstances = 1";
    let host = Start::settings(&(back + &settings::service("front", &guests::guest("front"), rest))).ready().await;
    let mut streams = host.streams().await;
    for round in 0..20 {
        let mut stream = streams.open("test.front.Front/Shout", &[]).await;
        let adds = (0..8).map(|a| host.call("test.front.Front/Add", &json!({"a": a, "b": round})).ok());
        let adds = futures::future::join_all(adds);
        let ends = async {
            stream.send(&json!({"id": round, "text": "a"})).await;
            assert_eq!(stream.next().await, Some(json!({"id": round, "text": "A"})));
            stream.half_close();
            assert_eq!(stream.end().await.status, 0);
        };
        let (sums, ()) = futures::future::join(adds, ends).await;
        assert_eq!(sums, (0..8).map(|a| json!({"value": a + round})).collect::<Vec<_>>());
    }
}
