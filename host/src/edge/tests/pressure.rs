//! Streams of callers and services that are slow, gone, late or endless.

use futures::{StreamExt as _, stream};

use super::talk::{Heard, Protocol, Talk, WAYS, written};
use super::*;
use crate::rpc::{Event, Payload, StreamReply};

/// What a handler has seen.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Began,
    Message(usize),
    Failed(Code),
    Ended,
    Dropped,
}

/// Tells when it is dropped.
struct Guard(mpsc::UnboundedSender<Seen>);

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody listens any more where a test has ended.
        let _ = self.0.send(Seen::Dropped);
    }
}

struct Watched {
    edge: TestEdge,
    route: Route,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Watched {
    async fn next(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("the handler lives")
    }
}

/// A handler that says nothing and tells what it hears, in a task of its own as a guest does; its
/// events tell when they are dropped.
fn listener(edge: TestEdge) -> Watched {
    let (tell, seen) = mpsc::unbounded_channel();
    let route = edge.stream("Listen", Some(MethodKind::BidiStream), move |mut request| {
        let (tell, guard) = (tell.clone(), Guard(tell.clone()));
        let _ = tell.send(Seen::Began);
        Box::pin(async move {
            tokio::spawn(async move {
                while let Some(message) = request.messages.next().await {
                    let _ = tell.send(message.map_or_else(|status| Seen::Failed(status.code()), |message| Seen::Message(message.size())));
                }
                let _ = tell.send(Seen::Ended);
            });
            let events = stream::once(async move {
                std::future::pending::<()>().await;
                drop(guard);
                Event::End(Ok(HeaderMap::new()))
            });
            Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) })
        })
    });
    Watched { edge, route, seen }
}

/// Waits until no call is counted: in HTTP/2 a call may be dropped just after its connection.
async fn none_under_way(route: &Route) {
    within(async {
        while route.stats.in_flight.load(Relaxed) != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_is_told_to_both_sides_of_its_handler() {
    let mut watched = listener(TestEdge::start());
    let mut calls = 0;
    for way in WAYS {
        // In HTTP/1 there is nothing to give up but the connection.
        for hangs_up in [true, false].into_iter().filter(|hangs_up| *hangs_up || way.1 == Version::HTTP_2) {
            calls += 1;
            let talk = Talk::open(&watched.edge, way, "Listen", &[]).await;
            talk.send(b"abc");
            assert_eq!((watched.next().await, watched.next().await), (Seen::Began, Seen::Message(3)), "{way:?}");
            if hangs_up {
                talk.hang_up();
            } else {
                talk.give_up();
            }
            let mut seen = [watched.next().await, watched.next().await, watched.next().await];
            // The two sides learn of it at the same time.
            seen.sort_by_key(|seen| *seen == Seen::Dropped);
            assert_eq!(seen, [Seen::Failed(Code::Canceled), Seen::Ended, Seen::Dropped], "{way:?}");
        }
    }
    watched.edge.all_closed().await;
    none_under_way(&watched.route).await;
    assert_eq!(watched.route.stats.count(Code::Canceled), calls);
}

#[tokio::test]
async fn a_caller_that_has_said_all_and_goes_away_drops_its_call() {
    let mut watched = listener(TestEdge::start());
    for way in WAYS {
        let mut talk = Talk::open(&watched.edge, way, "Listen", &[]).await;
        talk.half_close();
        assert_eq!((watched.next().await, watched.next().await), (Seen::Began, Seen::Ended), "{way:?}");
        talk.hang_up();
        assert_eq!(watched.next().await, Seen::Dropped, "{way:?}");
    }
    watched.edge.all_closed().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_is_noticed_though_nobody_reads() {
    let edge = TestEdge::with(SHORT, Listen::default());
    let (tell, mut told) = mpsc::unbounded_channel();
    edge.stream("Deaf", Some(MethodKind::BidiStream), move |request| {
        let (tell, guard) = (tell.clone(), Guard(tell.clone()));
        let _ = tell.send(Seen::Began);
        let events = stream::once(async move {
            std::future::pending::<()>().await;
            drop((request, guard));
            Event::End(Ok(HeaderMap::new()))
        });
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) }) })
    });
    for way in WAYS {
        let talk = Talk::open(&edge, way, "Deaf", &[]).await;
        talk.send(b"nobody reads this");
        assert_eq!(within(told.recv()).await, Some(Seen::Began));
        talk.hang_up();
        assert_eq!(within(told.recv()).await, Some(Seen::Dropped), "{way:?}");
    }
    edge.all_closed().await;
}

