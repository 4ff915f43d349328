//! `microhost call` against a host that misbehaves: whatever comes, the user is told what and how far
//! the call had come, and the exit code says it.

use std::time::Duration;

use e2e::grpc::frame;
use e2e::peer::{Call, Note, Peer, WINDOW};
use e2e::soon;
use h2::Reason;
use prost::Message;
use tokio::sync::mpsc;

/// Replies to each message with its text, in gRPC, until the caller has sent its last one.
async fn echo(mut call: Call) {
    call.begin();
    while let Ok(Some(message)) = call.message().await {
        let note = Note::decode(message).expect("a note");
        call.reply(&note.text);
    }
    call.trailers(&[("grpc-status", "0"), ("x-after", "later")]);
}

#[tokio::test]
async fn a_schema_told_file_by_file_is_enough_for_protobuf() {
    let peer = Peer::start(echo).await;
    let mut talk = peer.command(["call", "peer/both", "--protocol", "grpc", "-v"]).talk();
    for text in ["one", "two"] {
        talk.write(&format!("{{\"text\":\"{text}\"}}")).await;
        assert_eq!(talk.line().await, format!("{{\"text\":\"{text}\"}}"));
    }
    talk.close();
    let ended = talk.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("< x-after: later"), "{ended:?}");
}

#[tokio::test]
async fn a_host_without_reflection_is_called_by_full_names_in_json() {
    let peer = Peer::secretive(|mut call: Call| async move {
        let asked = call.message().await.ok().flatten().expect("a message");
        let path = call.path.clone();
        call.begin().send(frame(false, format!("{{\"path\":\"{path}\",\"asked\":{}}}", asked.len()).as_bytes()));
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let grpc = ["--protocol", "grpc"];
    let reply = peer.command(["call", "test.peer.Peer/One", "{}", "--codec", "json"]).args(grpc).run().await.json();
    assert_eq!(reply, serde_json::json!({"path": "/test.peer.Peer/One", "asked": 2}));
    for (service, advice) in [("test.peer.Peer", "--codec json"), ("peer", "the full names")] {
        let ended = peer.command(["call", service, "One"]).args(grpc).run().await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let said = ended.failed();
        assert!(said.contains("does not tell what it serves") && said.contains(advice), "{said}");
    }
}

#[tokio::test]
async fn a_host_that_goes_away_in_mid_stream_is_said_to() {
    let peer = Peer::start(|mut call: Call| async move {
        let _ = call.message().await;
        call.begin().reply("one");
        let _ = call.message().await;
        call.reset(Reason::REFUSED_STREAM);
    })
    .await;
    let mut talk = peer.command(["call", "peer/both", "--protocol", "grpc"]).talk();
    talk.write("{}\n").await;
    assert_eq!(talk.line().await, r#"{"text":"one"}"#);
    talk.write("{}\n").await;
    let ended = talk.ended().await;
    assert_eq!(ended.code, Some(78), "unavailable: {ended:?}");
    let said = ended.failed();
    assert!(said.contains("ended the call") && said.contains("2 sent, 1 received"), "{said}");
}

#[tokio::test]
async fn every_way_to_end_an_answer_wrongly_has_an_exit_code() {
    type Step = fn(&mut Call);
    let cases: [(&str, Step, i32, &str); 8] = [
        ("no trailers", |call| call.end(), 77, "ended without a status"),
        ("half a message", |call| call.send(&b"\0\0\0\0\x09x"[..]).end(), 77, "cut short"),
        ("compressed", |call| call.send(frame(true, b"x")).end(), 77, "compressed"),
        ("flags", |call| call.send(&b"\x42\0\0\0\0"[..]).end(), 77, "0x42"),
        ("too long", |call| call.send(&b"\0\x7f\0\0\0"[..]).end(), 72, "--max-message"),
        ("no protobuf", |call| call.send(frame(false, b"\x0a")).end(), 77, "test.note.Note"),
        ("a status of its own", |call| call.reply("a").trailers(&[("grpc-status", "99")]), 66, "unknown"),
        ("a status", |call| call.reply("a").trailers(&[("grpc-status", "5"), ("grpc-message", "no%20such")]), 69, "not_found: no such"),
    ];
    for (name, step, code, text) in cases {
        let peer = Peer::start(move |mut call: Call| async move {
            call.begin();
            step(&mut call);
            // Until the caller has left.
            let _ = call.message().await;
        })
        .await;
        let ended = peer.command(["call", "peer/down", "{}", "--protocol", "grpc"]).run().await;
        assert_eq!(ended.code, Some(code), "{name}: {ended:?}");
        assert!(ended.stderr.contains(text), "{name}: {ended:?}");
    }
}

#[tokio::test]
async fn a_method_of_one_reply_replies_with_one() {
    for (count, text) in [(0, "sent none"), (2, "sent more")] {
        let peer = Peer::start(move |mut call: Call| async move {
            call.begin();
            for _ in 0..count {
                call.reply("a");
            }
            call.trailers(&[("grpc-status", "0")]);
        })
        .await;
        let ended = peer.command(["call", "peer/up", "{}", "--protocol", "grpc"]).run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(77), ""), "{ended:?}");
        assert!(ended.failed().contains(text));
    }
}

#[tokio::test]
async fn what_is_no_json_cancels_the_stream_and_what_was_sent_stays_sent() {
    let (saw, mut seen) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut call: Call| {
        let (saw, tell) = (saw.clone(), tell.clone());
        async move {
            let first = call.message().await.ok().flatten().map(|message| Note::decode(message).expect("a note").text);
            saw.send(first).expect("the test listens");
            call.begin();
            tell.send(call.reset_by_caller().await).expect("the test listens");
        }
    })
    .await;
    for wrong in ["oops}", "{\"txt\":1}", "{\"text\":]"] {
        let mut talk = peer.command(["call", "peer/up", "--protocol", "grpc"]).talk();
        talk.write("{\"text\":\"kept\"}\n\n").await;
        // A call that is reset before the host has looked at it is none to the host.
        let first = soon("what the host saw", seen.recv()).await.expect("a call");
        assert_eq!(first.as_deref(), Some("kept"), "{wrong}");
        talk.write(&format!("  {wrong}\n")).await;
        assert_eq!(soon("the end that the host saw", told.recv()).await, Some(Some(Reason::CANCEL)), "{wrong}");
        let ended = talk.ended().await;
        assert!(matches!(ended.code, Some(2 | 67)), "{ended:?}");
        let said = ended.failed();
        assert!(said.contains("standard input, line 3 column ") && said.contains("1 sent"), "{said}");
    }
}

