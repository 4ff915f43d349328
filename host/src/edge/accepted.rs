//! A connection between the listener, which accepts it, and the lane that serves it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

/// A connection that came.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Accepted {
    /// The address that it came from, where it came by the network.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Accepted::Tcp(_, address) => Some(*address),
            Accepted::Unix(_) => None,
        }
    }

    /// Has it wait for nothing.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match self {
            Accepted::Tcp(socket, _) => socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)),
            Accepted::Unix(socket) => socket.set_nonblocking(true),
        }
    }
}
