//! What a guest may call by `wasi:http`, and over how many connections.

use e2e::host::{Host, Start};
use e2e::metrics::ACCEPTED;
use e2e::{guests, settings};
use tempfile::TempDir;

const LIVE: &str = "/_microhost/health/live";

/// What the site says of calls to `to`.
async fn fetch(host: &Host, how: &str, to: &str) -> String {
    host.get(&format!("/fetch?{how}to={to}{LIVE}")).await.text()
}

#[tokio::test]
async fn only_what_is_granted_is_called_and_the_log_says_what_to_write() {
    let target = Host::of("echo").await;
    let to = target.address.to_string();
    let denied = Host::of("site").await;
    assert!(!fetch(&denied, "", &to).await.starts_with("200"));
    denied.logged(&format!("write http = [\"{to}\"] in [service.site.grants], or start with --allow-http {to}")).await;
    let granted = Start::guest("site").arg("--allow-http").arg(&to).ready().await;
    assert!(fetch(&granted, "", &to).await.starts_with("200"));
    let mapped = format!("[::ffff:127.0.0.1]:{}", target.address.port());
    assert!(fetch(&granted, "", &mapped).await.starts_with("200"), "the same address in other words");
    for other in [format!("localhost:{}", target.address.port()), format!("127.0.0.2:{}", target.address.port()), "127.0.0.1".to_owned()] {
        assert!(!fetch(&granted, "", &other).await.starts_with("200"), "{other}");
    }
}

#[tokio::test]
async fn localhost_is_granted_by_its_name() {
    let target = Host::of("echo").await;
    let to = format!("localhost:{}", target.address.port());
    let host = Start::guest("site").arg("--allow-http").arg(&to).ready().await;
    assert!(fetch(&host, "", &to).await.starts_with("200"));
    assert!(!fetch(&host, "", &target.address.to_string()).await.starts_with("200"), "the address is not what was granted");
}

#[tokio::test]
async fn connections_are_used_again_and_shared_by_a_services_instances() {
    let target = Host::of("echo").await;
    let to = target.address.to_string();
    let host = Start::guest("site").arg("--allow-http").arg(&to).arg("--isolation").arg("request").ready().await;
    let before = target.metrics().await.value(ACCEPTED, &[]);
    for _ in 0..3 {
        assert_eq!(fetch(&host, "times=5&", &to).await.lines().filter(|line| line.starts_with("200")).count(), 5);
    }
    let after = target.metrics().await.value(ACCEPTED, &[]);
    // One is that of the metrics.
    assert_eq!(after - before, 2.0, "fifteen calls by three instances took one connection");
}

#[tokio::test]
async fn a_host_that_takes_no_connection_is_an_error_and_not_a_trap() {
    let host = Start::guest("site").arg("--allow-http").arg("127.0.0.1:1").ready().await;
    assert_eq!(host.get(&format!("/fetch?to=127.0.0.1:1{LIVE}")).await.status, 503);
}

#[tokio::test]
async fn tls_is_spoken_with_who_is_trusted() {
    let folder = TempDir::new().expect("a temporary folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).expect("it can be written to");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written to");
    let listen = format!("[listen]\naddress = \"127.0.0.1:0\"\ntls = {{ certificate = {chain:?}, key = {key:?} }}\n");
    let target = Start::settings(&(settings::service("echo", &guests::guest("echo"), "") + &listen)).ready().await;
    let to = format!("localhost:{}", target.address.port());
    let trusting = Start::guest("site").arg("--allow-http").arg(&to).env("SSL_CERT_FILE", &chain).ready().await;
    assert!(fetch(&trusting, "tls&times=3&", &to).await.starts_with("200"));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let others = folder.path().join("other.pem");
    std::fs::write(&others, other.cert.pem()).expect("it can be written to");
    let doubting = Start::guest("site").arg("--allow-http").arg(&to).env("SSL_CERT_FILE", &others).ready().await;
    assert_eq!(doubting.get(&format!("/fetch?tls&to={to}{LIVE}")).await.status, 500);
}