#[tokio::test]
async fn a_reply_may_end_while_its_caller_still_talks() {
    let edge = TestEdge::start();
    edge.stream("Enough", Some(MethodKind::BidiStream), |mut request| {
        Box::pin(async move {
            let first = request.messages.next().await.transpose()?;
            let events = [Event::Message(first.unwrap_or_default()), Event::End(Err(Status::new(Code::OutOfRange, "enough")))];
            Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(stream::iter(events)) })
        })
    });
    for way in WAYS {
        // More than is taken in of what nobody reads.
        let pieces: Vec<Bytes> = (0..40).map(|_| written(way.0, &enveloped(0, &[7; 50_000]))).collect();
        // A client of HTTP/1.1 that writes may find the connection closed before it reads what came over it:
        // there, the rest is said when the reply has been heard.
        let (first, rest) = pieces.split_at(if way.1 == Version::HTTP_2 { pieces.len() } else { 1 });
        let mut talk = Talk::begin(&edge, way, "Enough", &[], first, true).await;
        assert!(matches!(talk.next().await, Heard::Message(message) if message.len() == 50_000), "{way:?}");
        assert_eq!(talk.next().await.code(), Code::OutOfRange, "{way:?}");
        rest.iter().for_each(|piece| talk.send_raw(piece.clone()));
    }
    edge.all_closed().await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_not_spoken_to() {
    let edge = TestEdge::start();
    let said = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    const SIZE: usize = 50_000;
    let route = edge.stream("Endless", Some(MethodKind::BidiStream), {
        let said = said.clone();
        move |_| {
            let said = said.clone();
            let message = Bytes::from(vec![7; SIZE]);
            let events = stream::repeat_with(move || {
                said.fetch_add(1, Relaxed);
                Event::Message(message.clone().into())
            });
            Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) }) })
        }
    });
    for way in WAYS {
        said.store(0, Relaxed);
        let mut talk = Talk::open(&edge, way, "Endless", &[]).await;
        // A second call on the same lanes shows that they had time for more.
        for _ in 0..20 {
            edge.send(post(Version::HTTP_11, "Large", "application/json", &[], "1000000")).await;
        }
        let before = said.load(Relaxed);
        // What two sockets, a window of HTTP/2 and hyper's own buffers hold.
        assert!(before * SIZE < 16 << 20, "{way:?} {before}");
        for _ in 0..before + 10 {
            assert!(matches!(talk.next().await, Heard::Message(message) if message.len() == SIZE), "{way:?}");
        }
        assert!(said.load(Relaxed) > before, "{way:?}");
    }
    edge.all_closed().await;
    none_under_way(&route).await;
}

#[tokio::test]
async fn a_handler_that_does_not_listen_is_not_spoken_to() {
    let edge = TestEdge::start();
    let (tell, mut told) = mpsc::unbounded_channel();
    edge.stream("Deaf", Some(MethodKind::BidiStream), move |request| {
        let _ = tell.send(request.messages);
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(stream::pending()) }) })
    });
    let head = "POST /t.Stream/Deaf HTTP/1.1\r\nhost: t\r\ncontent-type: application/connect+proto\r\ncontent-length: 500000000\r\n\r\n";
    let mut socket = edge.socket().await;
    socket.write_all(head.as_bytes()).await.expect("written");
    let mut messages = within(told.recv()).await.expect("the call begins");
    let message = enveloped(0, &[7; 50_000]);
    let mut written = 0;
    // Until the kernel takes no more.
    while let Ok(Ok(())) = timeout(Duration::from_millis(300), socket.write_all(&message)).await {
        written += message.len();
        assert!(written < 32 << 20, "{written} bytes were taken in and nobody read them");
    }
    for _ in 0..10 {
        assert_eq!(within(messages.next()).await.expect("a message").expect("valid").size(), 50_000);
    }
}

