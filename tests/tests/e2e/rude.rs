//! Clients that are slow, endless, broken, too many, or gone: each costs little and leaves nothing.

use e2e::host::{Host, Start};
use e2e::http::{Connection, Version, request, send};
use e2e::metrics::{CONNECTIONS, IN_FLIGHT};
use e2e::raw::{Raw, status};
use e2e::{guests, settings};
use futures::future::join_all;
use serde_json::json;

use crate::messages::hello_json;

const ECHO: &str = "test.echo.Echo/Echo";

async fn serves(host: &Host) {
    assert_eq!(host.call(ECHO, &hello_json()).ok().await, hello_json());
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let host = Host::of("echo").await;
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(64 << 10));
    for headers in [many, long] {
        let mut client = Raw::open(host.address).await;
        client
            .send(format!("POST /{ECHO} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n{headers}content-length: 2\r\n\r\n{{}}"))
            .await;
        let said = client.rest().await;
        assert_eq!(status(&said), Some(431), "{said}");
    }
    let mut call = request("POST", host.address, &format!("/{ECHO}"), "{}");
    call.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    call.headers_mut().insert("x-long", "a".repeat(64 << 10).parse().expect("a value"));
    let mut connection = Connection::open(host.address, Version::Two).await.expect("HTTP/2 is spoken");
    if let Ok(answer) = e2e::soon("an answer", connection.send(call)).await {
        assert_eq!(answer.status, 431, "{answer:?}");
    }
    serves(&host).await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let host = Host::of("echo").await;
    let mut client = Raw::open(host.address).await;
    client.send(format!("POST /{ECHO} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n")).await;
    let head = client.head().await;
    assert_eq!(status(&head), Some(429), "{head}");
    serves(&host).await;
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let host = Host::of("echo").await;
    let mut client = Raw::open(host.address).await;
    client.send(format!("POST /{ECHO} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")).await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut taken = 0_usize;
    // The host may answer before it stops taking; what counts is that it stops.
    while taken < 64 << 20 && client.send(&chunk).await {
        taken += 0x10000;
    }
    assert!(taken < 64 << 20, "the host took {taken} bytes of an endless body");
    serves(&host).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let host = Host::of("echo").await;
    let mut clients = Vec::new();
    for part in ["", "POST", "POST / HTTP/1.1\r\nhost: h\r\nx-half: "] {
        let mut client = Raw::open(host.address).await;
        client.send(part).await;
        clients.push(client);
    }
    serves(&host).await;
    join_all(clients.iter_mut().map(Raw::rest)).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let host = Host::of("echo").await;
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS",
        b"\0\xff\0\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, and long enough to be one",
    ];
    for bytes in garbage {
        let mut client = Raw::open(host.address).await;
        client.send(bytes).await;
        let said = client.rest().await;
        assert!(matches!(status(&said), None | Some(400)), "{said}");
    }
    serves(&host).await;
}

#[tokio::test]
async fn requests_that_could_be_read_in_two_ways_are_refused() {
    let host = Host::of("echo").await;
    let both = "transfer-encoding: chunked\r\ncontent-length: 2\r\n";
    let two = "content-length: 2\r\ncontent-length: 3\r\n";
    for headers in [both, two] {
        let mut client = Raw::open(host.address).await;
        let smuggled = "GET /_microhost/metrics HTTP/1.1\r\nhost: h\r\n\r\n";
        client
            .send(format!("POST /{ECHO} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n{headers}\r\n0\r\n\r\n{smuggled}"))
            .await;
        let head = client.head().await;
        assert_eq!(status(&head), Some(400), "{headers}: {head}");
    }
    serves(&host).await;
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_until_one_is_free() {
    let text = settings::service("echo", &guests::guest("echo"), "") + "[listen]\naddress = \"127.0.0.1:0\"\nconnections = 3\n";
    let host = Start::settings(&text).ready().await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::open(host.address, Version::One).await.expect("HTTP is spoken");
        let answer = e2e::soon("an answer", connection.send(host.call(ECHO, &hello_json()).into_request())).await.expect("an answer");
        assert_eq!(answer.status, 200);
        kept.push(connection);
    }
    let mut refused = Raw::open(host.address).await;
    refused.send("GET /_microhost/health/live HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let said = refused.rest().await;
    assert!(matches!(status(&said), None | Some(503)), "{said}");
    kept.pop();
    let began = std::time::Instant::now();
    loop {
        let mut connection = Connection::open(host.address, Version::One).await.expect("TCP is accepted");
        match e2e::soon("an answer or an end", connection.send(host.call(ECHO, &hello_json()).into_request())).await {
            Ok(answer) if answer.status == 200 => break,
            _ => assert!(began.elapsed() < e2e::SOON, "the place is not free again"),
        }
    }
}

#[tokio::test]
async fn a_thousand_connections_come_and_go_and_none_is_left() {
    let host = Host::of("echo").await;
    for _ in 0..4 {
        let clients = join_all((0..250).map(|i| {
            let host = &host;
            async move {
                let mut client = Raw::open(host.address).await;
                let part =
                    ["", "POST /", "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
                        [i % 4];
                client.send(part).await;
                client
            }
        }))
        .await;
        drop(clients);
    }
    // The scrape's own is the one.
    host.metric_becomes(CONNECTIONS, &[], |connections| connections <= 1.0).await;
    serves(&host).await;
}

#[tokio::test]
async fn a_body_cut_short_reaches_no_guest() {
    let host = Host::of("echo").await;
    let mut client = Raw::open(host.address).await;
    client
        .send(format!("POST /{ECHO} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"id\":1"))
        .await;
    drop(client);
    host.metric_becomes(CONNECTIONS, &[], |connections| connections <= 1.0).await;
    assert_eq!(host.metrics().await.sum(IN_FLIGHT, &[("endpoint", "Echo")]), 0.0);
    serves(&host).await;
}

#[tokio::test]
async fn requests_one_behind_the_other_are_answered_in_their_order() {
    let host = Host::of("echo").await;
    let mut client = Raw::open(host.address).await;
    let calls: String = (0..10)
        .map(|id| {
            let body = json!({ "id": id }).to_string();
            let last = if id == 9 { "connection: close\r\n" } else { "" };
            format!(
                "POST /{ECHO} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n{last}content-length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    client.send(calls).await;
    let said = client.rest().await;
    let places: Vec<usize> =
        (0..10).map(|id| said.find(&format!("\"id\":\"{id}\"")).unwrap_or_else(|| panic!("no answer {id} in {said}"))).collect();
    assert!(places.is_sorted(), "{said}");
}

#[tokio::test]
async fn a_wrong_verb_is_refused_with_the_right_one() {
    let host = Host::of("echo").await;
    for verb in ["PUT", "DELETE", "PATCH", "GET"] {
        let answer = send(host.address, Version::One, request(verb, host.address, &format!("/{ECHO}"), "")).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{verb}: {answer:?}");
    }
}
