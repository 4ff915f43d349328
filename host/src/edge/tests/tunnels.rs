//! Calls from one host to another by a NATS server.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use e2e::nats::Server;
use futures::{StreamExt as _, future, stream};
use tokio::runtime::Handle;

use super::*;
use crate::connections::Connections;
use crate::registry::Address;
use crate::remote::{Bounds, Remote};
use crate::rpc::{Caller, Channel, Event, Form, StreamReply};
use crate::schema::Codec;
use crate::tunnel::Tunnels;

/// A host's own ways by a server.
fn member(server: &Server) -> Arc<Tunnels> {
    let client = Connections::new(Handle::current()).nats(&server.url().parse().expect("a URL"));
    Arc::new(Tunnels::new(vec![client], &"default".parse().expect("a name")))
}

/// An edge that others reach by a server, and a host that has no other way to it.
async fn reached(server: &Server) -> (TestEdge, Arc<dyn Channel>) {
    reached_by(server, &member(server)).await
}

/// The same, with the ways that it calls by.
async fn reached_by(server: &Server, tunnels: &Arc<Tunnels>) -> (TestEdge, Arc<dyn Channel>) {
    let mut edge = TestEdge::start();
    edge.serving.also(member(server).listen("callee"));
    let address = Address::Nats(Some(tunnels.subject("callee")));
    let channel = Remote::new(&edge.lanes, Bounds::default(), Some(Arc::clone(tunnels))).channel(&[address]).expect("of use");
    answers(&channel).await;
    (edge, channel)
}

fn request(body: impl Into<Payload>, deadline: Option<Duration>) -> rpc::Request {
    rpc::Request {
        form: Form::Encoded(Codec::Proto),
        body: body.into(),
        headers: HeaderMap::new(),
        deadline: deadline.map(|deadline| Instant::now() + deadline),
        caller: Caller::default(),
        idempotent: false,
        plan: None,
    }
}

/// Calls until there is an answer.
async fn answers(channel: &Arc<dyn Channel>) {
    within(async {
        while let Err(status) = channel.call("/t.Test/Echo", request("abc", Some(LIMIT))).await {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn streams(messages: impl futures::Stream<Item = Payload> + Send + 'static) -> StreamRequest {
    let rpc::Request { form, headers, deadline, caller, idempotent, plan, .. } = request("", None);
    StreamRequest { form, headers, deadline, caller, idempotent, plan, messages: Box::pin(messages.map(Ok)) }
}

#[tokio::test]
async fn many_calls_at_once_have_each_their_own_answer() {
    let Some(server) = Server::plain().await else { return };
    // Its client outlives its connections, to say that they are closed.
    let tunnels = member(&server);
    let (edge, channel) = reached_by(&server, &tunnels).await;
    let calls = (0..100_usize).map(|number| {
        // Short ones and long ones, longer than a message of NATS may be here.
        let body = number.to_string().repeat(1 + number * 300);
        let call = channel.call("/t.Test/Echo", request(body.clone().into_bytes(), None));
        async move { assert_eq!(call.await.expect("answered").body, body.into_bytes().into()) }
    });
    within(future::join_all(calls)).await;
    let reply = within(channel.call("/t.Test/Large", request("3000000", None))).await.expect("answered");
    assert_eq!(reply.body.size(), 3_000_000);
    let status = within(channel.call("/t.Test/Fail", request("not_found", None))).await.expect_err("it fails");
    assert_eq!((status.code(), status.details().len()), (Code::NotFound, 1));
    drop(channel);
    edge.all_closed().await;
}

#[tokio::test]
async fn a_stream_goes_at_the_pace_of_who_reads_it_and_arrives_whole() {
    const COUNT: usize = 100_000;
    let Some(server) = Server::plain().await else { return };
    let (edge, channel) = reached(&server).await;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    edge.stream("Count", Some(MethodKind::ServerStream), move |_| {
        let counted = counted.clone();
        let messages = stream::iter(0..COUNT).map(move |number| {
            counted.fetch_add(1, Relaxed);
            Event::Message(format!("{number:064}").into_bytes().into())
        });
        let events = Box::pin(messages.chain(stream::iter([Event::End(Ok(HeaderMap::new()))])));
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events }) })
    });
    let mut events = within(channel.open("/t.Stream/Count", streams(stream::once(async { "go".into() })))).await.expect("it begins").events;
    let mut came = 0;
    loop {
        match within(events.next()).await {
            Some(Event::Message(message)) => assert_eq!(message, format!("{came:064}").into_bytes().into()),
            Some(Event::End(result)) => break assert!(result.is_ok(), "{result:?}"),
            None => panic!("it ends with its end"),
        }
        came += 1;
        if came % 10_000 == 0 {
            // Others go on meanwhile, and what was not read is bounded: by the windows, and not by the stream.
            for _ in 0..20 {
                within(channel.call("/t.Test/Echo", request("abc", None))).await.expect("answered");
            }
            let ahead = made.load(Relaxed) - came;
            assert!(ahead <= 30_000, "{ahead} messages are ahead");
        }
    }
    assert_eq!(came, COUNT);
}

