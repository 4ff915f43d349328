//! TLS from two PEM files, with the protocols that the listener speaks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::EdgeError;
use crate::settings::Tls;

/// The time that a handshake may take.
pub(super) const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// What accepts TLS with these files.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, EdgeError> {
    let fault = |path: &Path, why: String| EdgeError::Tls { path: path.to_owned(), why };
    let certificates = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(&tls.certificate, error.to_string()))?;
    if certificates.is_empty() {
        return Err(fault(&tls.certificate, "it holds no certificate; expected PEM: -----BEGIN CERTIFICATE-----".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => {
            fault(&tls.key, "it holds no private key; expected PEM: -----BEGIN PRIVATE KEY-----".into())
        }
        error => fault(&tls.key, error.to_string()),
    })?;
    let pair =
        |error: rustls::Error| EdgeError::Pair { certificate: tls.certificate.clone(), key: tls.key.clone(), why: error.to_string() };
    // Named rather than the process's default, which another library may have set.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        for (name, text) in [
            ("good.pem", made.cert.pem()),
            ("good.key", made.signing_key.serialize_pem()),
            ("other.key", other.signing_key.serialize_pem()),
            ("empty", String::new()),
            ("cut", made.cert.pem()[..60].to_owned()),
        ] {
            std::fs::write(path(name), text).expect("written");
        }
        let error = |certificate: &str, key: &str| {
            acceptor(&Tls { certificate: path(certificate), key: path(key) }).err().expect("refused").to_string()
        };
        acceptor(&Tls { certificate: path("good.pem"), key: path("good.key") }).expect("good files");
        for (certificate, key, names) in [
            ("missing", "good.key", "missing"),
            ("empty", "good.key", "no certificate"),
            ("cut", "good.key", "cut"),
            ("good.pem", "missing", "missing"),
            ("good.pem", "empty", "no private key"),
            ("good.pem", "good.pem", "no private key"),
            ("good.pem", "other.key", "other.key"),
        ] {
            let error = error(certificate, key);
            assert!(error.contains(names), "{certificate}, {key}: {error}");
        }
    }
}
