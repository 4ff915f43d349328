//! What a host tells of itself.

use e2e::host::{Host, Start};
use e2e::http::{Version, request, send};
use e2e::metrics::{CALLS, CONNECTIONS, INSTANCES};
use e2e::{guests, settings};
use http::HeaderValue;
use serde_json::json;

use crate::messages::{Text, hello, hello_json};

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const CHECK: &str = "grpc.health.v1.Health/Check";

#[tokio::test]
async fn a_host_that_serves_is_live_and_ready() {
    let host = Host::of("echo").await;
    assert_eq!(host.get("/_microhost/health/live").await.status, 200);
    let ready = host.get("/_microhost/health/ready").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(ready.json().to_string().contains("test.echo.Echo"), "ready names its services: {}", ready.text());
}

#[tokio::test]
async fn grpc_health_answers_for_the_host_and_for_each_service() {
    let host = Host::of("echo").await;
    for service in ["", "test.echo.Echo"] {
        let outcome = host.grpc(CHECK, &Text { value: service.into() }).outcome().await;
        assert_eq!(outcome.reply::<Health>().status, SERVING, "{service:?}");
    }
    let unknown = host.grpc(CHECK, &Text { value: "no.such.Service".into() }).outcome().await;
    assert_eq!(unknown.status, 5, "{unknown:?}");
}

#[tokio::test]
async fn calls_are_counted_by_service_endpoint_and_code() {
    let host = Host::of("echo").await;
    for _ in 0..3 {
        host.call("test.echo.Echo/Echo", &hello_json()).ok().await;
    }
    host.grpc("test.echo.Echo/EchoPlain", &hello()).outcome().await;
    host.call("test.echo.Echo/Echo", &json!({"no": 1})).fails().await;
    let metrics = host.metrics().await;
    let count = |endpoint, code| metrics.sum(CALLS, &[("service", "test.echo.Echo"), ("endpoint", endpoint), ("code", code)]);
    assert_eq!((count("Echo", "ok"), count("Echo", "invalid_argument"), count("EchoPlain", "ok")), (3.0, 1.0, 1.0), "{}", metrics.text);
    let buckets = metrics.samples("microhost_call_duration_seconds_bucket", &[("endpoint", "Echo"), ("le", "+Inf")]);
    assert_eq!(buckets, [4.0], "every call is in the histogram");
    assert!(metrics.value("microhost_call_duration_seconds_sum", &[("endpoint", "Echo")]) > 0.0);
    assert!(metrics.value(INSTANCES, &[]) >= 1.0);
    assert!(metrics.value(CONNECTIONS, &[]) >= 1.0, "the scrape's own");
}

#[tokio::test]
async fn metrics_are_prometheus_text_with_help_and_type() {
    let host = Host::of("echo").await;
    let answer = host.get("/_microhost/metrics").await;
    assert!(answer.header("content-type").contains("text"), "{answer:?}");
    let text = answer.text();
    for name in ["microhost_calls", "microhost_call_duration_seconds", "microhost_instances", "microhost_compile_cache_hits"] {
        assert!(text.contains(&format!("# HELP {name}")) && text.contains(&format!("# TYPE {name}")), "{name} in\n{text}");
    }
}

#[tokio::test]
async fn what_a_host_serves_is_listed() {
    let echo = settings::service("echo", &guests::guest("echo"), "");
    let both = echo + &settings::service("plain", &guests::guest("plain"), "");
    let host = Start::settings(&both).ready().await;
    let services = host.get("/_microhost/services").await.json().to_string();
    for name in ["test.echo.Echo", "EchoPlain", "test.plain.Plain", "Greet"] {
        assert!(services.contains(name), "{name} in {services}");
    }
}

#[tokio::test]
async fn a_path_that_is_nowhere_says_where_to_look() {
    let host = Host::of("echo").await;
    let answer = host.get("/nowhere").await;
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(!answer.body.is_empty(), "a 404 says what to do");
}

/// Reads a path as if a proxy on this machine asked for somebody elsewhere.
async fn through_a_proxy(host: &Host, path: &str, token: Option<&str>) -> u16 {
    let mut get = request("GET", host.address, path, "");
    get.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
    if let Some(token) = token {
        get.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    }
    send(host.address, Version::One, get).await.status.as_u16()
}

#[tokio::test]
async fn figures_are_for_this_machine_alone_unless_a_token_is_set() {
    let text = settings::service("echo", &guests::guest("echo"), "");
    let closed = Start::settings(&text).ready().await;
    let open = Start::settings(&(text + "[listen]\naddress = \"127.0.0.1:0\"\nadmin-token = \"open-sesame\"\n")).ready().await;
    for path in ["/_microhost/metrics", "/_microhost/services"] {
        assert_eq!(closed.get(path).await.status, 200, "{path}");
        assert_eq!(through_a_proxy(&closed, path, None).await, 403, "{path}");
        assert_eq!(through_a_proxy(&closed, path, Some("open-sesame")).await, 403, "{path}");
        assert_eq!(through_a_proxy(&open, path, None).await, 401, "{path}");
        assert_eq!(through_a_proxy(&open, path, Some("open-sesam")).await, 401, "{path}");
        assert_eq!(through_a_proxy(&open, path, Some("open-sesame")).await, 200, "{path}");
    }
    for path in ["/_microhost/health/live", "/_microhost/health/ready"] {
        assert_eq!(through_a_proxy(&closed, path, None).await, 200, "{path} is for everyone");
    }
}