#[tokio::test]
async fn both_sides_of_a_stream_talk_in_turn() {
    let Some(server) = Server::plain().await else { return };
    let (edge, channel) = reached(&server).await;
    edge.stream("Echo", Some(MethodKind::BidiStream), |request| {
        let events = request.messages.map(|message| message.map_or_else(|status| Event::End(Err(status)), Event::Message));
        let events = Box::pin(events.chain(stream::iter([Event::End(Ok(HeaderMap::new()))])));
        Box::pin(async { Ok(StreamReply { headers: HeaderMap::new(), events }) })
    });
    let (say, heard) = futures::channel::mpsc::unbounded();
    let mut events = within(channel.open("/t.Stream/Echo", streams(heard))).await.expect("it begins").events;
    for text in ["one", "", "three"] {
        say.unbounded_send(text.into()).expect("the call reads");
        assert!(matches!(within(events.next()).await, Some(Event::Message(message)) if message == text.into()));
    }
}

#[tokio::test]
async fn a_dropped_call_and_a_late_one_are_dropped_on_the_other_side() {
    let Some(server) = Server::plain().await else { return };
    let (mut edge, channel) = reached(&server).await;
    let call = tokio::spawn(channel.call("/t.Test/Slow", request("", None)));
    assert_eq!(edge.moment().await, Moment::Began);
    call.abort();
    assert_eq!(edge.moment().await, Moment::Dropped);
    let status = within(channel.call("/t.Test/Slow", request("", Some(Duration::from_secs(1))))).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Began, Moment::Dropped));
}

#[tokio::test]
async fn a_server_that_is_killed_fails_the_calls_under_way_and_no_later_ones_when_it_is_back() {
    let Some(mut server) = Server::plain().await else { return };
    let (mut edge, channel) = reached(&server).await;
    let calls: Vec<_> = (0..10).map(|_| tokio::spawn(channel.call("/t.Test/Slow", request("", Some(LIMIT))))).collect();
    for _ in 0..10 {
        assert_eq!(edge.moment().await, Moment::Began);
    }
    server.kill().await;
    for call in calls {
        let status = within(call).await.expect("no panic").expect_err("the connection is lost");
        assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, false), "{status:?}");
        assert_eq!(edge.moment().await, Moment::Dropped);
    }
    let status = within(channel.call("/t.Test/Echo", request("abc", None))).await.expect_err("there is no server");
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    server.restart().await;
    answers(&channel).await;
}

#[tokio::test]
async fn a_host_that_stops_lets_calls_by_nats_end_and_takes_no_more() {
    let Some(server) = Server::plain().await else { return };
    let (mut edge, channel) = reached(&server).await;
    let call = tokio::spawn(channel.call("/t.Test/Waits", request("", None)));
    assert_eq!(edge.moment().await, Moment::Began);
    edge.go.add_permits(1);
    let (all, reply) = within(future::join(edge.serving.drain(LIMIT), call)).await;
    assert_eq!((all, reply.expect("no panic").expect("answered").body), (true, "done".into()));
    let status = within(channel.call("/t.Test/Echo", request("abc", None))).await.expect_err("it has stopped");
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
}

#[tokio::test]
async fn who_comes_by_nats_is_nowhere_and_not_of_this_machine() {
    let Some(server) = Server::plain().await else { return };
    let (edge, channel) = reached(&server).await;
    let (tell, told) = std::sync::mpsc::channel();
    edge.stream("Who", Some(MethodKind::BidiStream), move |request| {
        tell.send(request.caller.peer).expect("the test waits");
        Box::pin(future::ready(Err(Status::new(Code::Aborted, "enough"))))
    });
    within(channel.open("/t.Stream/Who", streams(stream::empty()))).await.err().expect("it fails");
    assert_eq!(told.recv().expect("told"), None);
    let tunnels = member(&server);
    let tunnel = within(tunnels.open(&tunnels.subject("callee"))).await.expect("it listens");
    let answer = within(send_over(tunnel, get("/_microhost/metrics"))).await;
    assert_eq!(answer.status(), 403, "{answer:?}");
}
