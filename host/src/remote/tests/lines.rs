//! How many connections there are, and when.

use tokio::sync::Semaphore;

use super::*;

/// A host that takes one call at once on a connection, and answers when it is let.
struct Narrow {
    address: Address,
    accepted: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
}

async fn narrow(streams: u32) -> Narrow {
    let (listener, address) = listener().await;
    let narrow = Narrow { address, accepted: Arc::default(), under_way: Arc::default(), go: Arc::new(Semaphore::new(0)) };
    let (accepted, under_way, go) = (narrow.accepted.clone(), narrow.under_way.clone(), narrow.go.clone());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            accepted.fetch_add(1, SeqCst);
            let (under_way, go) = (under_way.clone(), go.clone());
            tokio::spawn(async move {
                let mut connection =
                    h2::server::Builder::new().max_concurrent_streams(streams).handshake::<_, Bytes>(socket).await.expect("HTTP/2");
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let (under_way, go) = (under_way.clone(), go.clone());
                    tokio::spawn(async move {
                        under_way.fetch_add(1, SeqCst);
                        go.acquire().await.expect("never closed").forget();
                        let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
                        let mut send = respond.send_response(head, false).expect("open");
                        send.send_data(enveloped(b"done"), false).expect("open");
                        send.send_trailers(HeaderMap::from_iter([(crate::rpc::grpc::STATUS, HeaderValue::from_static("0"))]))
                            .expect("open");
                    });
                }
            });
        }
    });
    narrow
}

async fn until(what: impl Fn() -> bool) {
    within(async {
        while !what() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn calls_at_once_share_one_connection() {
    let host = narrow(1000).await;
    let calls = Calls::start(Patience::default());
    let channel = calls.to(&host.address);
    let all: Vec<_> = (0..50).map(|_| tokio::spawn(channel.call("/t.Test/Wait", request("a", None)))).collect();
    until(|| host.under_way.load(SeqCst) == 50).await;
    assert_eq!(host.accepted.load(SeqCst), 1);
    host.go.add_permits(50);
    for call in all {
        assert_eq!(within(call).await.expect("no panic").expect("answered").body, "done".into());
    }
}

#[tokio::test]
async fn a_full_connection_is_joined_by_others_up_to_the_bound_and_the_rest_waits() {
    let host = narrow(1).await;
    let calls = Calls::start(Patience::default());
    let channel = calls.to(&host.address);
    let all: Vec<_> = (0..10).map(|_| tokio::spawn(channel.call("/t.Test/Wait", request("a", None)))).collect();
    until(|| host.accepted.load(SeqCst) == 4 && host.under_way.load(SeqCst) == 4).await;
    host.go.add_permits(10);
    for call in all {
        assert_eq!(within(call).await.expect("no panic").expect("answered").body, "done".into());
    }
    assert_eq!(host.accepted.load(SeqCst), 4);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_and_the_next_call_opens_another() {
    let (listener, address) = listener().await;
    let calls = Calls::start(QUICK);
    let channel = calls.to(&address);
    for _ in 0..2 {
        let server = async { echo(listener.accept().await.expect("a connection").0).await };
        // The server's connection ends when the idle one is closed.
        let (reply, ()) = within(async { tokio::join!(call(&channel, "abc"), server) }).await;
        assert_eq!(reply.expect("answered").body, "abc".into());
    }
}

#[tokio::test]
async fn connections_close_when_nobody_has_the_channel() {
    let (listener, address) = listener().await;
    let calls = Calls::start(Patience::default());
    let channel = calls.to(&address);
    assert!(Arc::ptr_eq(&channel, &calls.to(&address)));
    let server = async { echo(listener.accept().await.expect("a connection").0).await };
    let client = async {
        call(&channel, "abc").await.expect("answered");
        drop(channel);
    };
    within(async { tokio::join!(client, server) }).await;
}
