//! Connect's unary calls, over both versions of HTTP.

use super::*;

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn a_message_goes_there_and_back_with_its_metadata() {
    let edge = TestEdge::start();
    for version in BOTH {
        for content_type in ["application/json", "application/proto", "application/json; charset=utf-8"] {
            let headers = [("lead-a", "1"), ("lead-a", "2"), ("trail-b-bin", "AQI"), ("connect-protocol-version", "1")];
            let answer = edge.send(post(version, "Echo", content_type, &headers, "{\"a\":1}")).await;
            assert_eq!((answer.status(), &answer.body[..]), (200, &b"{\"a\":1}"[..]), "{answer:?}");
            assert_eq!(answer.header("content-type"), content_type.split(';').next().expect("a name"));
            let leading: Vec<_> = answer.head.headers.get_all("lead-a").iter().collect();
            assert_eq!(leading, ["1", "2"]);
            assert_eq!(answer.header("trailer-trail-b-bin"), "AQI");
            assert_eq!(answer.header("content-length"), "7");
            assert!(!answer.head.headers.contains_key("trailer-grpc-status"));
        }
    }
}

#[tokio::test]
async fn an_empty_message_is_a_message() {
    let edge = TestEdge::start();
    for version in BOTH {
        let answer = edge.send(post(version, "Echo", "application/proto", &[], "")).await;
        assert_eq!((answer.status(), answer.body.len(), answer.header("content-type")), (200, 0, "application/proto"));
    }
}

