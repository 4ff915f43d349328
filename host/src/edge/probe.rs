//! Whether a client has closed its side of a connection that nobody reads from: a service that
//! streams may leave the rest of its request unread for long, and HTTP/1 has no pings.

use std::os::fd::{AsRawFd, RawFd};

/// That the client has closed its side.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const CLOSED: i16 = libc::POLLRDHUP;
/// Elsewhere it is told with what is told anyway.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const CLOSED: i16 = 0;

/// Looks at a socket from beside whatever reads and writes it.
pub(super) struct Probe(RawFd);

impl Probe {
    pub(super) fn of(socket: &impl AsRawFd) -> Probe {
        Probe(socket.as_raw_fd())
    }

    /// Whether the client has closed its side or the connection is broken. To be asked only while the
    /// socket is open.
    pub(super) fn is_closed(&self) -> bool {
        let mut asked = libc::pollfd { fd: self.0, events: CLOSED, revents: 0 };
        // SAFETY: `poll` is given one valid entry, and returns at once with a timeout of zero.
        let answers = unsafe { libc::poll(&raw mut asked, 1, 0) };
        answers > 0 && asked.revents & (CLOSED | libc::POLLHUP | libc::POLLERR) != 0
    }
}
