//! Components that answer HTTP by `wasi:http`, of WASI 0.2 (`page`) and of WASI 0.3 (`site`).

use std::process::Stdio;
use std::time::Instant;

use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version, request, send};
use e2e::metrics::{CALLS, IN_FLIGHT, INSTANCES, QUEUED, RESIDENT, STARTED, TRAPS};
use e2e::raw::Raw;
use e2e::{guests, settings, soon};
use serde_json::json;

/// The guests; each test that holds for both says which it failed for.
const BOTH: [&str; 2] = ["site", "page"];

const OF_SITE: &[(&str, &str)] = &[("service", "site"), ("endpoint", "/")];

async fn get(host: &Host, path: &str) -> Answer {
    send(host.address, Version::One, request("GET", host.address, path, "")).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_and_the_answer_goes_back() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        for version in [Version::One, Version::Two] {
            let mut request = request("GET", host.address, "/a/look?x=1&y=%20", "");
            request.headers_mut().insert("x-a", "b".parse().expect("a header"));
            let answer = send(host.address, version, request).await;
            let expected = format!("://{}/a/look?x=1&y=%20\nx-a: b\n", host.address);
            assert!(answer.status == 200 && answer.text().contains(&expected), "{guest} {version:?}: {}", answer.text());
            assert!(!answer.text().contains("\nhost:"), "{guest}: what is HTTP's own is no header of the guest's");
        }
        let answer = get(&host, "/").await;
        assert_eq!((answer.text().as_str(), answer.header("content-length")), ("Hello, WASI!", "12"), "{guest}");
    }
}

#[tokio::test]
async fn a_request_without_a_body_wanted_gets_none() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        for version in [Version::One, Version::Two] {
            let answer = send(host.address, version, request("HEAD", host.address, "/", "")).await;
            assert!(answer.status == 200 && answer.body.is_empty(), "{guest} {version:?}: {answer:?}");
        }
        host.metric_becomes(IN_FLIGHT, &[("endpoint", "/")], |calls| calls == 0.0).await;
    }
}

#[tokio::test]
async fn a_body_is_echoed_over_either_http() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        for version in [Version::One, Version::Two] {
            for size in [0, 1, 1_000_000] {
                let body = vec![b'e'; size];
                let answer = send(host.address, version, request("POST", host.address, "/echo", body.clone())).await;
                assert!(answer.body == body, "{guest} {version:?}: {size} bytes became {}", answer.body.len());
            }
        }
    }
}

#[tokio::test]
async fn a_response_flows_before_the_request_has_ended() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        let mut raw = Raw::open(host.address).await;
        raw.send("POST /echo HTTP/1.1\r\nhost: here\r\nte: trailers\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n").await;
        raw.send("5\r\nfirst\r\n").await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{guest}: {head}");
        raw.until("first\r\n").await;
        raw.send("6\r\nsecond\r\n").await;
        raw.until("second\r\n").await;
        raw.send("0\r\nx-sum: 7\r\n\r\n").await;
        assert_eq!(raw.rest().await, "0\r\nx-sum: 7\r\n\r\n", "{guest}: trailers go through too");
    }
}

#[tokio::test]
async fn part_of_a_request_may_be_answered() {
    let host = Host::of("site").await;
    let mut raw = Raw::open(host.address).await;
    raw.send("POST /first HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\npart").await;
    assert!(raw.head().await.contains("content-length: 4\r\n"));
    raw.until("part").await;
}

#[tokio::test]
async fn curl_sends_and_gets_much_while_memory_stays() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        get(&host, "/large?mib=4").await;
        let before = host.metrics().await.value(RESIDENT, &[]);
        let mut curl = tokio::process::Command::new("curl");
        let url = format!("{}/echo", host.url());
        curl.args(["-sS", "--fail", "-X", "POST", "-T", "-", "-o", "/dev/null", "-w", "%{size_download}", &url]);
        let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl is installed");
        let mut input = child.stdin.take().expect("it is piped");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            soon("curl to take more", tokio::io::AsyncWriteExt::write_all(&mut input, &piece)).await.expect("curl reads on");
        }
        drop(input);
        let output = soon("curl's end", child.wait_with_output()).await.expect("curl ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), (100 << 20).to_string(), "{guest}");
        let after = host.metrics().await.value(RESIDENT, &[]);
        assert!(after - before < f64::from(32 << 20), "{guest}: memory grew from {before} to {after}");
    }
}

