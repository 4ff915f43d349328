//! Against a real server: bytes that arrive as they were sent, at the pace of who reads them, and
//! connections that end when either side or the server does.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use e2e::nats::Server;
use e2e::soon;
use futures::StreamExt as _;
use futures::future::{Either, select};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::frame::{self, Frame, Kind, cost};
use super::*;
use crate::connections::Connections;

/// A host's own ways by a server.
fn member(url: &str) -> Arc<Tunnels> {
    of_cluster(url, "default")
}

fn of_cluster(url: &str, cluster: &str) -> Arc<Tunnels> {
    let server = Connections::new(Handle::current()).nats(&url.parse().expect("a URL"));
    Arc::new(Tunnels::new(vec![server], &cluster.parse().expect("a name")))
}

/// A host that listens, and that its server knows of.
async fn listening(url: &str) -> Listener {
    let mut listener = member(url).listen("callee");
    connect(&mut listener, &member(url)).await;
    listener
}

/// Both ends of a connection, of hosts with clients of their own.
async fn pair(url: &str) -> (Tunnel, Tunnel) {
    connect(&mut member(url).listen("callee"), &member(url)).await
}

/// Connects as soon as the server knows of the listener.
async fn connect(listener: &mut Listener, caller: &Tunnels) -> (Tunnel, Tunnel) {
    let subject = caller.subject("callee");
    let connecting = async {
        loop {
            match select(pin!(caller.open(&subject)), pin!(listener.next())).await {
                Either::Left((Ok(opened), accepting)) => return (opened, accepting.await),
                Either::Left((Err(_), _)) => tokio::task::yield_now().await,
                Either::Right((accepted, opening)) => return (opening.await.expect("it was taken"), accepted),
            }
        }
    };
    let (opened, accepted) = soon("a connection", connecting).await;
    (opened, accepted.expect("it listens"))
}

/// Bytes that tell where they are from.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

async fn ended(tunnel: &mut Tunnel) -> io::Error {
    let mut bytes = Vec::new();
    soon("the end of a connection", tunnel.read_to_end(&mut bytes)).await.expect_err("it was lost")
}

#[tokio::test]
async fn bytes_arrive_both_ways_as_they_were_sent() {
    let Some(server) = Server::plain().await else { return };
    let (mut one, mut other) = pair(&server.url()).await;
    let sent = pattern(3 << 20);
    let echo = async {
        tokio::io::copy_bidirectional(&mut other, &mut tokio::io::join(tokio::io::empty(), tokio::io::sink())).await.expect("read");
    };
    let write = async {
        for length in [1, 7, 100, 40_000, 3 << 20] {
            one.write_all(&sent[..length]).await.expect("written");
            one.flush().await.expect("sent");
        }
        one.shutdown().await.expect("shut down");
    };
    soon("all of it", futures::future::join(echo, write)).await;

    let (mut one, mut other) = pair(&server.url()).await;
    let write = async {
        other.write_all(&sent).await.expect("written");
        other.shutdown().await.expect("shut down");
    };
    let mut came = Vec::new();
    let (read, ()) = soon("all of it", futures::future::join(one.read_to_end(&mut came), write)).await;
    assert_eq!((read.expect("read"), came == sent), (sent.len(), true));
    // The other way is still open.
    one.write_all(b"thanks").await.expect("written");
    one.shutdown().await.expect("shut down");
    came.clear();
    soon("the answer", other.read_to_end(&mut came)).await.expect("read");
    assert_eq!(came, b"thanks");
}

#[tokio::test]
async fn whoever_does_not_read_stops_whoever_writes() {
    let Some(server) = Server::plain().await else { return };
    let (mut one, mut other) = pair(&server.url()).await;
    let piece = [7; 1000];
    let mut written = 0;
    let full = async {
        loop {
            one.write_all(&piece).await.expect("written");
            one.flush().await.expect("sent");
            written += piece.len();
        }
    };
    timeout(Duration::from_secs(1), full).await.expect_err("it stops");
    let most = WINDOW as usize + 2 * piece.len();
    assert!((1..most).contains(&written), "{written}");
    // It goes on when all is read.
    let rest = async {
        one.flush().await.expect("sent");
        one.shutdown().await.expect("shut down");
    };
    let mut came = Vec::new();
    soon("the rest", futures::future::join(rest, other.read_to_end(&mut came))).await.1.expect("read");
    assert!(came.len() >= written && came.iter().all(|byte| *byte == 7), "{}", came.len());
}

