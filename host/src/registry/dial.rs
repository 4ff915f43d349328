//! Opens connections to other hosts, of each kind that an address may have.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::Address;
use crate::trust;

/// A connection, with TLS or without.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Opens a connection; `tls` is whom to trust, if not whom the machine does. It takes as long as the
/// network takes: the caller has a limit for it.
pub(super) async fn dial(address: &Address, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn Wire>> {
    match address {
        // What is asked there makes hosts known, and hosts of one NATS server are known to each other.
        Address::Nats(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "hosts are not asked by NATS")),
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { host, port, tls: false } => Ok(Box::new(connect(host, *port).await?)),
        Address::Tcp { host, port, tls: true } => {
            let config = match tls {
                Some(config) => Arc::clone(config),
                None => trust::client(&[b"http/1.1"]).await.map_err(io::Error::other)?,
            };
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            Ok(Box::new(TlsConnector::from(config).connect(name, connect(host, *port).await?).await?))
        }
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((host, port)).await?;
    // It fails for a connection that has broken already, which the first write tells better.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}