#[tokio::test]
async fn small_messages_that_nobody_reads_cost_no_connection() {
    const COUNT: usize = 60_000;
    let edge = TestEdge::start();
    let (tell, mut told) = mpsc::unbounded_channel();
    edge.stream("Deaf", Some(MethodKind::BidiStream), move |request| {
        let _ = tell.send(request.messages);
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(stream::pending()) }) })
    });
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(edge.socket().await)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let call = |method: &'static str, count: usize| {
        let mut sender = sender.clone();
        async move {
            // A frame for each message.
            let frames = stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[0; 5])))));
            let request = post(Version::HTTP_2, "", "application/grpc", &[], "").map(|_| http_body_util::StreamBody::new(frames));
            let (mut head, body) = request.into_parts();
            head.uri = format!("http://test/{method}").parse().expect("valid");
            within(sender.send_request(Request::from_parts(head, body))).await.expect("an answer")
        }
    };
    let deaf = call("t.Stream/Deaf", COUNT).await;
    let mut messages = within(told.recv()).await.expect("the call begins");
    // The window is full by the time that others have come and gone.
    for _ in 0..100 {
        assert_eq!(Answer::read(call("t.Test/Echo", 1).await).await.trailer("grpc-status"), "0");
    }
    for _ in 0..COUNT {
        assert_eq!(within(messages.next()).await.expect("a message").expect("valid"), Payload::default());
    }
    assert!(within(messages.next()).await.is_none());
    drop(deaf);
}

#[tokio::test]
async fn a_deadline_ends_a_stream_that_its_handler_would_not() {
    let edge = TestEdge::start();
    let says = |events: Vec<Event>| {
        let events = stream::iter(events).chain(stream::pending());
        Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) })
    };
    let talks =
        edge.stream("Talks", Some(MethodKind::BidiStream), move |_| Box::pin(async move { says(vec![Event::Message("x".into())]) }));
    edge.stream("Silent", Some(MethodKind::BidiStream), |_| Box::pin(std::future::pending()));
    edge.stream("Endless", Some(MethodKind::BidiStream), |_| {
        let events = stream::repeat_with(|| Event::Message(Bytes::from_static(&[7; 50]).into()));
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) }) })
    });
    for way in WAYS {
        for (method, count) in [("Talks", 1), ("Silent", 0)] {
            let (name, value) = way.0.timeout(50);
            let mut talk = Talk::open(&edge, way, method, &[(name, &value)]).await;
            let (messages, end) = talk.rest().await;
            assert_eq!((messages.len(), end.code()), (count, Code::DeadlineExceeded), "{way:?} {method}");
            let (name, value) = way.0.timeout(0);
            let end = Talk::open(&edge, way, method, &[(name, &value)]).await.rest().await.1;
            assert_eq!(end.code(), Code::DeadlineExceeded, "{way:?} {method}");
        }
        let (name, value) = way.0.timeout(50);
        let (messages, end) = Talk::open(&edge, way, "Endless", &[(name, &value)]).await.rest().await;
        assert_eq!((messages.is_empty(), end.code()), (false, Code::DeadlineExceeded), "{way:?}");
    }
    assert_eq!(talks.stats.count(Code::DeadlineExceeded), WAYS.len() as u64);
    edge.all_closed().await;
}

/// A short patience, so that tests see its end.
const SHORT: Patience = Patience {
    tick: Duration::from_millis(10),
    header: Duration::from_millis(50),
    body: Duration::from_millis(50),
    idle: Duration::from_millis(100),
    goodbye: Duration::from_millis(50),
    stall: Duration::from_millis(50),
};

#[tokio::test]
async fn a_quiet_stream_outlives_every_patience() {
    let edge = TestEdge::with(SHORT, Listen::default());
    edge.stream("Echo", Some(MethodKind::BidiStream), |request| {
        let events = request.messages.map(|message| match message {
            Ok(message) => Event::Message(message),
            Err(status) => Event::End(Err(status)),
        });
        let events = events.chain(stream::iter([Event::End(Ok(HeaderMap::new()))]));
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) }) })
    });
    let mut talks = Vec::new();
    for way in WAYS {
        let mut talk = Talk::open(&edge, way, "Echo", &[]).await;
        talk.send(b"before");
        assert_eq!(talk.next().await, Heard::Message("before".into()));
        talks.push(talk);
    }
    // Others that are idle come to their end meanwhile, one after the other.
    for _ in 0..3 {
        let idle =
            raw(&edge, b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").await;
        assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    }
    for talk in &mut talks {
        assert!(talk.is_pending().await);
        talk.send(b"after");
        assert_eq!(talk.next().await, Heard::Message("after".into()));
        talk.half_close();
        assert_eq!(talk.next().await.code(), Code::Ok);
    }
}