#[tokio::test]
async fn ctrl_c_cancels_the_stream() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut call: Call| {
        let tell = tell.clone();
        async move {
            call.begin().reply("one");
            tell.send(call.reset_by_caller().await).expect("the test listens");
        }
    })
    .await;
    for method in ["peer/both", "peer/down"] {
        let mut talk = peer.command(["call", method, "--protocol", "grpc"]).talk();
        assert_eq!(talk.line().await, r#"{"text":"one"}"#);
        talk.interrupt();
        assert_eq!(soon("what the host saw", told.recv()).await, Some(Some(Reason::CANCEL)), "{method}");
        let ended = talk.ended().await;
        assert_eq!(ended.code, Some(65), "{ended:?}");
        assert!(ended.failed().contains("canceled: interrupted"));
    }
}

#[tokio::test]
async fn input_is_read_no_faster_than_the_host_takes_it() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut call: Call| {
        let (mut gone, tell) = (gone.clone(), tell.clone());
        async move {
            // Nothing is read until the test says so.
            let _ = gone.wait_for(|gone| *gone).await;
            let mut count = 0_usize;
            while let Ok(Some(_)) = call.message().await {
                count += 1;
            }
            call.begin().reply(&count.to_string()).trailers(&[("grpc-status", "0")]);
            tell.send(count).expect("the test listens");
        }
    })
    .await;
    let mut talk = peer.command(["call", "peer/up", "--protocol", "grpc"]).talk();
    let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1013));

    let taken = talk.fill(&line, Duration::from_secs(2)).await;
    // The window, twice what is read at once (one of them in the pipe), and what the client holds.
    assert!(taken < 2 * WINDOW as usize + (256 << 10), "{taken} bytes were read for a host that reads none");
    go.send(true).expect("the host listens");
    talk.write(&line[taken % line.len()..]).await;
    talk.close();
    let ended = talk.ended().await;
    let expected = taken / line.len() + 1;
    assert_eq!(soon("the count", told.recv()).await, Some(expected));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
