//! Makes connections: looks the host up, checks what was found, and connects to just that.
//!
//! Between the check and the connection nothing is looked up again, so a name that stands for one
//! address now and for another then leads nowhere else.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::fault::ConnectError;
use super::resolve::Resolve;
use super::rules::{self, place};
use super::stream::{Places, Stream};
use crate::settings::{GrantedHost, HttpGrant};
use crate::trust;
use crate::wasm::quota::Quota;

/// The longest that a connection may take to come about, whatever the guest says: look-up, TCP and TLS.
pub const MAX_CONNECT: Duration = Duration::from_secs(60);

/// Addresses of one name that are tried, one after the other.
const MAX_ADDRESSES: usize = 8;

/// How long one address is tried where there is another.
const ADDRESS_TIME: Duration = Duration::from_secs(5);

/// Connections that one service may have open by one grant.
pub const MAX_TO_HOST: usize = 64;

/// Where and by which right a service connects.
pub struct Ways {
    grants: Vec<HttpGrant>,
    /// The places of each grant.
    to_host: Vec<Arc<Semaphore>>,
    of_service: Arc<Semaphore>,
    connections: usize,
    quota: Arc<Quota>,
    resolver: Box<dyn Resolve>,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The host.
    pub host: GrantedHost,
    /// The port.
    pub port: u16,
    /// Whether by TLS.
    pub tls: bool,
}

impl Target {
    /// Where a URI leads; `None` where it has no host that could be called.
    pub fn of(uri: &Uri) -> Option<Target> {
        let authority = uri.authority()?;
        // Names and passwords are no part of what is granted.
        if authority.as_str().contains('@') {
            return None;
        }
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // A colon with nothing, or nonsense, behind it.
            None if authority.as_str().len() != authority.host().len() => return None,
            None if tls => 443,
            None => 80,
        };
        Some(Target { host: GrantedHost::parse(authority.host())?, port, tls })
    }
}

impl Ways {
    /// The ways of a service with these grants, which may have so many connections.
    pub fn new(grants: &[HttpGrant], connections: usize, quota: &Arc<Quota>, resolver: Box<dyn Resolve>) -> Ways {
        // A semaphore holds no more than that.
        let connections = connections.min(Semaphore::MAX_PERMITS);
        Ways {
            grants: grants.to_vec(),
            to_host: grants.iter().map(|_| Arc::new(Semaphore::new(MAX_TO_HOST))).collect(),
            of_service: Arc::new(Semaphore::new(connections)),
            connections,
            quota: Arc::clone(quota),
            resolver,
        }
    }

    /// The grant for a target, if there is one.
    pub fn grant(&self, target: &Target) -> Option<usize> {
        rules::find(&self.grants, &target.host, target.port)
    }

    /// The addresses of a target that may be reached by a grant.
    async fn addresses(&self, target: &Target, grant: usize) -> Result<Vec<SocketAddr>, ConnectError> {
        let grant = &self.grants[grant];
        let found: Vec<IpAddr> = match &target.host {
            GrantedHost::Address(address) => vec![*address],
            GrantedHost::Name(name) => self.resolver.resolve(name).await.map_err(ConnectError::Name)?,
        };
        let first = *found.first().ok_or_else(|| ConnectError::Name(std::io::ErrorKind::NotFound.into()))?;
        let allowed: Vec<SocketAddr> = found
            .into_iter()
            .filter(|address| rules::allows(&self.grants, grant, *address, target.port))
            .take(MAX_ADDRESSES)
            .map(|address| SocketAddr::new(address, target.port))
            .collect();
        if allowed.is_empty() {
            return Err(ConnectError::Prohibited {
                host: target.host.to_string(),
                address: first,
                port: target.port,
                place: place(first),
                grant: grant.to_string(),
            });
        }
        Ok(allowed)
    }

    async fn places(&self, grant: usize) -> Result<Places, ConnectError> {
        let deadline = Instant::now() + MAX_CONNECT;
        let host = timeout_at(deadline, Arc::clone(&self.to_host[grant]).acquire_owned()).await;
        let host = host.map_err(|_| ConnectError::Full("to this host"))?.expect("the semaphore is never closed");
        let all = timeout_at(deadline, Arc::clone(&self.of_service).acquire_owned()).await;
        let higher = self.connections.max(1).saturating_mul(2).to_string();
        let full = |_| ConnectError::Limit(self.quota.reached("connections", self.connections, &higher).message().to_owned());
        let all = all.map_err(full)?.expect("the semaphore is never closed");
        Ok(Places::new([host, all], Arc::clone(self.quota.stats())))
    }

    async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let not_granted = || ConnectError::Refused(std::io::ErrorKind::PermissionDenied.into());
        // The request was checked; so is the connection, since it is what counts.
        let target = Target::of(uri).ok_or_else(not_granted)?;
        let grant = self.grant(&target).ok_or_else(not_granted)?;
        let places = self.places(grant).await?;
        timeout(MAX_CONNECT, async {
            let addresses = self.addresses(&target, grant).await?;
            let stream = any(&addresses).await?;
            // It fails for a connection that has broken already, which the first write tells better.
            let _ = stream.set_nodelay(true);
            if !target.tls {
                return Ok(Stream::plain(stream, places));
            }
            let name = match &target.host {
                GrantedHost::Address(address) => ServerName::from(*address),
                GrantedHost::Name(name) => {
                    ServerName::try_from(name.to_string()).map_err(|error| ConnectError::Tls(std::io::Error::other(error)))?
                }
            };
            let stream = TlsConnector::from(trusting().await?).connect(name, stream).await.map_err(ConnectError::Tls)?;
            Ok(Stream::tls(stream, places))
        })
        .await
        .unwrap_or(Err(ConnectError::Late))
    }
}