#[tokio::test]
async fn a_reader_that_pauses_is_waited_for() {
    let edge = TestEdge::with(SHORT, Listen::default());
    edge.stream("Large", Some(MethodKind::BidiStream), |_| {
        let message = Bytes::from(vec![7; 64 << 10]);
        let events = stream::iter((0..200).map(move |_| Event::Message(message.clone().into())).chain([Event::End(Ok(HeaderMap::new()))]));
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) }) })
    });
    for way in [(Protocol::Grpc, Version::HTTP_2), (Protocol::Connect, Version::HTTP_11)] {
        let mut talk = Talk::open(&edge, way, "Large", &[]).await;
        for _ in 0..3 {
            let request = b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            assert!(raw(&edge, request).await.starts_with("HTTP/1.1 200"));
        }
        let (messages, end) = talk.rest().await;
        assert_eq!((messages.len(), end.code()), (200, Code::Ok), "{way:?}");
    }
}

#[tokio::test]
async fn a_drain_waits_for_streams_and_cuts_them_off_after_its_grace() {
    for grace in [LIMIT, Duration::from_millis(50)] {
        let mut watched = listener(TestEdge::start());
        let mut talks = Vec::new();
        for way in WAYS {
            talks.push(Talk::open(&watched.edge, way, "Listen", &[]).await);
            assert_eq!(watched.next().await, Seen::Began);
        }
        let ended = async {
            // With a long grace they end by themselves.
            if grace == LIMIT {
                talks.drain(..).for_each(Talk::hang_up);
            }
        };
        let (all, ()) = within(futures::future::join(watched.edge.serving.drain(grace), ended)).await;
        assert_eq!(all, grace == LIMIT);
        assert_eq!(within(watched.edge.serving.end(Duration::from_millis(50))).await, if all { 0 } else { WAYS.len() });
        let mut dropped = 0;
        while dropped < WAYS.len() {
            dropped += usize::from(watched.next().await == Seen::Dropped);
        }
        for mut talk in talks {
            assert_eq!(talk.next().await, Heard::Broken);
        }
        watched.edge.all_closed().await;
        none_under_way(&watched.route).await;
    }
}

#[tokio::test]
async fn streams_that_are_dropped_at_any_moment_leave_nothing() {
    const STREAMS: usize = 2_000;
    let edge = TestEdge::start();
    let route = edge.stream("Echo", Some(MethodKind::BidiStream), |request| {
        let events = request.messages.map(|message| match message {
            Ok(message) => Event::Message(message),
            Err(status) => Event::End(Err(status)),
        });
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) }) })
    });
    let one = async |i: usize| {
        let way = WAYS[i % WAYS.len()];
        let first = written(way.0, &enveloped(0, &vec![7; i % 40_000]));
        // Cut anywhere, its head included.
        let cut = first.slice(..i * 31 % (first.len() + 1));
        let mut talk = Talk::begin(&edge, way, "Echo", &[], &[cut], true).await;
        match i % 4 {
            0 => talk.hang_up(),
            1 if way.1 == Version::HTTP_2 => talk.give_up(),
            2 => {
                talk.half_close();
                talk.rest().await;
            }
            _ => drop(talk),
        }
    };
    for batch in 0..STREAMS / 100 {
        within(futures::future::join_all((0..100).map(|i| one(batch * 100 + i)))).await;
    }
    edge.all_closed().await;
    none_under_way(&route).await;
    let ended: u64 = Code::all().map(|code| route.stats.count(code)).sum();
    assert_eq!(ended, STREAMS as u64);
    // The router's and this one; the last call's own goes just after it was counted.
    within(async {
        while Arc::strong_count(&route) > 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
