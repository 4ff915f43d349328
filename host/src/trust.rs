//! Whom this machine trusts, for whatever speaks TLS to others.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// TLS by the machine's certificate authorities, which are read once, for protocols such as `h2`.
pub async fn config(protocols: &[&[u8]]) -> Result<ClientConfig, String> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
    let roots = ROOTS.get_or_try_init(|| async {
        // Files are read for it, and a lane does not wait for files.
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string())).map(Arc::new)
    });
    by(Arc::clone(roots.await?), protocols)
}

/// TLS by these certificate authorities.
pub fn by(roots: Arc<RootCertStore>, protocols: &[&[u8]]) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let mut config = builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn read() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Machines carry old certificates that nobody can read any more; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine has no certificate authorities to trust: install the package ca-certificates".to_owned());
    }
    Ok(roots)
}
