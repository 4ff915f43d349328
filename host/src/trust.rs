//! Whom this machine trusts, as curl and the rest of it do: a company's own authorities work unasked.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// The settings of TLS for a client that trusts whom this machine trusts, and speaks these protocols, the
/// first one best. The machine's authorities are read once.
///
/// Fails with what to do where there are none.
pub async fn client(protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, String> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
    // Files are read for it, and a lane does not wait for files.
    let read = || async { tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string())) };
    let roots = ROOTS.get_or_try_init(read).await?;
    with_roots(Arc::clone(roots), protocols)
}

/// The same for a client that trusts whom `roots` name.
pub fn with_roots(roots: Arc<RootCertStore>, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let mut config = builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn read() -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    // Machines carry old certificates that nobody can read any more; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine has no certificate authorities to trust: install the package ca-certificates".to_owned());
    }
    Ok(Arc::new(roots))
}
