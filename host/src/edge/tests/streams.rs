//! Calls with streams: every kind, in every protocol, over both versions of HTTP.

use futures::{StreamExt as _, stream};

use super::talk::{Heard, Protocol, Talk, WAYS, written};
use super::*;
use crate::edge::compression::{self, Encoding};
use crate::rpc::{Event, StreamReply};

/// The reply whose events these are.
fn reply(events: impl futures::Stream<Item = Event> + Send + 'static) -> Result<StreamReply, Status> {
    Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) })
}

fn ends() -> Event {
    Event::End(Ok(HeaderMap::new()))
}

/// Answers each message with itself as it comes; metadata `lead-*` comes before, `trail-*` after.
fn echo(request: StreamRequest) -> OpenFuture {
    let of = |prefix: &str| -> HeaderMap {
        let own = metadata(&request.headers).filter(|(name, _)| name.as_str().starts_with(prefix));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let (headers, trailers) = (of("lead-"), of("trail-"));
    let events = stream::unfold((request.messages, Some(trailers)), |(mut messages, trailers)| async {
        let trailers = trailers?;
        Some(match messages.next().await {
            Some(Ok(message)) => (Event::Message(message), (messages, Some(trailers))),
            Some(Err(status)) => (Event::End(Err(status)), (messages, None)),
            None => (Event::End(Ok(trailers)), (messages, None)),
        })
    });
    Box::pin(async { Ok(StreamReply { headers, events: Box::pin(events) }) })
}

/// Answers with all messages in one.
fn concat(mut request: StreamRequest) -> OpenFuture {
    Box::pin(async move {
        let mut all = Vec::new();
        while let Some(message) = request.messages.next().await {
            all.extend_from_slice(&message?.bytes()?);
        }
        reply(stream::iter([Event::Message(all.into()), ends()]))
    })
}

/// Answers with so many messages, of so many bytes, as the request says: `3 100`.
fn repeat(mut request: StreamRequest) -> OpenFuture {
    Box::pin(async move {
        let message = request.messages.next().await.expect("the edge brings one")?;
        assert!(request.messages.next().await.is_none(), "the edge brings one alone");
        let message = message.bytes()?;
        let text = std::str::from_utf8(&message).expect("text");
        let (count, size) = text.split_once(' ').expect("two numbers");
        let (count, message) = (count.parse().expect("a number"), Bytes::from(vec![b'x'; size.parse().expect("a number")]));
        reply(stream::iter((0..count).map(move |_| Event::Message(message.clone().into())).chain([ends()])))
    })
}

fn edge() -> TestEdge {
    let edge = TestEdge::start();
    edge.stream("Echo", Some(MethodKind::BidiStream), echo);
    edge.stream("Concat", Some(MethodKind::ClientStream), concat);
    edge.stream("Repeat", Some(MethodKind::ServerStream), repeat);
    edge.stream("Any", None, echo);
    edge
}

fn message(text: &'static str) -> Heard {
    Heard::Message(Bytes::from_static(text.as_bytes()))
}

fn well() -> Heard {
    Heard::End(Code::Ok, Vec::new())
}

#[tokio::test]
async fn both_sides_talk_in_turn_and_headers_come_first() {
    let edge = edge();
    for method in ["Echo", "Any"] {
        for way in WAYS {
            let mut talk =
                Talk::open(&edge, way, method, &[("lead-a", "1"), ("lead-a", "2"), ("trail-b-bin", "AQI"), ("te", "trailers")]).await;
            assert_eq!((talk.head.status.as_u16(), talk.header("content-type")), (200, way.0.content_type()), "{way:?}");
            let leading: Vec<_> = talk.head.headers.get_all("lead-a").iter().collect();
            assert_eq!(leading, ["1", "2"]);
            for text in ["one", "", "three"] {
                talk.send(text.as_bytes());
                assert_eq!(talk.next().await, message(text), "{way:?}");
            }
            talk.half_close();
            assert_eq!(talk.next().await, Heard::End(Code::Ok, vec![("trail-b-bin".into(), "AQI".into())]), "{way:?}");
        }
    }
    edge.all_closed().await;
}

/// Messages in envelopes, one piece each.
fn pieces(protocol: Protocol, messages: &[&str]) -> Vec<Bytes> {
    messages.iter().map(|text| written(protocol, &enveloped(0, text.as_bytes()))).collect()
}

/// Sends messages and hears all that comes back.
async fn talk(edge: &TestEdge, way: (Protocol, Version), method: &str, messages: &[&str]) -> (Vec<Bytes>, Heard) {
    Talk::whole(edge, way, method, &[], &pieces(way.0, messages)).await.rest().await
}

#[tokio::test]
async fn many_messages_have_one_answer() {
    let edge = edge();
    for way in WAYS {
        assert_eq!(talk(&edge, way, "Concat", &["a", "", "b"]).await, (vec!["ab".into()], well()), "{way:?}");
        assert_eq!(talk(&edge, way, "Concat", &[]).await, (vec![Bytes::new()], well()), "{way:?}");
    }
}

#[tokio::test]
async fn one_message_has_many_answers() {
    let edge = edge();
    for way in WAYS {
        for (count, size) in [(0, 1), (3, 2), (2_000, 16), (5, 50_000)] {
            let (messages, end) = talk(&edge, way, "Repeat", &[&format!("{count} {size}")]).await;
            assert_eq!((messages.len(), end), (count, well()), "{way:?}");
            assert!(messages.iter().all(|message| message.len() == size), "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_that_does_not_stream_sends_exactly_one_message() {
    let edge = edge();
    for way in WAYS {
        for messages in [&[][..], &["1 1", "1 1"]] {
            assert_eq!(talk(&edge, way, "Repeat", messages).await.1.code(), Code::Unimplemented, "{way:?} {messages:?}");
        }
    }
}

#[tokio::test]
async fn a_service_that_does_not_stream_has_exactly_one_answer() {
    let edge = edge();
    let answers = |count: usize| {
        move |_| -> OpenFuture {
            Box::pin(async move { reply(stream::iter((0..count).map(|_| Event::Message("x".into())).chain([ends()]))) })
        }
    };
    let none = edge.stream("None", Some(MethodKind::ClientStream), answers(0));
    edge.stream("Two", Some(MethodKind::ClientStream), answers(2));
    for way in WAYS {
        assert_eq!(talk(&edge, way, "None", &[]).await, (vec![], Heard::End(Code::Internal, Vec::new())), "{way:?}");
        assert_eq!(talk(&edge, way, "Two", &[]).await, (vec!["x".into()], Heard::End(Code::Internal, Vec::new())), "{way:?}");
    }
    assert_eq!(none.stats.count(Code::Internal), WAYS.len() as u64);
}

#[tokio::test]
async fn a_handler_of_every_kind_takes_unary_calls_too() {
    let edge = edge();
    for way in WAYS {
        assert_eq!(talk(&edge, way, "Any", &["x"]).await, (vec!["x".into()], well()), "{way:?}");
    }
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut request = post(version, "", "application/json", &[], "{}");
        *request.uri_mut() = "http://test/t.Stream/Any".parse().expect("valid");
        let answer = edge.send(request).await;
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"{}"[..]));
    }
}

/// Fails with a detail and metadata, after so many messages.
fn fails_after(messages: usize) -> impl Fn(StreamRequest) -> OpenFuture {
    move |_| {
        let status = Status::new(Code::Aborted, "no \u{fc}ber-user")
            .with_detail(Detail { type_name: "t.Why".into(), value: Bytes::from_static(&[8, 1]), debug: None })
            .with_metadata(HeaderMap::from_iter([(http::HeaderName::from_static("x-meta"), HeaderValue::from_static("m"))]))
            .because("a secret cause");
        let said = (0..messages).map(|_| Event::Message("said".into()));
        Box::pin(std::future::ready(reply(stream::iter(said.chain([Event::End(Err(status))])))))
    }
}

#[tokio::test]
async fn an_error_comes_after_what_was_said() {
    let edge = edge();
    edge.stream("Fails", Some(MethodKind::BidiStream), fails_after(2));
    edge.stream("FailsAtOnce", Some(MethodKind::BidiStream), fails_after(0));
    edge.stream("Refuses", Some(MethodKind::BidiStream), |_| {
        let metadata = HeaderMap::from_iter([(http::HeaderName::from_static("x-meta"), HeaderValue::from_static("m"))]);
        Box::pin(std::future::ready(Err(Status::new(Code::Aborted, "no").with_metadata(metadata))))
    });
    let failed = || Heard::End(Code::Aborted, vec![("x-meta".into(), "m".into())]);
    for way in WAYS {
        assert_eq!(talk(&edge, way, "Fails", &[]).await, (vec!["said".into(), "said".into()], failed()), "{way:?}");
        assert_eq!(talk(&edge, way, "FailsAtOnce", &[]).await, (vec![], failed()), "{way:?}");
        let mut refused = Talk::whole(&edge, way, "Refuses", &[], &[]).await;
        assert_eq!((refused.head.status.as_u16(), refused.header("content-type")), (200, way.0.content_type()), "{way:?}");
        // Trailers alone, where the protocol has such.
        assert_eq!(refused.header("grpc-status"), if way.0 == Protocol::Grpc { "10" } else { "" });
        assert_eq!(refused.rest().await, (vec![], failed()), "{way:?}");
    }
    let all = edge.send(stream_post("Fails")).await;
    let end = String::from_utf8_lossy(&all.body[18..]).into_owned();
    let expected =
        r#"{"error":{"code":"aborted","details":[{"type":"t.Why","value":"CAE"}],"message":"no über-user"},"metadata":{"x-meta":["m"]}}"#;
    assert!(end.ends_with(expected), "{end}");
}

/// An empty Connect stream over HTTP/1.1.
fn stream_post(method: &str) -> Request<Bytes> {
    let mut request = post(Version::HTTP_11, "", "application/connect+json", &[], "");
    *request.uri_mut() = format!("http://test/t.Stream/{method}").parse().expect("valid");
    request
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_internal() {
    let edge = edge();
    edge.stream("BreaksOff", Some(MethodKind::BidiStream), |_| {
        Box::pin(std::future::ready(reply(stream::iter([Event::Message("x".into())]))))
    });
    for way in WAYS {
        assert_eq!(talk(&edge, way, "BreaksOff", &[]).await, (vec!["x".into()], Heard::End(Code::Internal, Vec::new())), "{way:?}");
    }
}

#[tokio::test]
async fn messages_are_the_same_however_they_are_cut() {
    let edge = edge();
    for way in WAYS {
        let long = "long".repeat(10_000);
        let messages = ["one", "", &long, "four"];
        let all: Vec<u8> = messages.iter().flat_map(|text| enveloped(0, text.as_bytes())).collect();
        let all = written(way.0, &all);
        // The last is all in one piece, which HTTP cuts as it likes.
        for size in [1, 3, 7, 4_096, all.len()] {
            let cut: Vec<Bytes> = if size == 1 {
                // One by one where it matters, or it takes long.
                let (begin, rest) = all.split_at(40);
                begin.chunks(1).chain([rest]).map(Bytes::copy_from_slice).collect()
            } else {
                all.chunks(size).map(Bytes::copy_from_slice).collect()
            };
            let (heard, end) = Talk::whole(&edge, way, "Echo", &[], &cut).await.rest().await;
            let lengths: Vec<_> = heard.iter().map(|message| message.len()).collect();
            assert_eq!(end, well(), "{way:?} by {size}: {lengths:?}");
            assert!(heard.iter().eq(messages.iter().map(|text| text.as_bytes())), "{way:?} by {size}: {lengths:?}");
        }
    }
}

#[tokio::test]
async fn each_message_is_compressed_or_not() {
    let edge = edge();
    for way in WAYS {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let (sends, accepts) = way.0.encoding();
            let headers = [(sends, encoding.name()), (accepts, encoding.name())];
            let long = vec![b'a'; 5_000];
            let (_, packed) = compression::pack(Some(encoding), &long).expect("smaller");
            let mut talk = Talk::open(&edge, way, "Echo", &headers).await;
            assert_eq!(talk.header(sends), encoding.name(), "{way:?}");
            for (sent, expected, flags) in [(enveloped(1, &packed), &long[..], 1), (enveloped(0, b"plain"), b"plain", 0)] {
                talk.send_raw(written(way.0, &sent));
                let Heard::Message(heard) = talk.next().await else { panic!("no message") };
                let heard = if talk.flags == 1 { compression::unpack(encoding, &heard, 10_000).expect("valid") } else { heard };
                assert_eq!((&heard[..], talk.flags), (expected, flags), "{way:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_breaks_the_protocol_has_the_code_of_its_kind() {
    let edge = edge();
    let too_long = [&[0][..], &u32::try_from(MAX_REQUEST + 1).expect("short").to_be_bytes()].concat();
    let (_, bomb) = compression::pack(Some(Encoding::Gzip), &vec![0; 20 << 20]).expect("smaller");
    for way in WAYS {
        let (sends, _) = way.0.encoding();
        let cases = [
            (None, enveloped(1, b"x"), Code::Internal),
            (Some("gzip"), enveloped(1, b"x"), Code::InvalidArgument),
            (Some("gzip"), enveloped(1, &bomb), Code::ResourceExhausted),
            (Some("br"), enveloped(1, b"x"), Code::Unimplemented),
            (None, enveloped(2, b"{}"), Code::Internal),
            (None, enveloped(0x80, b""), Code::Internal),
            (None, b"\0\0\0".to_vec(), Code::InvalidArgument),
            (None, b"\0\0\0\0\x09a".to_vec(), Code::InvalidArgument),
            (None, too_long.clone(), Code::ResourceExhausted),
        ];
        for (encoding, bytes, expected) in cases {
            let headers: Vec<_> = encoding.map(|name| (sends, name)).into_iter().collect();
            // After a good one, where it can be.
            let good = enveloped(0, b"good");
            let all = written(way.0, &[&good[..], &bytes].concat());
            let (messages, end) = Talk::whole(&edge, way, "Echo", &headers, &[all]).await.rest().await;
            let good = usize::from(encoding != Some("br"));
            assert_eq!((messages.len(), end.code()), (good, expected), "{way:?} {encoding:?} {bytes:?}");
        }
        if way.0 == Protocol::WebText {
            let end = Talk::whole(&edge, way, "Echo", &[], &["*".into()]).await.rest().await.1;
            assert_eq!(end.code(), Code::InvalidArgument);
        }
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_its_head() {
    let edge = edge();
    for way in WAYS {
        let mut talk = Talk::open(&edge, way, "Echo", &[]).await;
        // The caller goes on waiting: nothing but the head tells.
        talk.send_raw(written(way.0, &[0, 0xff, 0xff, 0xff, 0xff, 0]));
        assert_eq!(talk.next().await.code(), Code::ResourceExhausted, "{way:?}");
    }
}

#[tokio::test]
async fn wrong_headers_are_told_in_the_protocol() {
    let edge = edge();
    for way in WAYS {
        let wrong = match way.0 {
            Protocol::Connect => &[("connect-timeout-ms", "soon"), ("connect-protocol-version", "2")][..],
            _ => &[("grpc-timeout", "soon")],
        };
        for header in wrong {
            let mut talk = Talk::whole(&edge, way, "Echo", &[*header], &pieces(way.0, &["x"])).await;
            assert_eq!((talk.head.status.as_u16(), talk.rest().await.1.code()), (200, Code::InvalidArgument), "{way:?} {header:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_content_type_is_answered_with_those_of_the_kind() {
    let edge = edge();
    for (content_type, says) in [
        ("application/json", "application/connect+json, application/connect+proto"),
        ("application/proto", "application/connect+json, application/connect+proto"),
        ("text/plain", "application/connect+json"),
    ] {
        let mut request = stream_post("Echo");
        request.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
        let answer = edge.send(request).await;
        assert_eq!(answer.status(), 415, "{content_type}");
        let offered = answer.header("accept-post");
        assert!(offered.contains("application/connect+json") && !offered.contains("application/json"), "{offered}");
        assert!(String::from_utf8_lossy(&answer.body).contains(says), "{answer:?}");
    }
    let answer = edge.send(get("/t.Stream/Echo?connect=v1&encoding=json&message=%7B%7D")).await;
    assert_eq!((answer.status(), answer.header("allow")), (405, "POST"));
    // An error of a stream is 200 also where no endpoint is found.
    let answer = edge.send(stream_post("Ecko")).await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, "application/connect+json"));
    assert!(String::from_utf8_lossy(&answer.body).contains("unimplemented"), "{answer:?}");
}

#[tokio::test]
async fn what_is_ready_goes_together_and_large_messages_by_themselves() {
    let edge = edge();
    for way in [(Protocol::Grpc, Version::HTTP_2), (Protocol::Connect, Version::HTTP_11)] {
        let mut talk = Talk::whole(&edge, way, "Repeat", &[], &pieces(way.0, &["1000 16"])).await;
        assert_eq!(talk.rest().await.0.len(), 1_000);
        // 21,000 bytes.
        assert!(talk.frames.len() <= 4, "{way:?} {:?}", talk.frames);
        assert!(talk.frames.iter().all(|size| *size <= 16 << 10), "{way:?} {:?}", talk.frames);
    }
}

#[tokio::test]
async fn calls_and_messages_are_counted() {
    let edge = edge();
    let stats = edge.overview.router.find("/t.Stream/Echo").expect("routed").stats.clone();
    let mut talk = Talk::open(&edge, (Protocol::Grpc, Version::HTTP_2), "Echo", &[]).await;
    for _ in 0..3 {
        talk.send(b"x");
        talk.next().await;
    }
    assert_eq!((stats.in_flight.load(Relaxed), stats.count(Code::Ok)), (1, 0));
    talk.half_close();
    assert_eq!(talk.next().await, well());
    assert_eq!((stats.in_flight.load(Relaxed), stats.count(Code::Ok)), (0, 1));
    assert_eq!((stats.received.load(Relaxed), stats.sent.load(Relaxed)), (3, 3));
    let metrics = String::from_utf8(edge.send(get("/_microhost/metrics")).await.body.to_vec()).expect("text");
    let row = "microhost_stream_messages_total{service=\"t.Stream\",endpoint=\"Echo\",direction=\"received\"} 3";
    assert!(metrics.contains(row), "{metrics}");
}

#[tokio::test]
async fn health_is_watched_in_every_protocol() {
    let edge = edge();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut request = post(version, "", "application/connect+json", &[], enveloped(0, b"{\"service\":\"t.Test\"}"));
        *request.uri_mut() = "http://test/grpc.health.v1.Health/Watch".parse().expect("valid");
        let answer = edge.send(request);
        let drained = async {
            edge.overview.health.enter(Phase::Draining);
        };
        let (answer, ()) = futures::future::join(answer, drained).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("{\"status\":\"NOT_SERVING\"}") && text.ends_with("{}"), "{text}");
    }
}
