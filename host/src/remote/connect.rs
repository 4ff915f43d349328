//! Makes sockets: TCP, TLS, Unix, and connections by NATS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::Context;
use crate::registry::Address;
use crate::trust;

/// What the other side of a connection that carries HTTP/2 by TLS must agree to.
const PROTOCOL: &[u8] = b"h2";

/// Addresses of one name that are tried, one after the other.
const MAX_ADDRESSES: usize = 8;

/// A connection's bytes, whatever carries them.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Whose certificates are taken. Those of the machine are read when the first one is looked at.
#[derive(Default)]
pub struct Trust(OnceCell<Arc<ClientConfig>>);

impl Trust {
    /// Trusts whom `roots` name, and nobody else.
    #[cfg(test)]
    pub fn only(roots: rustls::RootCertStore) -> Trust {
        Trust(OnceCell::new_with(Some(trust::with_roots(Arc::new(roots), &[PROTOCOL]).expect("a protocol version"))))
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        self.0.get_or_try_init(|| async { trust::client(&[PROTOCOL]).await.map_err(io::Error::other) }).await.cloned()
    }
}

/// Connects. What was sent and not acknowledged for as long as the other host is waited for ends the connection.
pub async fn connect(address: &Address, context: &Context) -> io::Result<Box<dyn Socket>> {
    match address {
        Address::Nats(subject) => {
            let nowhere = || io::Error::new(io::ErrorKind::Unsupported, "this host has no NATS server, or the address no subject");
            let (tunnels, subject) = context.tunnels.as_ref().zip(subject.as_ref()).ok_or_else(nowhere)?;
            Ok(Box::new(tunnels.open(subject).await?))
        }
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { host, port, tls } => {
            let stream = any(host, *port).await?;
            stream.set_nodelay(true)?;
            tended(&stream, context.patience.most())?;
            if !tls {
                return Ok(Box::new(stream));
            }
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(context.trust.config().await?).connect(name, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(PROTOCOL) {
                return Err(io::Error::other("the other side does not speak HTTP/2"));
            }
            Ok(Box::new(stream))
        }
    }
}

/// Connects to the first address of a name that takes it.
async fn any(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await?.take(MAX_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Pings tell that nothing comes any more; this is for what still waits to be sent when a network is cut.
#[cfg(target_os = "linux")]
fn tended(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(patience))
}

/// Elsewhere the system has no such limit, and pings alone tell.
#[cfg(not(target_os = "linux"))]
fn tended(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}