#[tokio::test]
async fn an_error_is_json_with_its_details_and_never_its_cause() {
    let edge = TestEdge::start();
    for version in BOTH {
        let answer = edge.send(post(version, "Fail", "application/proto", &[], "already_exists")).await;
        assert_eq!((answer.status(), answer.header("content-type"), answer.header("x-meta")), (409, "application/json", "m"));
        let expected = serde_json::json!({
            "code": "already_exists",
            "message": "no \u{fc}ber-user",
            "details": [{ "type": "t.Why", "value": "CAE", "debug": { "why": 1 } }],
        });
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn every_code_has_its_http_status() {
    let edge = TestEdge::start();
    for code in Code::all().filter(|code| *code != Code::Ok) {
        let answer = edge.send(post(Version::HTTP_11, "Fail", "application/json", &[], code.name())).await;
        assert_eq!((answer.head.status, answer.json()["code"].as_str()), (code.http(), Some(code.name())));
    }
}

#[tokio::test]
async fn a_safe_endpoint_may_be_got_and_another_not() {
    let edge = TestEdge::start();
    let answer = edge.send(get("/t.Test/Echo?connect=v1&encoding=json&message=%7B%7D")).await;
    assert_eq!((answer.status(), &answer.body[..], answer.header("vary")), (200, &b"{}"[..], "accept-encoding"));
    let answer = edge.send(get("/t.Test/Echo?connect=v1&encoding=proto&base64=1&message=AAEC")).await;
    assert_eq!((answer.status(), &answer.body[..]), (200, &[0, 1, 2][..]));
    let answer = edge.send(get("/t.Test/Fail?encoding=json&message=aborted")).await;
    assert_eq!((answer.status(), answer.json()["code"].as_str()), (409, Some("aborted")));
    let answer = edge.send(get("/t.Test/Echo?encoding=json")).await;
    assert_eq!((answer.status(), answer.json()["code"].as_str()), (400, Some("invalid_argument")));
    let answer = edge.send(get("/t.Test/Slow?encoding=json&message=%7B%7D")).await;
    assert_eq!((answer.status(), answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn other_methods_are_told_which_are_allowed() {
    let edge = TestEdge::start();
    for method in ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"] {
        let request = Request::builder().method(method).uri("/t.Test/Echo").header("host", "test").body(Bytes::new()).expect("valid");
        let answer = edge.send(request).await;
        assert_eq!((answer.status(), answer.header("allow")), (405, "GET, POST"), "{method}");
    }
}

#[tokio::test]
async fn an_unknown_content_type_is_answered_with_those_there_are() {
    let edge = TestEdge::start();
    for content_type in ["text/plain", "application/xml", "application/connect+json", "application/grpc+thrift"] {
        let answer = edge.send(post(Version::HTTP_11, "Echo", content_type, &[], "{}")).await;
        assert_eq!(answer.status(), 415, "{content_type}");
        assert!(answer.header("accept-post").starts_with("application/json, application/proto"));
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert!(String::from_utf8_lossy(&answer.body).contains("application/json"), "{answer:?}");
    }
    let bare = raw(&edge, b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}").await;
    assert!(bare.starts_with("HTTP/1.1 415") && bare.contains("content-type: application/json"), "{bare}");
}

#[tokio::test]
async fn a_path_that_nothing_serves_is_answered_with_the_nearest() {
    let edge = TestEdge::start();
    let mut request = post(Version::HTTP_11, "Ecko", "application/json", &[], "{}");
    let answer = edge.send(request.clone()).await;
    assert_eq!((answer.status(), answer.json()["code"].as_str()), (404, Some("unimplemented")));
    assert!(answer.json()["message"].as_str().expect("text").contains("did you mean /t.Test/Echo?"), "{answer:?}");
    *request.uri_mut() = "/t.Test/SomethingElse".parse().expect("valid");
    let message = edge.send(request.clone()).await.json()["message"].to_string();
    assert!(message.contains("it has Echo, Fail"), "{message}");
    let answer = edge.send(get("/")).await;
    assert_eq!(answer.status(), 404);
    assert!(answer.json()["message"].as_str().expect("text").contains("/_microhost/services"));
}

#[tokio::test]
async fn requests_and_replies_are_compressed_by_either_encoding() {
    let edge = TestEdge::start();
    let message = b"{\"text\":\"".iter().chain([b'a'; 5_000].iter()).chain(b"\"}").copied().collect::<Vec<u8>>();
    for encoding in [super::super::compression::Encoding::Gzip, super::super::compression::Encoding::Zstd] {
        let (_, packed) = super::super::compression::pack(Some(encoding), &message).expect("smaller");
        let headers = [("content-encoding", encoding.name()), ("accept-encoding", encoding.name())];
        let answer = edge.send(post(Version::HTTP_11, "Echo", "application/json", &headers, packed)).await;
        assert_eq!((answer.status(), answer.header("content-encoding")), (200, encoding.name()));
        assert!(answer.body.len() < 500);
        assert_eq!(super::super::compression::unpack(encoding, &answer.body, 10_000).expect("valid"), message);
    }
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/json", &[], message.clone())).await;
    assert_eq!((answer.body.len(), answer.header("content-encoding")), (message.len(), ""));
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/json", &[("accept-encoding", "gzip")], "{}")).await;
    assert_eq!((&answer.body[..], answer.header("content-encoding")), (&b"{}"[..], ""));
}

#[tokio::test]
async fn an_unknown_compression_is_unimplemented_and_names_the_known() {
    let edge = TestEdge::start();
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/json", &[("content-encoding", "br")], "{}")).await;
    assert_eq!((answer.status(), answer.json()["code"].as_str()), (501, Some("unimplemented")));
    assert_eq!(answer.header("accept-encoding"), "gzip, zstd");
}

#[tokio::test]
async fn wrong_headers_of_the_protocol_are_invalid_arguments() {
    let edge = TestEdge::start();
    for header in [("connect-timeout-ms", "12345678901"), ("connect-timeout-ms", "1s"), ("connect-protocol-version", "2")] {
        let answer = edge.send(post(Version::HTTP_11, "Echo", "application/json", &[header], "{}")).await;
        assert_eq!((answer.status(), answer.json()["code"].as_str()), (400, Some("invalid_argument")), "{header:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_a_handler_would_not() {
    let mut edge = TestEdge::start();
    let answer = edge.send(post(Version::HTTP_11, "Slow", "application/json", &[("connect-timeout-ms", "50")], "{}")).await;
    assert_eq!((answer.status(), answer.json()["code"].as_str()), (504, Some("deadline_exceeded")));
    assert_eq!((edge.moment().await, edge.moment().await), (Moment::Began, Moment::Dropped));
    let answer = edge.send(post(Version::HTTP_11, "Slow", "application/json", &[("connect-timeout-ms", "0")], "{}")).await;
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_however_it_is_sent() {
    let edge = TestEdge::start();
    let fits = edge.send(post(Version::HTTP_11, "Echo", "application/proto", &[], vec![1; MAX_REQUEST])).await;
    assert_eq!((fits.status(), fits.body.len()), (200, MAX_REQUEST));
    for version in BOTH {
        let answer = edge.send(post(version, "Echo", "application/proto", &[], vec![1; MAX_REQUEST + 1])).await;
        assert_eq!((answer.status(), answer.json()["code"].as_str()), (429, Some("resource_exhausted")));
    }
    let (_, bomb) = super::super::compression::pack(Some(super::super::compression::Encoding::Zstd), &vec![0; 50 << 20]).expect("smaller");
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/proto", &[("content-encoding", "zstd")], bomb)).await;
    assert_eq!(answer.status(), 429);
    let announced =
        raw(&edge, b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n").await;
    assert!(announced.starts_with("HTTP/1.1 429"), "{announced}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let edge = TestEdge::start();
    let mut socket = edge.socket().await;
    let head = b"POST /t.Test/Echo HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
    socket.write_all(head).await.expect("written");
    let mut told = [0; 25];
    within(socket.read_exact(&mut told)).await.expect("read");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"{}").await.expect("written");
    let answer = read_all(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{}"), "{answer}");
}
