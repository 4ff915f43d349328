//! TLS by settings: the same port, the same protocols, and errors for what cannot be used.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use e2e::command::Command;
use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version};
use e2e::{guests, settings, soon};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::messages::{Message, hello, hello_json};

const ECHO: &str = "test.echo.Echo/Echo";

/// A certificate for `localhost` and its key, as files; and the certificate for clients to trust.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    std::fs::write(folder.join("chain.pem"), made.cert.pem()).expect("it can be written to");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("it can be written to");
    made.cert.der().clone()
}

fn text(folder: &Path, key: &str) -> String {
    let tls = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\ntls = {{ certificate = {:?}, key = {:?} }}\n",
        folder.join("chain.pem"),
        folder.join(key)
    );
    settings::service("echo", &guests::guest("echo"), "") + &tls
}

/// Sends a request over TLS; the versions of HTTP are offered as ALPN names.
async fn send(host: &Host, trusted: &CertificateDer<'static>, version: Version, request: http::Request<Bytes>) -> Answer {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name: &[u8] = if version == Version::Two { b"h2" } else { b"http/1.1" };
    config.alpn_protocols = vec![name.to_vec()];
    let tcp = TcpStream::connect(host.address).await.expect("the host listens");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream =
        soon("a TLS handshake", connector.connect(ServerName::try_from("localhost").expect("a name"), tcp)).await.expect("a trusted host");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(name));
    soon("an answer", async { Connection::over(stream, version).await?.send(request).await }).await.expect("an answer")
}

#[tokio::test]
async fn every_protocol_is_spoken_over_tls() {
    let folder = TempDir::new().expect("a temporary folder");
    let trusted = certificate(folder.path());
    let host = Start::settings(&text(folder.path(), "key.pem")).ready().await;
    let answer = send(&host, &trusted, Version::One, host.call(ECHO, &hello_json()).into_request()).await;
    assert_eq!(answer.json(), hello_json());
    let answer = send(&host, &trusted, Version::Two, host.grpc(ECHO, &hello()).into_request()).await;
    assert_eq!(e2e::grpc::outcome(&answer).reply::<Message>(), hello());
}

#[tokio::test]
async fn curl_and_microhost_call_verify_the_certificate() {
    let folder = TempDir::new().expect("a temporary folder");
    certificate(folder.path());
    let host = Start::settings(&text(folder.path(), "key.pem")).ready().await;
    let url = format!("https://localhost:{}", host.address.port());
    let authority = folder.path().join("chain.pem");
    let authority = authority.to_str().expect("a temporary path is UTF-8");
    let body = hello_json().to_string();

    let curl = Command::new("curl").args(["--silent", "--show-error", "--max-time", "10", "--cacert", authority, "--data", &body]);
    let said = curl.args(["--header", "content-type: application/json", &format!("{url}/{ECHO}")]).run().await.json();
    assert_eq!(said, hello_json());

    let said = Command::microhost(["call", "echo", "echo", &body, "--at", &url, "--ca", authority]).run().await.json();
    assert_eq!(said, hello_json());
    for protocol in ["grpc", "grpc-web"] {
        let call = Command::microhost(["call", "echo", "echo", &body, "--at", &url, "--ca", authority, "--protocol", protocol]);
        assert_eq!(call.run().await.json(), hello_json(), "{protocol}");
    }
    let said = Command::microhost(["call", "echo", "echo", &body, "--at", &url, "--insecure"]).run().await.json();
    assert_eq!(said, hello_json());
    let untrusted = Command::microhost(["call", "echo", "echo", &body, "--at", &url]).run().await;
    assert_eq!(untrusted.code, Some(4), "{untrusted:?}");
    assert!(untrusted.failed().contains("--ca"));
}

#[tokio::test]
async fn a_client_without_tls_is_not_answered() {
    let folder = TempDir::new().expect("a temporary folder");
    certificate(folder.path());
    let host = Start::settings(&text(folder.path(), "key.pem")).ready().await;
    let mut client = e2e::raw::Raw::open(host.address).await;
    client.send("GET /_microhost/health/live HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let said = client.rest().await;
    assert!(!said.contains("200 OK"), "{said}");
}

#[tokio::test]
async fn files_that_are_no_certificate_and_key_are_named_before_anything_runs() {
    let folder = TempDir::new().expect("a temporary folder");
    certificate(folder.path());
    std::fs::write(folder.path().join("broken.pem"), "no key at all").expect("it can be written to");
    let other = TempDir::new().expect("a temporary folder");
    certificate(other.path());
    std::fs::copy(other.path().join("key.pem"), folder.path().join("other.pem")).expect("it can be copied");
    for key in ["missing.pem", "broken.pem", "other.pem"] {
        let (code, said) = Start::settings(&text(folder.path(), key)).refused().await;
        assert_eq!(code, 3, "{said}");
        assert!(said.contains(key), "{said}");
    }
}
