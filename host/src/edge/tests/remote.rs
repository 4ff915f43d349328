//! Calls from one host to another: the edge, as other hosts call it.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use futures::{StreamExt as _, future, stream};

use super::*;
use crate::registry::Address;
use crate::remote::{Bounds, Remote};
use crate::rpc::{Caller, Channel, Event, Form, StreamReply};
use crate::schema::Codec;

/// A host that calls an edge, on the edge's own lanes.
fn channel(edge: &TestEdge) -> Arc<dyn Channel> {
    let address = edge.address();
    let bounds = Bounds { message: 1 << 20, ..Bounds::default() };
    Remote::new(&edge.lanes, bounds, None)
        .channel(&[Address::Tcp { host: address.ip().to_string(), port: address.port(), tls: false }])
        .expect("of use")
}

fn request(body: impl Into<Payload>, headers: &[(&'static str, &'static str)]) -> rpc::Request {
    rpc::Request {
        form: Form::Encoded(Codec::Proto),
        body: body.into(),
        headers: headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect(),
        deadline: None,
        caller: Caller { peer: None, service: Some("orders".into()), depth: 3 },
        idempotent: false,
        plan: None,
    }
}

fn streams(messages: impl futures::Stream<Item = &'static str> + Send + 'static) -> StreamRequest {
    let rpc::Request { form, headers, deadline, caller, idempotent, plan, .. } = request("", &[]);
    let messages = Box::pin(messages.map(|message| Ok(Payload::from(message))));
    StreamRequest { form, headers, deadline, caller, idempotent, plan, messages }
}

fn echo(request: StreamRequest) -> OpenFuture {
    let events = request.messages.map(|message| message.map_or_else(|status| Event::End(Err(status)), Event::Message));
    let events = Box::pin(events.chain(stream::iter([Event::End(Ok(HeaderMap::new()))])));
    Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events }) })
}

#[tokio::test]
async fn a_call_comes_back_with_its_metadata() {
    let edge = TestEdge::start();
    let channel = channel(&edge);
    for codec in [Codec::Proto, Codec::Json] {
        let headers = [("lead-a", "1"), ("trail-b-bin", "AQI"), ("grpc-x", "not ours to set"), ("connection", "close")];
        let request = rpc::Request { form: Form::Encoded(codec), ..request("abc", &headers) };
        let reply = within(channel.call("/t.Test/Echo", request)).await.expect("answered");
        assert_eq!(reply.body, "abc".into());
        let (lead, trail) = (metadata(&reply.headers).collect::<Vec<_>>(), metadata(&reply.trailers).collect::<Vec<_>>());
        assert_eq!((lead.len(), trail.len()), (1, 1), "{lead:?} {trail:?}");
        assert_eq!(
            (&reply.headers["lead-a"], &reply.trailers["trail-b-bin"]),
            (&"1".parse().expect("text"), &"AQI".parse().expect("text"))
        );
    }
    let request = rpc::Request { form: Form::Encoded(Codec::Cbor), ..request("abc", &[]) };
    let status = within(channel.call("/t.Test/Echo", request)).await.expect_err("no such codec");
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("proto or json"), "{status:?}");
}

#[tokio::test]
async fn a_failure_comes_back_whole_and_its_cause_stays() {
    let edge = TestEdge::start();
    let channel = channel(&edge);
    for code in Code::all().filter(|code| *code != Code::Ok) {
        let status = within(channel.call("/t.Test/Fail", request(code.name(), &[]))).await.expect_err("it fails");
        assert_eq!((status.code(), status.message(), status.is_unseen()), (code, "no \u{fc}ber-user", false));
        assert_eq!((&*status.details()[0].type_name, &status.details()[0].value[..]), ("t.Why", &[8, 1][..]));
        assert_eq!(status.metadata()["x-meta"], "m");
        assert!(status.cause().is_none());
    }
}

#[tokio::test]
async fn what_no_handler_saw_is_told_as_that() {
    let edge = TestEdge::start();
    edge.stream("Full", Some(MethodKind::BidiStream), |_| {
        Box::pin(future::ready(Err(Status::new(Code::ResourceExhausted, "full").unseen())))
    });
    let channel = channel(&edge);
    let status = within(channel.open("/t.Stream/Full", streams(stream::empty()))).await.err().expect("it fails");
    assert_eq!((status.code(), status.is_unseen()), (Code::ResourceExhausted, true));
    let status = within(channel.call("/t.Test/Missing", request("", &[]))).await.expect_err("no such method");
    assert_eq!((status.code(), status.is_unseen()), (Code::Unimplemented, true));
}