#[tokio::test]
async fn a_slow_reader_holds_the_guest_back() {
    let host = Host::of("site").await;
    let mut raw = Raw::open(host.address).await;
    raw.send("GET /large?mib=400 HTTP/1.1\r\nhost: here\r\n\r\n").await;
    raw.head().await;
    raw.until("xxxx").await;
    let before = host.metrics().await.value(RESIDENT, &[]);
    for _ in 0..20 {
        get(&host, "/").await;
    }
    let after = host.metrics().await.value(RESIDENT, &[]);
    assert!(after - before < f64::from(32 << 20), "memory grew from {before} to {after}");
    drop(raw);
    host.metric_becomes(IN_FLIGHT, OF_SITE, |calls| calls == 0.0).await;
}

#[tokio::test]
async fn a_client_that_goes_leaves_nothing_behind() {
    for guest in BOTH {
        let host = Start::guest(guest).limit("instances=1").ready().await;
        for path in ["/pause", "/slow?ms=3600000"] {
            let mut connection = Connection::open(host.address, Version::Two).await.expect("HTTP/2 is spoken");
            let answer =
                tokio::spawn(connection.begin(request("GET", host.address, path, "")).await.expect("the connection takes a request"));
            host.metric_becomes(IN_FLIGHT, &[("endpoint", "/")], |calls| calls == 1.0).await;
            drop(connection);
            soon("the request's end", answer).await.expect("the task ends").expect_err("the connection is gone");
            host.metric_becomes(IN_FLIGHT, &[("endpoint", "/")], |calls| calls == 0.0).await;
            // Its only instance, or the next one, takes requests.
            assert_eq!(get(&host, "/").await.text(), "Hello, WASI!", "{guest} {path}");
        }
        assert_eq!(host.metrics().await.value(TRAPS, &[]), 0.0, "{guest}: it was nobody's fault");
    }
}

#[tokio::test]
async fn a_client_that_goes_in_mid_response_takes_no_other_with_it() {
    let host = Start::guest("site").limit("instances=1").ready().await;
    get(&host, "/").await;
    let mut gone = Raw::open(host.address).await;
    gone.send("GET /pause HTTP/1.1\r\nhost: here\r\n\r\n").await;
    gone.until("first").await;
    let other = tokio::spawn(send(host.address, Version::One, request("GET", host.address, "/slow?ms=1500", "")));
    host.metric_becomes(IN_FLIGHT, OF_SITE, |calls| calls == 2.0).await;
    drop(gone);
    assert_eq!(other.await.expect("the task ends").text(), "slept");
    assert_eq!(host.metrics().await.value(STARTED, &[]), 1.0, "the instance went on");
}

#[tokio::test]
async fn a_trap_is_answered_with_500_and_breaks_off_what_had_begun() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        let answer = get(&host, "/trap").await;
        assert_eq!(answer.status, 500, "{guest}: {answer:?}");
        assert!(!answer.text().contains("as you asked"), "{guest}: the cause is for the log: {}", answer.text());
        let mut raw = Raw::open(host.address).await;
        raw.send("GET /trap-later HTTP/1.1\r\nhost: here\r\n\r\n").await;
        let all = raw.rest().await;
        assert!(all.contains("first") && !all.ends_with("0\r\n\r\n"), "{guest}: half must not pass for the whole: {all:?}");
        assert_eq!(get(&host, "/").await.status, 200, "{guest}");
        assert_eq!(host.metrics().await.value(TRAPS, &[]), 2.0, "{guest}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_504_and_a_pause_in_one_breaks_it_off() {
    for guest in BOTH {
        let host = Start::guest(guest).limit("timeout=400ms").ready().await;
        get(&host, "/").await;
        let answer = get(&host, "/slow?ms=3600000").await;
        assert_eq!(answer.status, 504, "{guest}: {answer:?}");
        let mut raw = Raw::open(host.address).await;
        raw.send("GET /pause HTTP/1.1\r\nhost: here\r\n\r\n").await;
        let all = raw.rest().await;
        assert!(all.contains("first") && !all.ends_with("0\r\n\r\n"), "{guest}: {all:?}");
        let codes = host.metrics().await;
        assert_eq!(codes.value(CALLS, &[("endpoint", "/"), ("code", "deadline_exceeded")]), 2.0, "{guest}");
    }
}

