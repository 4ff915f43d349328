//! gRPC-Web, binary and text, over both versions of HTTP.

use super::*;

/// The message and the trailers of a body.
fn parts(body: &[u8]) -> (Option<&[u8]>, String) {
    let mut rest = body;
    let mut message = None;
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).expect("a length");
        let (content, after) = after.split_at(length);
        if head[0] & 0x80 != 0 {
            assert_eq!(after, b"", "trailers come last");
            return (message, String::from_utf8(content.to_vec()).expect("text"));
        }
        message = Some(content);
        rest = after;
    }
    panic!("no trailers in {body:?}");
}

#[tokio::test]
async fn a_message_comes_back_with_trailers_in_the_body() {
    let edge = TestEdge::start();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for content_type in ["application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json"] {
            let headers = [("lead-a", "1"), ("trail-b", "2")];
            let answer = edge.send(post(version, "Echo", content_type, &headers, enveloped(0, b"hi"))).await;
            assert_eq!((answer.status(), answer.header("content-type"), answer.header("lead-a")), (200, content_type, "1"));
            let (message, trailers) = parts(&answer.body);
            assert_eq!(message, Some(&b"hi"[..]));
            assert!(trailers.contains("grpc-status: 0\r\n") && trailers.contains("trail-b: 2\r\n"), "{trailers}");
        }
    }
}

#[tokio::test]
async fn text_is_base64_both_ways() {
    let edge = TestEdge::start();
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/grpc-web-text", &[], base64(&enveloped(0, b"hello")))).await;
    assert_eq!(answer.header("content-type"), "application/grpc-web-text");
    let body = super::super::web::from_text(&answer.body).expect("base64");
    assert_eq!(parts(&body), (Some(&b"hello"[..]), "grpc-status: 0\r\n".to_owned()));
    let answer = edge.send(post(Version::HTTP_11, "Echo", "application/grpc-web-text", &[], "*")).await;
    assert!(parts(&super::super::web::from_text(&answer.body).expect("base64")).1.contains("grpc-status: 3\r\n"));
}

#[tokio::test]
async fn an_error_is_trailers_alone() {
    let edge = TestEdge::start();
    let answer = edge.send(post(Version::HTTP_11, "Fail", "application/grpc-web", &[], enveloped(0, b"aborted"))).await;
    let (message, trailers) = parts(&answer.body);
    assert_eq!((answer.status(), message), (200, None));
    assert!(trailers.contains("grpc-status: 10\r\n") && trailers.contains("grpc-message: no %C3%BCber-user\r\n"), "{trailers}");
    assert!(trailers.contains("grpc-status-details-bin: ") && trailers.contains("x-meta: m\r\n"), "{trailers}");
    let answer = edge.send(post(Version::HTTP_11, "Ecko", "application/grpc-web", &[], enveloped(0, b""))).await;
    assert!(parts(&answer.body).1.contains("grpc-status: 12\r\n"));
}

#[tokio::test]
async fn a_compressed_reply_is_flagged_and_its_trailers_are_not() {
    let edge = TestEdge::start();
    let answer = edge
        .send(post(Version::HTTP_11, "Large", "application/grpc-web", &[("grpc-accept-encoding", "gzip")], enveloped(0, b"9000")))
        .await;
    assert_eq!((answer.header("grpc-encoding"), answer.body[0]), ("gzip", 1));
    let (message, _) = parts(&answer.body);
    let message = super::super::compression::unpack(super::super::compression::Encoding::Gzip, message.expect("a message"), 10_000);
    assert_eq!(message.expect("valid"), vec![b'x'; 9_000]);
}