#[tokio::test]
async fn a_call_says_how_deep_it_is_and_nobody_says_whose() {
    let edge = TestEdge::start();
    let callers = Arc::new(Mutex::new(Vec::new()));
    let seen = callers.clone();
    edge.stream("Who", Some(MethodKind::BidiStream), move |request| {
        let names: Vec<String> = metadata(&request.headers).map(|(name, _)| name.to_string()).collect();
        seen.lock().expect("no holder panics").push((request.caller.clone(), names));
        echo(request)
    });
    within(channel(&edge).open("/t.Stream/Who", streams(stream::empty()))).await.expect("it begins");
    let address = format!("http://{}/t.Stream/Who", edge.address());
    for depth in ["4294967295", "deep", "-1"] {
        let forged = Request::post(&address).version(Version::HTTP_2).header("content-type", "application/grpc+proto");
        let forged = forged.header("microhost-depth", depth).header("microhost-service", "orders").body(Bytes::new()).expect("valid");
        edge.send(forged).await;
    }
    let callers = std::mem::take(&mut *callers.lock().expect("no holder panics"));
    let depths: Vec<u32> = callers.iter().map(|(caller, _)| caller.depth).collect();
    assert_eq!(depths, [3, 32, 32, 32]);
    assert!(callers.iter().all(|(caller, _)| caller.service.is_none() && caller.peer.is_some()), "{callers:?}");
    assert!(callers.iter().all(|(_, names)| names.is_empty()), "{callers:?}");
}

#[tokio::test]
async fn a_deadline_ends_the_call_on_both_sides() {
    let mut edge = TestEdge::start();
    let deadline = Instant::now() + Duration::from_secs(1);
    let request = rpc::Request { deadline: Some(deadline), ..request("", &[]) };
    let status = within(channel(&edge).call("/t.Test/Slow", request)).await.expect_err("too late");
    assert_eq!((status.code(), status.is_unseen()), (Code::DeadlineExceeded, false));
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Began, Moment::Dropped));
}

#[tokio::test]
async fn a_dropped_call_is_dropped_on_the_other_side() {
    let mut edge = TestEdge::start();
    let channel = channel(&edge);
    let call = tokio::spawn(channel.call("/t.Test/Slow", request("", &[])));
    assert_eq!(edge.moment().await, Moment::Began);
    call.abort();
    assert_eq!(edge.moment().await, Moment::Dropped);
}

#[tokio::test]
async fn a_message_over_the_bound_goes_neither_way() {
    let edge = TestEdge::start();
    let channel = channel(&edge);
    let reply = within(channel.call("/t.Test/Large", request("1048576", &[]))).await.expect("within");
    assert_eq!(reply.body.size(), 1 << 20);
    let status = within(channel.call("/t.Test/Large", request("1048577", &[]))).await.expect_err("over");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = within(channel.call("/t.Test/Echo", request(vec![b'x'; (1 << 20) + 1], &[]))).await.expect_err("over");
    assert_eq!(status.code(), Code::ResourceExhausted);
    // The callee's own bound is lower.
    let status = within(channel.call("/t.Test/Echo", request(vec![b'x'; MAX_REQUEST + 1], &[]))).await.expect_err("over");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn both_sides_of_a_stream_talk_in_turn_and_one_by_one() {
    let edge = TestEdge::start();
    edge.stream("Echo", Some(MethodKind::BidiStream), echo);
    let (say, heard) = futures::channel::mpsc::unbounded();
    let mut events = within(channel(&edge).open("/t.Stream/Echo", streams(heard))).await.expect("it begins").events;
    for text in ["one", "", "three"] {
        say.unbounded_send(text).expect("the call reads");
        assert!(matches!(within(events.next()).await, Some(Event::Message(message)) if message == text.into()));
    }
    // Several at once come one by one, too.
    ["a", "b", "c"].into_iter().for_each(|text| say.unbounded_send(text).expect("the call reads"));
    drop(say);
    let rest: Vec<Event> = within(events.collect()).await;
    assert!(matches!(&rest[..], [Event::Message(_), Event::Message(_), Event::Message(_), Event::End(Ok(_))]), "{rest:?}");
}

#[tokio::test]
async fn the_callers_own_failure_cancels_the_call_and_is_told() {
    let edge = TestEdge::start();
    edge.stream("Echo", Some(MethodKind::BidiStream), echo);
    let mut request = streams(stream::empty());
    let messages = [Ok("a".into()), Err(Status::new(Code::DataLoss, "lost"))];
    request.messages = Box::pin(stream::iter(messages).then(|message| async {
        // After the reply has begun.
        tokio::task::yield_now().await;
        message
    }));
    let result = within(channel(&edge).open("/t.Stream/Echo", request)).await;
    let status = match result {
        Err(status) => status,
        Ok(reply) => match within(reply.events.collect::<Vec<_>>()).await.pop() {
            Some(Event::End(Err(status))) => status,
            other => panic!("no failure: {other:?}"),
        },
    };
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "lost"));
}