#[tokio::test]
async fn a_response_that_goes_on_may_last_longer_than_the_time_limit() {
    let host = Start::guest("site").limit("timeout=1s").ready().await;
    let mut raw = Raw::open(host.address).await;
    raw.send("POST /echo HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n").await;
    let began = Instant::now();
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(400));
    for _ in 0..5 {
        pause.tick().await;
        raw.send("4\r\nonce\r\n").await;
        raw.until("once\r\n").await;
    }
    assert!(began.elapsed().as_millis() > 1_200);
    raw.send("0\r\n\r\n").await;
    assert!(raw.rest().await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_guest_that_computes_for_ever_is_stopped() {
    let host = Start::guest("site").limit("cpu=200ms").ready().await;
    let answer = get(&host, "/spin").await;
    assert!(answer.status == 503 && answer.text().contains("cpu"), "{answer:?}");
    assert_eq!(get(&host, "/").await.status, 200);
}

#[tokio::test]
async fn an_error_instead_of_a_response_is_told_and_so_is_silence() {
    for guest in BOTH {
        let host = Host::of(guest).await;
        assert_eq!(get(&host, "/error").await.status, 503, "{guest}");
    }
    let host = Host::of("page").await;
    assert_eq!(get(&host, "/silent").await.status, 500);
    assert_eq!(get(&host, "/switch").await.status, 500, "no guest takes a connection over");
}

#[tokio::test]
async fn too_many_requests_are_shed_with_503() {
    let host = Start::guest("page").limit("instances=1").limit("queue=1").ready().await;
    get(&host, "/").await;
    let slow = |ms: u32| tokio::spawn(send(host.address, Version::One, request("GET", host.address, &format!("/slow?ms={ms}"), "")));
    let running = slow(3000);
    host.metric_becomes(IN_FLIGHT, &[("endpoint", "/")], |calls| calls == 1.0).await;
    host.metric_becomes(QUEUED, &[], |queued| queued == 0.0).await;
    let queued = slow(0);
    host.metric_becomes(QUEUED, &[], |queued| queued == 1.0).await;
    let shed = get(&host, "/").await;
    assert_eq!(shed.status, 503, "{shed:?}");
    for request in [running, queued] {
        assert_eq!(request.await.expect("the task ends").status, 200);
    }
    assert_eq!(shed.header("retry-after"), "1");
}

#[tokio::test]
async fn a_guest_finishes_its_work_after_the_response() {
    let host = Start::guest("site").arg("--isolation").arg("request").ready().await;
    assert_eq!(get(&host, "/after").await.text(), "before");
    host.logged("after the response").await;
    host.metric_becomes(INSTANCES, &[], |instances| instances == 0.0).await;
}

#[tokio::test]
async fn a_component_has_typed_endpoints_beside_its_route() {
    let host = Start::guest("site").limit("instances=1").ready().await;
    for _ in 0..3 {
        get(&host, "/").await;
    }
    // The route is `/`, and an endpoint comes before it.
    let reply = host.call("test.site.Site/Requests", &json!({})).ok().await;
    assert_eq!(reply, json!({"value": "3"}), "one instance serves both");
    assert_eq!(get(&host, "/_microhost/health/live").await.json(), json!({"status": "live"}), "the host's own paths come first");
}

#[tokio::test]
async fn the_longest_route_answers_and_the_rest_is_not_found() {
    let text = settings::service("site", &guests::guest("site"), "http = \"/shop\"")
        + &settings::service("page", &guests::guest("page"), "http = \"/shop/page/\"");
    let host = Start::settings(&text).ready().await;
    let look = async |path: &str| get(&host, path).await.text();
    assert!(look("/shop/look").await.starts_with("GET http://"), "the whole path is the guest's");
    assert!(look("/shop/page/look").await.starts_with("Method::Get http://"));
    assert!(look("/shop/pages/look").await.starts_with("GET http://"));
    for path in ["/", "/shopping", "/look"] {
        assert_eq!(get(&host, path).await.status, 404, "{path}");
    }
    let services = get(&host, "/_microhost/services").await.json();
    assert_eq!(services["http"], json!([{"service": "page", "route": "/shop/page"}, {"service": "site", "route": "/shop"}]));
}

#[tokio::test]
async fn routes_that_cannot_be_are_refused_before_anything_serves() {
    let twice = settings::service("a", &guests::guest("page"), "") + &settings::service("b", &guests::guest("page"), "");
    let (_, said) = Start::settings(&twice).arg("--strict").refused().await;
    assert!(said.contains("the HTTP route / is a's already") && said.contains("http = "), "{said}");
    let none = settings::service("echo", &guests::guest("echo"), "http = \"/x\"");
    let (_, said) = Start::settings(&none).refused().await;
    assert!(said.contains("exports neither wasi:http/incoming-handler nor wasi:http/handler"), "{said}");
    let hosts_own = settings::service("site", &guests::guest("site"), "http = \"/_microhost/x\"");
    let (_, said) = Start::settings(&hosts_own).refused().await;
    assert!(said.contains("the host's own"), "{said}");
}

#[tokio::test]
async fn a_request_that_names_no_host_is_refused() {
    let host = Host::of("site").await;
    for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"] {
        let mut raw = Raw::open(host.address).await;
        raw.send(head).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    }
}
