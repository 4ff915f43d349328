//! The sockets that calls go over.

use rustls::RootCertStore;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

#[tokio::test]
async fn a_call_goes_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("host.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move { echo(listener.accept().await.expect("a connection").0).await });
    let calls = Calls::start(Patience::default());
    let reply = call(&calls.to(&Address::Unix(path)), "abc").await.expect("answered");
    assert_eq!(reply.body, "abc".into());
}

/// A host that speaks TLS under this name, and those who trust it.
async fn secure(name: &str, protocol: &[u8]) -> (u16, RootCertStore) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).expect("a pair");
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            if let Ok(socket) = acceptor.accept(socket).await {
                echo(socket).await;
            }
        }
    });
    let Address::Tcp { port, .. } = address else { unreachable!("a port") };
    (port, roots)
}

#[tokio::test]
async fn a_call_goes_by_tls_to_whom_its_certificate_names() {
    let (port, roots) = secure("localhost", b"h2").await;
    let calls = Calls::with(Patience::default(), Trust::only(roots));
    let call_to = |host: &str| {
        let channel = calls.to(&Address::Tcp { host: host.into(), port, tls: true });
        async move { call(&channel, "abc").await }
    };
    assert_eq!(call_to("localhost").await.expect("answered").body, "abc".into());
    let status = call_to("127.0.0.1").await.expect_err("another name");
    assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
}

#[tokio::test]
async fn a_host_that_nobody_vouches_for_or_that_has_no_http2_sees_no_call() {
    let (port, _) = secure("localhost", b"h2").await;
    let (other, roots) = secure("localhost", b"http/1.1").await;
    let calls = Calls::with(Patience::default(), Trust::only(roots));
    for port in [port, other] {
        let channel = calls.to(&Address::Tcp { host: "localhost".into(), port, tls: true });
        let status = call(&channel, "abc").await.expect_err("not trusted");
        assert_eq!((status.code(), status.is_unseen()), (Code::Unavailable, true), "{status:?}");
    }
}