/// Connects to the first address that takes it.
async fn any(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Late;
    for (address, left) in addresses.iter().zip((0..addresses.len()).rev()) {
        let time = if left == 0 { MAX_CONNECT } else { ADDRESS_TIME };
        last = match timeout(time, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => ConnectError::Refused(error),
            Err(_) => ConnectError::Late,
        };
    }
    Err(last)
}

/// HTTP/2 where the other side speaks it.
async fn trusting() -> Result<Arc<ClientConfig>, ConnectError> {
    static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let config = CONFIG.get_or_try_init(|| async { trust::client(&[b"h2", b"http/1.1"]).await.map_err(ConnectError::Trust) });
    config.await.cloned()
}

/// The ways, as hyper's pool asks for connections.
#[derive(Clone)]
pub struct Connector(pub Arc<Ways>);

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let ways = Arc::clone(&self.0);
        Box::pin(async move { ways.connect(&uri).await })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;
    use tokio::net::TcpListener;

    use super::*;

    /// Gives other addresses at every question, as a server that rebinds its name does.
    struct Rebinds(Mutex<Vec<Vec<IpAddr>>>);

    impl Resolve for Rebinds {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<Vec<IpAddr>>> {
            let answer = self.0.lock().expect("no holder panics").pop().unwrap_or_default();
            Box::pin(async { Ok(answer) })
        }
    }

    fn ways(grants: &[&str], answers: &[&[&str]]) -> Ways {
        let grants: Vec<HttpGrant> = grants.iter().map(|grant| grant.parse().expect("a grant")).collect();
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("an address")).collect();
        let limits = crate::settings::Limits::default();
        let quota = Quota::new("caller".into(), &limits, Arc::default());
        Ways::new(&grants, limits.connections, &quota, Box::new(Rebinds(Mutex::new(answers.iter().rev().map(parse).collect()))))
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    }

    fn uri(text: &str) -> Uri {
        text.parse().expect("a URI")
    }

    #[test]
    fn a_target_is_what_the_uri_leads_to() {
        let target = |text: &str| Target::of(&uri(text)).map(|target| (target.host.to_string(), target.port, target.tls));
        assert_eq!(target("https://API.example.com/x"), Some(("api.example.com".into(), 443, true)));
        assert_eq!(target("http://[::1]:9000"), Some(("[::1]".into(), 9000, false)));
        assert_eq!(target("http://[::ffff:127.0.0.1]/"), Some(("127.0.0.1".into(), 80, false)));
        for text in ["http://granted.example.com@127.0.0.1/", "/path", "http://a:99999/", "http://a%2e/"] {
            let Ok(uri) = text.parse::<Uri>() else { continue };
            assert_eq!(Target::of(&uri), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_is_refused_with_what_to_write() {
        let (_listener, port) = listener().await;
        let ways = ways(&[&format!("evil.example.com:{port}")], &[&["127.0.0.1"]]);
        let error = ways.connect(&uri(&format!("http://evil.example.com:{port}/"))).await.err().expect("refused");
        assert!(matches!(error, ConnectError::Prohibited { .. }), "{error}");
        assert!(error.to_string().contains(&format!("\"127.0.0.1:{port}\"")), "{error}");
    }

    #[tokio::test]
    async fn each_connection_is_checked_and_goes_to_what_was_checked() {
        let (listener, port) = listener().await;
        let name = format!("evil.example.com:{port}");
        // 127.0.0.1 is granted by its address; the second question is answered with another address of this machine.
        let ways = ways(&[&name, &format!("127.0.0.1:{port}")], &[&["127.0.0.1"], &["127.0.0.2"]]);
        let uri = uri(&format!("http://{name}/"));
        let (connected, accepted) = tokio::join!(ways.connect(&uri), listener.accept());
        connected.expect("granted as an address");
        assert_eq!(accepted.expect("a connection").0.local_addr().expect("it is connected").ip().to_string(), "127.0.0.1");
        assert!(matches!(ways.connect(&uri).await.err(), Some(ConnectError::Prohibited { .. })));
    }

    #[tokio::test]
    async fn of_several_addresses_only_the_allowed_ones_are_tried() {
        let ways = ways(&["api.example.com@private"], &[&["169.254.169.254", "10.0.0.1", "127.0.0.1", "1.1.1.1"]]);
        let target = Target::of(&uri("http://api.example.com/")).expect("a target");
        let addresses = ways.addresses(&target, 0).await.expect("some are allowed");
        assert_eq!(addresses, ["10.0.0.1:80", "1.1.1.1:80"].map(|address| address.parse::<SocketAddr>().expect("an address")));
    }

    #[tokio::test]
    async fn what_is_not_granted_is_not_even_looked_up() {
        let ways = ways(&["api.example.com"], &[]);
        assert!(matches!(ways.connect(&uri("http://other.example.com/")).await.err(), Some(ConnectError::Refused(_))));
    }
}
