//! From opening to the end: many connections, draining, TLS.

use super::*;
use crate::settings::Tls;

#[tokio::test]
async fn a_thousand_connections_come_and_go_and_leave_nothing() {
    let edge = TestEdge::start();
    let one = async |i: usize| {
        let version = if i.is_multiple_of(2) { Version::HTTP_11 } else { Version::HTTP_2 };
        let answer = edge.send(post(version, "Echo", "application/json", &[], "{}")).await;
        assert_eq!(answer.status(), 200);
    };
    for batch in 0..10 {
        futures::future::join_all((0..100).map(|i| one(batch * 100 + i))).await;
    }
    edge.all_closed().await;
    assert_eq!(edge.overview.edge.accepted.load(Relaxed), 1_000);
    assert!(edge.serving.edge.lanes.iter().all(|lane| lane.load(Relaxed) == 0));
}

#[tokio::test]
async fn connections_are_spread_over_the_lanes() {
    let edge = TestEdge::start();
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = edge.socket().await;
        socket.write_all(b"GET /_microhost/health/live HTTP/1.1\r\nhost: t\r\n\r\n").await.expect("written");
        within(socket.read_u8()).await.expect("an answer");
        sockets.push(socket);
    }
    let spread: Vec<i64> = edge.serving.edge.lanes.iter().map(|lane| lane.load(Relaxed)).collect();
    assert_eq!(spread, [5, 5]);
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_closes_what_is_idle() {
    let mut edge = TestEdge::start();
    let mut idle = edge.socket().await;
    let mut busy = edge.socket().await;
    busy.write_all(b"POST /t.Test/Waits HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .expect("written");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(edge.socket().await)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let streamed =
        tokio::spawn(sender.send_request(post(Version::HTTP_2, "Waits", "application/grpc", &[], enveloped(0, b"")).map(Full::new)));
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Began, Moment::Began));

    let drained = edge.serving.drain(LIMIT);
    let ended = async {
        assert_eq!(read_all(&mut idle).await, "");
        assert!(!edge.overview.health.snapshot().is_ready());
        edge.go.add_permits(2);
        let answer = read_all(&mut busy).await;
        assert!(answer.ends_with("done"), "{answer}");
        let answer = Answer::read(streamed.await.expect("no panic").expect("an answer")).await;
        assert_eq!((&answer.body[5..], answer.trailer("grpc-status")), (&b"done"[..], "0"));
    };
    let (all, ()) = within(futures::future::join(drained, ended)).await;
    assert_eq!((all, edge.overview.edge.connections.load(Relaxed)), (true, 0));
    assert!(TcpStream::connect(edge.address()).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn what_does_not_end_in_the_grace_of_a_drain_is_cut_off() {
    let mut edge = TestEdge::start();
    let mut socket = edge.socket().await;
    socket
        .write_all(b"POST /t.Test/Slow HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .expect("written");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(edge.socket().await)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let _streamed =
        tokio::spawn(sender.send_request(post(Version::HTTP_2, "Slow", "application/grpc", &[], enveloped(0, b"")).map(Full::new)));
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Began, Moment::Began));
    assert!(!within(edge.serving.drain(Duration::from_millis(50))).await);
    assert_eq!(within(edge.serving.end(Duration::from_millis(50))).await, 2);
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Dropped, Moment::Dropped));
    assert_eq!(read_all(&mut socket).await, "");
    edge.all_closed().await;
}

#[tokio::test]
async fn a_request_that_has_not_come_whole_by_the_end_is_told_that_the_host_stops() {
    let edge = TestEdge::start();
    let mut sockets = Vec::new();
    for content_type in ["application/json", "application/grpc-web"] {
        let mut socket = edge.socket().await;
        let head = format!(
            "POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: {content_type}\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("written");
        let mut asked = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        within(socket.read_exact(&mut asked)).await.expect("the body is waited for");
        socket.write_all(b"{").await.expect("written");
        sockets.push(socket);
    }
    assert!(!within(edge.serving.drain(Duration::from_millis(50))).await);
    assert_eq!(within(edge.serving.end(LIMIT)).await, 0);
    for mut socket in sockets {
        let answer = read_all(&mut socket).await;
        let told = answer.contains("503 Service Unavailable") || answer.contains("grpc-status: 14");
        assert!(told && answer.contains("the host stops"), "{answer}");
    }
    edge.all_closed().await;
}

#[tokio::test]
async fn tls_serves_both_versions_of_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = Tls { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).expect("written");
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
    let edge = TestEdge::with(PATIENCE, Listen { tls: Some(tls), ..Listen::default() });

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    for (version, protocol) in [(Version::HTTP_11, &b"http/1.1"[..]), (Version::HTTP_2, b"h2")] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
        let socket = within(connector.connect(name, edge.socket().await)).await.expect("a handshake");
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(protocol));
        let answer = within(send_over(socket, post(version, "Echo", "application/json", &[], "{}"))).await;
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"{}"[..]));
    }
    // Who speaks no TLS is closed, and nothing is left.
    raw(&edge, b"GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
    edge.all_closed().await;
}

#[tokio::test]
async fn dropping_an_edge_closes_everything() {
    let edge = TestEdge::start();
    let mut socket = edge.socket().await;
    let address = edge.address();
    drop(edge);
    assert_eq!(read_all(&mut socket).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}
