//! Whom a call over TLS trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// Whom to trust: the machine's authorities, unless told otherwise.
#[derive(Clone, Default)]
pub struct Trust {
    /// Trust these authorities instead of the machine's.
    pub ca: Option<PathBuf>,
    /// Trust anyone.
    pub insecure: bool,
}

impl Trust {
    /// The settings of a connection that is to speak `alpn`.
    pub fn config(&self, alpn: &str) -> Outcome<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(Exit::Failed, "cannot set up TLS").because(&error))?;
        let mut config = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))).with_no_client_auth()
        } else {
            builder.with_root_certificates(self.roots()?).with_no_client_auth()
        };
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Outcome<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(file) => {
                let refused = || Failure::new(Exit::Refused, format!("--ca {} holds no certificate to trust", file.display()));
                let certificates = CertificateDer::pem_file_iter(file).map_err(|error| refused().because(&error))?;
                for certificate in certificates {
                    roots.add(certificate.map_err(|error| refused().because(&error))?).map_err(|error| refused().because(&error))?;
                }
                if roots.is_empty() {
                    return Err(refused().advise("a PEM file with a BEGIN CERTIFICATE line"));
                }
            }
            None => {
                let native = rustls_native_certs::load_native_certs();
                // Machines carry old certificates that nobody can read any more; the others count.
                roots.add_parsable_certificates(native.certs);
                if roots.is_empty() {
                    return Err(native.errors.iter().fold(
                        Failure::new(Exit::Failed, "this machine has no certificate authorities to trust")
                            .advise("install the package ca-certificates, or name one with --ca FILE"),
                        |failure, error| failure.because(error),
                    ));
                }
            }
        }
        Ok(roots)
    }
}

/// `--insecure`: the certificate is not looked at, the handshake's signatures still are.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