/// A message of 64 KiB.
const LONG: &str = match std::str::from_utf8(&[b'x'; 64 << 10]) {
    Ok(text) => text,
    Err(_) => "",
};

#[tokio::test]
async fn a_callee_that_does_not_read_stops_its_caller_and_the_other_way_round() {
    let edge = TestEdge::start();
    let asked = Arc::new(AtomicUsize::new(0));
    let (seen, sent) = (asked.clone(), Arc::new(AtomicUsize::new(0)));
    edge.stream("Flood", Some(MethodKind::BidiStream), move |request| {
        let seen = seen.clone();
        let events = stream::repeat_with(move || {
            seen.fetch_add(1, Relaxed);
            Event::Message(LONG.into())
        });
        // The request is held and not read.
        let events = Box::pin(events.map(move |event| {
            let _held = &request.messages;
            event
        }));
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events }) })
    });
    let counted = sent.clone();
    let messages = stream::repeat_with(move || {
        counted.fetch_add(1, Relaxed);
        LONG
    });
    let channel = channel(&edge);
    let reply = within(channel.open("/t.Stream/Flood", streams(messages))).await.expect("it begins");
    let both = || (asked.load(Relaxed), sent.load(Relaxed));
    // Both stand still where nobody reads, while other calls go on over the same connection.
    within(async {
        let mut last = (0, 0);
        while both() == (0, 0) || both() != last {
            last = both();
            for _ in 0..50 {
                channel.call("/t.Test/Echo", request("abc", &[])).await.expect("answered");
            }
        }
    })
    .await;
    let (asked, sent) = both();
    assert!((1..64).contains(&asked) && (1..64).contains(&sent), "{asked} {sent}");
    drop(reply);
}

#[tokio::test]
async fn dropped_events_end_the_call_on_the_other_side() {
    let edge = TestEdge::start();
    let route = edge.stream("Echo", Some(MethodKind::BidiStream), echo);
    let reply = within(channel(&edge).open("/t.Stream/Echo", streams(stream::pending()))).await.expect("it begins");
    assert_eq!(route.stats.in_flight.load(Relaxed), 1);
    drop(reply);
    within(async {
        while route.stats.in_flight.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_calls_dropped_at_any_moment_leave_nothing() {
    let edge = TestEdge::start();
    let route = edge.stream("Echo", Some(MethodKind::BidiStream), echo);
    let channel = channel(&edge);
    for round in 0..100_u64 {
        let calls = (0..100_u64).map(|number| {
            // Spread over the time that a call takes, from none at all.
            let moment = Duration::from_micros((round * 37 + number * 61) % 4000);
            let channel = channel.clone();
            async move {
                if number % 2 == 0 {
                    let call = channel.call("/t.Test/Echo", request("abc", &[]));
                    let result = timeout(moment, call).await;
                    assert!(result.as_ref().is_ok_and(Result::is_ok) || result.is_err(), "{result:?}");
                } else {
                    let talk = async {
                        let open = channel.open("/t.Stream/Echo", streams(stream::iter(["a", "b"]).chain(stream::pending())));
                        let mut events = open.await.expect("it begins").events;
                        while let Some(event) = events.next().await {
                            assert!(matches!(event, Event::Message(_)), "{event:?}");
                        }
                    };
                    // It never ends by itself.
                    timeout(moment, talk).await.expect_err("it goes on");
                }
            }
        });
        within(future::join_all(calls)).await;
    }
    let echo = edge.overview.router.find("/t.Test/Echo").expect("routed");
    within(async {
        while route.stats.in_flight.load(Relaxed) + echo.stats.in_flight.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(within(channel.call("/t.Test/Echo", request("abc", &[]))).await.expect("answered").body, "abc".into());
    drop(channel);
    edge.all_closed().await;
}
