//! Connections that fail at every stage, and what of a call is known then.

use super::*;

/// Frames of HTTP/2 (RFC 9113, section 6).
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const REFUSED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
const CANCELED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];

fn go_away(last: u8) -> Vec<u8> {
    vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0]
}

/// Types of frames.
const HEADERS: u8 = 1;
const PING: u8 = 6;

/// The head of the answer to a ping.
const PONG: [u8; 9] = [0, 0, 8, PING, 1, 0, 0, 0, 0];

/// Reads frames up to a request's head, and answers a ping before it.
async fn read_request(socket: &mut TcpStream) {
    socket.write_all(SETTINGS).await.expect("written");
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await.expect("a preface");
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.expect("a frame");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).await.expect("a whole frame");
        match head[3] {
            HEADERS => return,
            PING => socket.write_all(&[&PONG, &payload[..]].concat()).await.expect("written"),
            _ => {}
        }
    }
}

/// What a call fails with whose host answers it with these bytes and then does nothing or closes.
async fn answered(bytes: Vec<u8>, close: bool) -> Status {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        read_request(&mut socket).await;
        socket.write_all(&bytes).await.expect("written");
        if !close {
            std::future::pending::<()>().await;
        }
    });
    let calls = Calls::start(QUICK);
    let status = call(&calls.to(&address), "a").await.expect_err("it fails");
    server.abort();
    status
}

#[tokio::test]
async fn a_host_that_is_not_there_has_not_seen_the_call() {
    let (listener, address) = listener().await;
    drop(listener);
    let calls = Calls::start(QUICK);
    let channel = calls.to(&address);
    for _ in 0..3 {
        let status = call(&channel, "a").await.expect_err("nobody listens");
        assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    }
}

#[tokio::test]
async fn a_name_without_address_and_a_missing_socket_have_not_seen_the_call() {
    let calls = Calls::start(QUICK);
    for address in ["http://name.invalid:1", "unix:/nonexistent/microhost.sock"] {
        let address = address.parse().expect("an address");
        let status = call(&calls.to(&address), "a").await.expect_err("nobody is there");
        assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    }
}

#[tokio::test]
async fn a_host_that_lets_a_connection_hang_is_given_up_within_the_bound() {
    let (_listener, address) = listener().await;
    let Address::Tcp { host, port, .. } = address else { unreachable!("a port") };
    let lanes = Lanes::start(NonZeroUsize::MIN).expect("a lane starts");
    let remote = Remote::with(&lanes, Bounds { connect: Duration::from_millis(100), ..Bounds::default() }, QUICK, Trust::default(), None);
    // It accepts, and never says a word of TLS.
    let channel: Arc<dyn Channel> = remote.host(&Address::Tcp { host, port, tls: true });
    let status = call(&channel, "a").await.expect_err("no TLS");
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    lanes.stop(LIMIT);
}

#[tokio::test]
async fn a_deadline_ends_the_wait_for_a_connection_and_the_call_is_unseen() {
    let (_listener, address) = listener().await;
    let Address::Tcp { host, port, .. } = address else { unreachable!("a port") };
    let calls = Calls::start(QUICK);
    let channel = calls.to(&Address::Tcp { host, port, tls: true });
    let deadline = Instant::now() + Duration::from_millis(100);
    let status = within(channel.call("/t.Test/Echo", request("a", Some(deadline)))).await.expect_err("too late");
    assert_eq!((status.code(), status.is_unseen()), (Code::DeadlineExceeded, true), "{status:?}");
}

#[tokio::test]
async fn calls_that_a_host_says_it_never_processed_are_unseen() {
    for bytes in [go_away(0), REFUSED.to_vec()] {
        for close in [false, true] {
            let status = answered(bytes.clone(), close).await;
            assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_was_sent_and_lost_may_have_been_seen() {
    for bytes in [vec![], go_away(1), CANCELED.to_vec()] {
        let status = answered(bytes, true).await;
        assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, false), "{status:?}");
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let status = answered(vec![0xff; 100], false).await;
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, false), "{status:?}");
}

#[tokio::test]
async fn what_does_not_answer_in_http2_is_sent_no_call() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 100], b""] {
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            socket.write_all(bytes).await.expect("written");
            socket.shutdown().await.expect("open until now");
            std::future::pending::<()>().await;
        });
        let calls = Calls::start(QUICK);
        let status = call(&calls.to(&address), "a").await.expect_err("no HTTP/2");
        assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_more_is_noticed() {
    let began = Instant::now();
    let status = answered(Vec::new(), false).await;
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, false), "{status:?}");
    assert!(began.elapsed() >= QUICK.tick * (QUICK.silence.0 + QUICK.answer), "given up after {:?}", began.elapsed());
}