#[tokio::test]
async fn where_nobody_listens_that_is_told_at_once() {
    let Some(server) = Server::plain().await else { return };
    let caller = member(&server.url());
    let error = soon("an answer", caller.open(&caller.subject("nobody"))).await.err().expect("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    drop(listening(&server.url()).await);
    // What is on its way when the listener goes is heard by nobody and answered by nobody.
    let subject = caller.subject("callee");
    let refused = async { while !matches!(timeout(Duration::from_secs(1), caller.open(&subject)).await, Ok(Err(_))) {} };
    soon("one that listens no more to be refused", refused).await;
    let error = caller.open(&of_cluster(&server.url(), "other").subject("callee")).await.err().expect("of another cluster");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn an_end_that_is_dropped_ends_the_other() {
    let Some(server) = Server::plain().await else { return };
    // Its client stays: one that ends too may take what is not sent along.
    let mut listener = listening(&server.url()).await;
    let (mut one, other) = connect(&mut listener, &member(&server.url())).await;
    drop(other);
    let mut came = Vec::new();
    soon("the end", one.read_to_end(&mut came)).await.expect("closed, and not lost");
    let write = async {
        one.write_all(b"abc").await?;
        one.flush().await
    };
    soon("a failure", write).await.expect_err("nobody reads");
}

#[tokio::test]
async fn a_server_that_is_killed_ends_its_connections_and_new_ones_come_when_it_is_back() {
    let Some(mut server) = Server::plain().await else { return };
    let caller = member(&server.url());
    let mut listener = member(&server.url()).listen("callee");
    let (mut one, mut other) = connect(&mut listener, &caller).await;
    server.kill().await;
    for end in [&mut one, &mut other] {
        let error = ended(end).await;
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
    let error = soon("an answer", caller.open(&caller.subject("callee"))).await.err().expect("there is no server");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    server.restart().await;
    connect(&mut listener, &caller).await;
}

#[tokio::test]
async fn no_more_connections_are_taken_than_may_be() {
    let Some(server) = Server::plain().await else { return };
    let mut listener = listening(&server.url()).await;
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Some(tunnel) = listener.next().await {
            taken.push(tunnel);
        }
    });
    let (first, second) = (member(&server.url()), member(&server.url()));
    let subject = first.subject("callee");
    let mut open = Vec::new();
    for _ in 0..MAX_OPENED {
        open.push(soon("a connection", first.open(&subject)).await.expect("within"));
    }
    let error = soon("an answer", first.open(&subject)).await.err().expect("no more are made");
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded, "{error}");
    let error = soon("an answer", second.open(&subject)).await.err().expect("no more are taken");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    taking.abort();
}

/// Somebody who keeps to nothing.
struct Stranger {
    client: Client,
    own: String,
    heard: async_nats::Subscriber,
}

impl Stranger {
    async fn new(url: &str) -> Stranger {
        let client = async_nats::connect(url).await.expect("a server");
        let own = "microhost.default.line.stranger".to_owned();
        let heard = client.subscribe(own.clone()).await.expect("subscribed");
        Stranger { client, own, heard }
    }

    async fn say(&self, to: &str, message: Bytes) {
        self.client.publish_with_reply(to.to_owned(), self.own.clone(), message).await.expect("sent");
    }

    async fn hear(&mut self) -> (Option<String>, Frame) {
        let message = soon("an answer", self.heard.next()).await.expect("subscribed");
        (message.reply.map(|reply| reply.to_string()), Frame::read(message.payload).expect("a message"))
    }
}

#[tokio::test]
async fn who_does_not_keep_to_the_rules_ends_his_own_connection_and_no_other() {
    let Some(server) = Server::plain().await else { return };
    let mut listener = listening(&server.url()).await;
    let callee = member(&server.url()).subject("callee").to_string();
    let long = Bytes::from(vec![0; WINDOW as usize]);
    let open = |window: u32| frame::write(Kind::Open, 0, &window.to_be_bytes());
    let data = |number, body: &[u8]| frame::write(Kind::Data, number, body);
    for (rude, told) in [
        (data(2, b"abc"), "lost"),
        (data(1, &long), "room"),
        (frame::write(Kind::Taken, 1, &cost(1).to_be_bytes()), "not sent"),
        (open(WINDOW), "lost"),
        (frame::write(Kind::Accept, 1, b""), "anew"),
        (Bytes::from_static(b"{}"), "no message"),
    ] {
        let mut stranger = Stranger::new(&server.url()).await;
        stranger.say(&callee, open(WINDOW)).await;
        let (mut tunnel, (line, _)) = soon("a connection", futures::future::join(listener.next(), stranger.hear())).await;
        stranger.say(&line.expect("a line"), rude).await;
        let error = ended(tunnel.as_mut().expect("it listens")).await;
        assert!(error.to_string().contains(told), "{error}");
    }
    // What begins no connection is passed over, and what has no room is refused.
    let mut stranger = Stranger::new(&server.url()).await;
    stranger.client.publish_with_reply(callee.clone(), "$JS.API.INFO", open(WINDOW)).await.expect("sent");
    stranger.client.publish(callee.clone(), open(WINDOW)).await.expect("sent");
    stranger.say(&callee, open(1)).await;
    stranger.say(&callee, Bytes::from_static(b"\x01")).await;
    let heard = soon("an answer", async {
        tokio::select! {
            heard = async { (stranger.hear().await, stranger.hear().await) } => heard,
            _ = listener.next() => panic!("no connection"),
        }
    })
    .await;
    assert_eq!([heard.0.1.kind, heard.1.1.kind], [Kind::Refuse; 2]);
    let caller = member(&server.url());
    let (mut one, mut other) = connect(&mut listener, &caller).await;
    one.write_all(b"abc").await.expect("written");
    one.flush().await.expect("sent");
    let mut came = [0; 3];
    soon("bytes", other.read_exact(&mut came)).await.expect("read");
    assert_eq!(&came, b"abc");
}
