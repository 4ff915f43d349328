//! Clients that are slow, broken, greedy or gone.

use super::*;

/// A short patience, so that tests see its end.
const SHORT: Patience = Patience {
    tick: Duration::from_millis(10),
    header: Duration::from_millis(100),
    body: Duration::from_millis(100),
    idle: Duration::from_millis(300),
    goodbye: Duration::from_millis(100),
    stall: Duration::from_millis(200),
};

fn impatient() -> TestEdge {
    TestEdge::with(SHORT, Listen::default())
}

const SLOW_CALL: &[u8] = b"POST /t.Test/Slow HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn a_client_that_hangs_up_has_its_call_dropped() {
    let mut edge = TestEdge::start();
    let mut socket = edge.socket().await;
    socket.write_all(SLOW_CALL).await.expect("written");
    assert_eq!(edge.moment().await, Moment::Began);
    drop(socket);
    assert_eq!(edge.moment().await, Moment::Dropped);
    edge.all_closed().await;
    let slow = edge.overview.router.find("/t.Test/Slow").expect("routed");
    assert_eq!((slow.stats.in_flight.load(Relaxed), slow.stats.count(Code::Canceled)), (0, 1));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_closed() {
    let edge = impatient();
    for start in ["", "P", "POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\nx-slow: "] {
        assert_eq!(raw(&edge, start.as_bytes()).await, "", "{start:?}");
    }
    edge.all_closed().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let edge = impatient();
    let head = "POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n";
    for part in ["", "{", "{\"a\""] {
        let answer = raw(&edge, format!("{head}{part}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("deadline_exceeded"), "{part:?}: {answer}");
    }
    edge.all_closed().await;
}

#[tokio::test]
async fn an_idle_client_is_closed_and_one_with_a_call_is_not() {
    let mut edge = impatient();
    let mut busy = edge.socket().await;
    busy.write_all(b"POST /t.Test/Waits HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .expect("written");
    assert_eq!(edge.moment().await, Moment::Began);
    let idle = raw(&edge, b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    edge.go.add_permits(1);
    let answer = read_all(&mut busy).await;
    assert!(answer.ends_with("done"), "{answer}");
    edge.all_closed().await;
}

#[tokio::test]
async fn an_idle_http2_client_is_told_to_go() {
    let edge = impatient();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(edge.socket().await))
            .await
            .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(post(Version::HTTP_2, "Echo", "application/grpc", &[], enveloped(0, b"")).map(Full::new)).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    within(connection).await.expect("no panic").expect("a graceful end");
    edge.all_closed().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let edge = impatient();
    let mut socket = edge.socket().await;
    // More than the buffers of two sockets hold.
    let request = b"POST /t.Test/Large HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n64000000";
    socket.write_all(request).await.expect("written");
    edge.all_closed().await;
}

#[tokio::test]
async fn headers_beyond_their_bounds_are_refused() {
    let edge = TestEdge::start();
    let many: String = (0..101).map(|i| format!("x-{i}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(40_000));
    for headers in [&many, &long] {
        let answer = raw(&edge, format!("POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\n{headers}\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{}", &answer[..answer.len().min(100)]);
    }
    let mut request = post(Version::HTTP_2, "Echo", "application/grpc", &[], enveloped(0, b""));
    for i in 0..101 {
        request.headers_mut().insert(http::HeaderName::try_from(format!("x-{i}")).expect("valid"), HeaderValue::from_static("1"));
    }
    let answer = edge.send(request).await;
    assert_eq!(answer.header("grpc-status"), "8");
    edge.all_closed().await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let edge = impatient();
    for nonsense in [
        &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all",
    ] {
        raw(&edge, nonsense).await;
    }
    edge.all_closed().await;
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/json", &[], "{}")).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn smuggled_lengths_are_refused() {
    let edge = TestEdge::start();
    for headers in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "transfer-encoding: chunked\r\ncontent-length: -1\r\n",
        "transfer-encoding: gzip\r\n",
    ] {
        let text = format!("POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n{headers}\r\n{{}}");
        let answer = raw(&edge, text.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_bounded_as_it_comes() {
    let edge = TestEdge::start();
    let mut socket = edge.socket().await;
    socket
        .write_all(b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .expect("written");
    let chunk = [b"1000\r\n", &[b'a'; 0x1000][..], b"\r\n"].concat();
    // Endless, until the edge has had enough.
    let (mut read, mut write) = socket.split();
    let mut answer = Vec::new();
    within(async {
        tokio::select! {
            _ = async { while write.write_all(&chunk).await.is_ok() {} std::future::pending::<()>().await } => {}
            _ = read.read_buf(&mut answer) => {}
        }
    })
    .await;
    assert!(answer.starts_with(b"HTTP/1.1 429"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_alone() {
    let edge = TestEdge::start();
    let mut socket = edge.socket().await;
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1u32..4_001).step_by(2) {
        // :method POST, :scheme http, :path / and no more; then a reset.
        frames.extend_from_slice(&[0, 0, 3, 1, 4]);
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&[0x83, 0x86, 0x84]);
        frames.extend_from_slice(&[0, 0, 4, 3, 0]);
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&[0, 0, 0, 8]);
    }
    let _ = socket.write_all(&frames).await;
    let told = read_all(&mut socket).await;
    assert!(told.contains("too_many_resets"), "{told:?}");
    edge.all_closed().await;
    assert_eq!(edge.send(post(Version::HTTP_11, "Echo", "application/json", &[], "{}")).await.status(), 200);
}

#[tokio::test]
async fn a_full_house_refuses_and_has_room_again_later() {
    let edge = TestEdge::with(PATIENCE, Listen { connections: 2, ..Listen::default() });
    let first = edge.socket().await;
    let second = edge.socket().await;
    let refused = read_all(&mut edge.socket().await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("too many connections"), "{refused}");
    assert_eq!(edge.overview.edge.refused.load(Relaxed), 1);
    drop((first, second));
    edge.all_closed().await;
    assert_eq!(edge.send(post(Version::HTTP_11, "Echo", "application/json", &[], "{}")).await.status(), 200);
}
