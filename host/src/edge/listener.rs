//! Accepting connections and handing each to a lane. Nothing that a client or the kernel does ends
//! the acceptor.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_rustls::TlsAcceptor;

use super::accepted::Accepted;
use super::connection::{self, Http};
use super::open::Entry;
use super::{Edge, EdgeError};
use crate::lanes::Lanes;
use crate::sockets::{Rights, Socket as File, SocketError};
use crate::tunnel;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// When the kernel asks a quiet client whether it is there, how often again, and how many times in
/// vain.
const ALIVE_AFTER: Duration = Duration::from_secs(30);
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const ALIVE_TRIES: u32 = 3;

/// The pause after the kernel had no descriptor or memory for a connection: time for others to end.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client is told where there are too many connections. It is written without reading the
/// request, so whatever the client speaks it is HTTP/1.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-type: application/json\r\ncontent-length: 74\r\n\r\n{\"code\":\"unavailable\",\"message\":\"too many connections, try again shortly\"}";

/// Binds the listener; the address is the real one.
pub(super) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), EdgeError> {
    let bound = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A host that restarts must not wait for its old connections to be forgotten.
        socket.set_reuse_address(true)?;
        // Accepted sockets have it from here (tcp(7)): a stream may be quiet for long, and a client that
        // vanishes says nothing.
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ALIVE_AFTER).with_interval(ALIVE_INTERVAL).with_retries(ALIVE_TRIES))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => EdgeError::InUse { address },
        _ => EdgeError::Listen { address, source },
    })
}

/// Listens at a socket of this machine. Who may connect is told by its file: the user of this process and
/// the file's group, such as a proxy has that is put before this host.
pub(super) fn bind_file(path: &Path) -> Result<(UnixListener, File), EdgeError> {
    let file = File::open(path, Rights::Group, BACKLOG)?;
    let listener = file.listener().map_err(|source| SocketError::Listen { path: path.to_owned(), source })?;
    Ok((listener, file))
}

/// What connections come by.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Listener::Tcp(listener) => listener.as_raw_fd(),
            Listener::Unix(listener) => listener.as_raw_fd(),
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(socket, address)| Accepted::Tcp(socket, address)),
            Listener::Unix(listener) => listener.accept().map(|(socket, _)| Accepted::Unix(socket)),
        }
    }
}

/// What accepts.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) edge: Arc<Edge>,
    pub(super) lanes: Lanes,
    /// Connections at once.
    pub(super) most: usize,
    pub(super) http: Arc<Http>,
    pub(super) tls: Option<TlsAcceptor>,
}

impl Acceptor {
    /// Accepts until it is dropped.
    pub(super) async fn run(self, listener: Listener) {
        // Not tokio's listener: its sockets would belong to this lane's reactor.
        // SAFETY: a listener keeps the one descriptor that it owns until it is dropped, after its registration.
        let listener = match unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) } {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                return;
            }
        };
        loop {
            // An error means that the runtime ends.
            let Ok(mut ready) = listener.readable().await else { return };
            match ready.try_io(|listener| listener.get_ref().accept()) {
                Ok(Ok(accepted)) => self.take(accepted),
                Ok(Err(error)) if is_of_one_connection(&error) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted; trying again in {PAUSE:?}");
                    tokio::time::sleep(PAUSE).await;
                }
                // Not ready after all.
                Err(_) => {}
            }
        }
    }

    /// Takes the connections by NATS until it is dropped.
    pub(super) async fn run_tunnels(self, mut listener: tunnel::Listener) {
        while let Some(tunnel) = listener.next().await {
            if self.counts() {
                let place = self.edge.place();
                let entry = Entry::new(self.edge.clone());
                let lane = place.lane;
                self.lanes.spawn_on(lane, connection::run_tunnel(entry, place, tunnel, self.http.clone()));
            }
        }
    }

    /// Counts a connection that has come; false where there are as many as may be.
    fn counts(&self) -> bool {
        let stats = &self.edge.overview.edge;
        stats.accepted.fetch_add(1, Relaxed);
        let full = usize::try_from(stats.connections.load(Relaxed)).is_ok_and(|open| open >= self.most);
        if full {
            stats.refused.fetch_add(1, Relaxed);
        }
        !full
    }

    fn take(&self, accepted: Accepted) {
        if !self.counts() {
            match accepted {
                Accepted::Tcp(socket, _) if self.tls.is_none() => refuse(socket, TcpStream::set_nonblocking),
                Accepted::Tcp(..) => {}
                Accepted::Unix(socket) => refuse(socket, UnixStream::set_nonblocking),
            }
            return;
        }
        // It fails only for a socket that is broken already.
        if let Err(error) = accepted.prepare() {
            tracing::debug!(%error, address = accepted.address().map(tracing::field::display), "a connection broke while it was accepted");
            return;
        }
        let place = self.edge.place();
        // Entered here and not on the lane, so that a drain misses none.
        let entry = Entry::new(self.edge.clone());
        let lane = place.lane;
        self.lanes.spawn_on(lane, connection::run(entry, place, accepted, self.http.clone(), self.tls.clone()));
    }
}

/// Says no. Never waits: what does not fit into the socket's buffer at once is dropped.
fn refuse<S: Read + Write>(mut socket: S, at_once: fn(&S, bool) -> io::Result<()>) {
    if at_once(&socket, true).is_err() {
        return;
    }
    // Unread data would make the kernel reset the connection, and the client might lose the answer.
    let _ = socket.read(&mut [0; 4096]);
    // The client may be gone already.
    let _ = socket.write(FULL);
}

/// Whether an error is of one connection that broke before it was accepted; Linux passes those on
/// (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_announces_its_own_length() {
        let text = std::str::from_utf8(FULL).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).expect("JSON");
    }

    #[test]
    fn a_busy_port_is_named_with_what_to_do() {
        let (_held, address) = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let error = bind(address).expect_err("in use").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_told_apart_from_a_busy_port() {
        let error = bind(SocketAddr::from(([192, 0, 2, 1], 0))).expect_err("not ours");
        assert!(matches!(error, EdgeError::Listen { .. }), "{error}");
    }
}
