//! gRPC over HTTP/2.

use super::*;

async fn call(edge: &TestEdge, method: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    edge.send(post(Version::HTTP_2, method, "application/grpc", headers, body)).await
}

/// The status of an answer: in trailers, or in headers where there is nothing else.
fn grpc_status(answer: &Answer) -> &str {
    if answer.trailers.is_empty() { answer.header("grpc-status") } else { answer.trailer("grpc-status") }
}

#[tokio::test]
async fn a_message_goes_there_and_back_with_its_metadata() {
    let edge = TestEdge::start();
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc+json"] {
        let headers = [("te", "trailers"), ("lead-a-bin", "AQI="), ("trail-b", "2")];
        let answer = edge.send(post(Version::HTTP_2, "Echo", content_type, &headers, enveloped(0, b"hi"))).await;
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"\0\0\0\0\x02hi"[..]));
        assert_eq!((answer.header("content-type"), answer.header("lead-a-bin")), (content_type, "AQI="));
        assert_eq!((answer.trailer("grpc-status"), answer.trailer("trail-b")), ("0", "2"));
        assert_eq!(answer.header("content-length"), "");
    }
}

#[tokio::test]
async fn an_error_is_trailers_only_with_details_and_metadata() {
    let edge = TestEdge::start();
    let answer = call(&edge, "Fail", &[], enveloped(0, b"permission_denied")).await;
    assert_eq!((answer.status(), answer.body.len(), answer.trailers.len()), (200, 0, 0));
    assert_eq!((answer.header("grpc-status"), answer.header("grpc-message")), ("7", "no %C3%BCber-user"));
    assert_eq!(answer.header("x-meta"), "m");
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.decode(answer.header("grpc-status-details-bin")).expect("no padding");
    let text = String::from_utf8_lossy(&details);
    assert!(text.contains("type.googleapis.com/t.Why") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_unary_call_takes_exactly_one_message() {
    let edge = TestEdge::start();
    let two = [enveloped(0, b"a"), enveloped(0, b"b")].concat();
    for (body, expected) in
        [(vec![], "12"), (two, "12"), (b"\0\0\0\0\x09a".to_vec(), "3"), (enveloped(4, b"a"), "13"), (b"\0\0".to_vec(), "3")]
    {
        let answer = call(&edge, "Echo", &[], body.clone()).await;
        assert_eq!(grpc_status(&answer), expected, "{body:?}");
    }
}

#[tokio::test]
async fn messages_are_compressed_by_either_encoding() {
    let edge = TestEdge::start();
    let message = vec![b'a'; 5_000];
    for encoding in [super::super::compression::Encoding::Gzip, super::super::compression::Encoding::Zstd] {
        let (_, packed) = super::super::compression::pack(Some(encoding), &message).expect("smaller");
        let headers = [("grpc-encoding", encoding.name()), ("grpc-accept-encoding", encoding.name())];
        let answer = call(&edge, "Echo", &headers, enveloped(1, &packed)).await;
        assert_eq!((grpc_status(&answer), answer.header("grpc-encoding"), answer.body[0]), ("0", encoding.name(), 1));
        assert_eq!(super::super::compression::unpack(encoding, &answer.body[5..], 10_000).expect("valid"), message);
        // The flag decides, message by message.
        let answer = call(&edge, "Echo", &headers, enveloped(0, b"plain")).await;
        assert_eq!((grpc_status(&answer), &answer.body[..]), ("0", &enveloped(0, b"plain")[..]));
    }
}

#[tokio::test]
async fn wrong_compression_has_the_code_of_its_kind() {
    let edge = TestEdge::start();
    let unknown = call(&edge, "Echo", &[("grpc-encoding", "br")], enveloped(1, b"x")).await;
    assert_eq!((grpc_status(&unknown), unknown.header("grpc-accept-encoding")), ("12", "gzip, zstd"));
    for headers in [&[][..], &[("grpc-encoding", "identity")]] {
        let flagged = call(&edge, "Echo", headers, enveloped(1, b"x")).await;
        assert_eq!(grpc_status(&flagged), "13");
    }
    let damaged = call(&edge, "Echo", &[("grpc-encoding", "gzip")], enveloped(1, b"x")).await;
    assert_eq!(grpc_status(&damaged), "3");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_its_announcement() {
    let edge = TestEdge::start();
    let fits = call(&edge, "Echo", &[], enveloped(0, &vec![1; MAX_REQUEST])).await;
    assert_eq!((grpc_status(&fits), fits.body.len()), ("0", MAX_REQUEST + 5));
    let answer = call(&edge, "Echo", &[], enveloped(0, &vec![1; MAX_REQUEST + 1])).await;
    assert_eq!(grpc_status(&answer), "8");
    let announced = call(&edge, "Echo", &[], b"\0\xff\xff\xff\xff".to_vec()).await;
    assert_eq!(grpc_status(&announced), "8");
    let (_, bomb) = super::super::compression::pack(Some(super::super::compression::Encoding::Gzip), &vec![0; 20 << 20]).expect("smaller");
    let bomb = call(&edge, "Echo", &[("grpc-encoding", "gzip")], enveloped(1, &bomb)).await;
    assert_eq!(grpc_status(&bomb), "8");
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_a_wrong_one_is_refused() {
    let mut edge = TestEdge::start();
    let answer = call(&edge, "Slow", &[("grpc-timeout", "50m")], enveloped(0, b"")).await;
    assert_eq!(grpc_status(&answer), "4");
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Began, Moment::Dropped));
    let answer = call(&edge, "Echo", &[("grpc-timeout", "5 years")], enveloped(0, b"")).await;
    assert_eq!(grpc_status(&answer), "3");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let answer = call(&TestEdge::start(), "Ecko", &[], enveloped(0, b"")).await;
    assert_eq!((answer.status(), grpc_status(&answer)), (200, "12"));
    assert!(answer.header("grpc-message").contains("did you mean /t.Test/Echo?"));
}

#[tokio::test]
async fn http_1_is_told_that_grpc_needs_http_2() {
    let answer = TestEdge::start().send(post(Version::HTTP_11, "Echo", "application/grpc", &[], enveloped(0, b""))).await;
    assert_eq!(answer.status(), 505);
    assert!(answer.body.starts_with(b"gRPC needs HTTP/2"), "{answer:?}");
}

#[tokio::test]
async fn many_calls_share_one_connection() {
    let edge = TestEdge::start();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(edge.socket().await)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let calls = (0..1_000).map(|i| {
        let mut sender = sender.clone();
        async move {
            let message = format!("call {i}");
            sender.ready().await.expect("open");
            let request = post(Version::HTTP_2, "Echo", "application/grpc", &[], enveloped(0, message.as_bytes())).map(Full::new);
            let answer = Answer::read(sender.send_request(request).await.expect("an answer")).await;
            assert_eq!(&answer.body[5..], message.as_bytes());
        }
    });
    within(futures::future::join_all(calls)).await;
}

#[tokio::test]
async fn a_stream_that_the_client_resets_drops_its_call_and_no_other() {
    let mut edge = TestEdge::start();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(edge.socket().await)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let slow = sender.send_request(post(Version::HTTP_2, "Slow", "application/grpc", &[], enveloped(0, b"")).map(Full::new));
    let mut slow = Box::pin(slow);
    tokio::select! {
        _ = &mut slow => panic!("the slow call has no answer"),
        moment = edge.moment() => assert_eq!(moment, Moment::Began),
    }
    drop(slow);
    assert_eq!(edge.moment().await, Moment::Dropped);
    let answer = sender.send_request(post(Version::HTTP_2, "Echo", "application/grpc", &[], enveloped(0, b"x")).map(Full::new)).await;
    assert_eq!(Answer::read(answer.expect("an answer")).await.trailer("grpc-status"), "0");
}
