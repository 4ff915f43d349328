//! The host that is called, and the connections to it.

use std::path::PathBuf;
use std::sync::Arc;

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use microhost::settings::Subject;
use microhost::tunnel::Tunnels;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use super::tls::Trust;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// A connection, with TLS or without.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Which HTTP is spoken on a connection.
#[derive(Clone, Copy)]
pub enum Version {
    /// HTTP/1.1, which every Connect server knows.
    One,
    /// HTTP/2 at once, which gRPC needs, and what is to go both ways at a time.
    Two,
}

/// The host at a URL.
pub struct Target {
    /// The flag that named it.
    flag: &'static str,
    url: Url,
    host: String,
    port: u16,
    tls: Option<Trust>,
    way: Way,
}

/// What leads there.
enum Way {
    /// The network, by the host and port.
    Network,
    /// A socket of this machine.
    Socket(PathBuf),
    /// A NATS server, at the host's subject.
    Nats(Arc<Tunnels>, Subject),
}

impl Target {
    /// Reads what a flag such as `--at` names; without a scheme it means `http://`.
    pub fn parse(flag: &'static str, at: &str, trust: Trust) -> Outcome<Target> {
        let wrong = |why: &str| {
            let failure = Failure::new(Exit::Usage, format!("{flag} {at:?} is no address of a host")).note(why);
            Err(failure.advise(format!("{flag} http://127.0.0.1:8080")))
        };
        if let Some(path) = at.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.as_os_str().is_empty() {
                return wrong("unix: needs the path of a socket");
            }
            return Ok(Target::by(flag, Way::Socket(path)));
        }
        let text = if at.contains("://") { at.to_owned() } else { format!("http://{at}") };
        let url = match Url::parse(&text) {
            Ok(url) => url,
            Err(error) => return wrong(&error.to_string()),
        };
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(trust),
            scheme => return wrong(&format!("{scheme}:// is not spoken, only http://, https:// and unix:")),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return wrong("it names no host");
        };
        // The URL's form of an IPv6 address has brackets, the resolver's has none.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Target { flag, host, port, tls, url, way: Way::Network })
    }

    /// The host that listens at a subject of a NATS server, which was found by `flag`.
    pub fn by_nats(flag: &'static str, tunnels: &Arc<Tunnels>, subject: &Subject) -> Target {
        Target::by(flag, Way::Nats(Arc::clone(tunnels), subject.clone()))
    }

    /// A host that no name of the network leads to.
    fn by(flag: &'static str, way: Way) -> Target {
        // What it is asked for is the same whoever asks.
        let url = Url::parse("http://localhost").expect("a URL");
        Target { flag, host: "localhost".to_owned(), port: 80, tls: None, url, way }
    }

    /// The URL without what follows the port, as requests have it.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Where it is, for people.
    pub fn name(&self) -> String {
        match &self.way {
            Way::Network => self.origin(),
            Way::Socket(path) => format!("unix:{}", path.display()),
            Way::Nats(_, subject) => format!("nats:{subject}"),
        }
    }

    /// The path of an endpoint below the URL's own.
    pub fn path(&self, endpoint: &str) -> Outcome<PathAndQuery> {
        let path = format!("{}{endpoint}", self.url.path().trim_end_matches('/'));
        path.parse().map_err(|error| Failure::new(Exit::Usage, format!("{path:?} is no path")).because(&error))
    }

    /// What to write into `Host`.
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// What to do where nobody answers.
    fn elsewhere(&self) -> String {
        let named = format!("start a service with `microhost run`, name another host with {} URL", self.flag);
        // Who was found is one of those that are there.
        if self.flag == "--at" { format!("{named}, or find one with --discover") } else { named.replace(", name", ", or name") }
    }

    /// Opens a connection.
    pub async fn connect(&self, version: Version) -> Outcome<TokioIo<Box<dyn Wire>>> {
        let alpn = match version {
            Version::One => "http/1.1",
            Version::Two => "h2",
        };
        // First, so that a wrong flag is told before an absent host.
        let tls = self.tls.as_ref().map(|trust| trust.config(alpn)).transpose()?;
        let nobody =
            |error| Failure::new(Exit::Unreachable, format!("nobody answers at {}", self.name())).because(&error).advise(self.elsewhere());
        match &self.way {
            Way::Network => {}
            Way::Socket(path) => return Ok(TokioIo::new(Box::new(UnixStream::connect(path).await.map_err(nobody)?))),
            Way::Nats(tunnels, subject) => return Ok(TokioIo::new(Box::new(tunnels.open(subject).await.map_err(nobody)?))),
        }
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(nobody)?;
        // Messages are small and few; one that waits for the host to confirm the last is late.
        tcp.set_nodelay(true).map_err(|error| Failure::new(Exit::Unreachable, format!("{} went away", self.name())).because(&error))?;
        let wire: Box<dyn Wire> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|error| Failure::new(Exit::Usage, format!("{:?} is no server name for TLS", self.host)).because(&error))?;
                let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| {
                    Failure::new(Exit::Unreachable, format!("no TLS with {}", self.name()))
                        .because(&error)
                        .advise("--ca FILE names the authority to trust; http:// if the host has no TLS; --insecure only for a test")
                })?;
                Box::new(tls)
            }
        };
        Ok(TokioIo::new(wire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme_and_keeps_its_path() {
        let target = Target::parse("--at", "[::1]:9000", Trust::default()).ok().expect("an address");
        assert_eq!((target.host.as_str(), target.port, target.authority()), ("::1", 9000, "[::1]:9000"));
        let target = Target::parse("--at", "https://api.example.com/v1/", Trust::default()).ok().expect("a URL");
        assert_eq!((target.port, target.tls.is_some()), (443, true));
        assert_eq!(target.path("/a.B/C").ok().expect("a path"), "/v1/a.B/C");
    }

    #[test]
    fn a_socket_is_an_address() {
        for (at, path) in [("unix:/run/a.sock", "/run/a.sock"), ("unix:a.sock", "a.sock"), ("unix:///run/a.sock", "/run/a.sock")] {
            let target = Target::parse("--at", at, Trust::default()).ok().expect("an address");
            assert!(
                matches!(&target.way, Way::Socket(socket) if socket == path.as_ref() as &std::path::Path)
                    && target.authority() == "localhost"
            );
            assert_eq!(
                (target.name(), target.path("/a.B/C").ok().expect("a path")),
                (format!("unix:{path}"), "/a.B/C".parse().expect("a path"))
            );
        }
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for at in ["nats://localhost", "unix:", "http://", "http://a:99999"] {
            assert_eq!(Target::parse("--at", at, Trust::default()).err().map(|failure| failure.exit()), Some(Exit::Usage), "{at}");
        }
    }
}
