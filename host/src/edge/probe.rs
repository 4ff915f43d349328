//! Whether a client has closed its side of a connection that nobody reads from: a service that
//! streams may leave the rest of its request unread for long, and HTTP/1 has no pings.

use std::os::fd::{AsRawFd as _, RawFd};

/// Looks at a socket from beside whatever reads and writes it.
pub(super) struct Probe(RawFd);

impl Probe {
    pub(super) fn of(socket: &tokio::net::TcpStream) -> Probe {
        Probe(socket.as_raw_fd())
    }

    /// Whether the client has closed its side or the connection is broken. To be asked only while the
    /// socket is open.
    pub(super) fn is_closed(&self) -> bool {
        let mut asked = libc::pollfd { fd: self.0, events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: `poll` is given one valid entry, and returns at once with a timeout of zero.
        let answers = unsafe { libc::poll(&raw mut asked, 1, 0) };
        answers > 0 && asked.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }
}
