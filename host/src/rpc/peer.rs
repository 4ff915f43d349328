//! Where a connection came from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where a connection came from, as the system tells it; whoever connects can say nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address of the network.
    Tcp(SocketAddr),
    /// A process of this machine, by a Unix socket.
    Unix {
        /// The user that it ran as when it connected.
        user: u32,
        /// Its process id, where the system tells it.
        process: Option<i32>,
    },
}

impl Peer {
    /// Its address; that of this machine for one that came by a socket of it.
    pub fn ip(&self) -> IpAddr {
        match self {
            Peer::Tcp(address) => address.ip(),
            Peer::Unix { .. } => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Whether it came over a network, loopback being one.
    pub fn is_of_network(&self) -> bool {
        matches!(self, Peer::Tcp(_))
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Tcp(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix { user, process: None } => write!(f, "unix:uid={user}"),
            Peer::Unix { user, process: Some(process) } => write!(f, "unix:uid={user},pid={process}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_by_a_socket_is_told_by_user_and_process() {
        let peer = Peer::Unix { user: 1000, process: Some(42) };
        assert_eq!((peer.to_string(), peer.ip().is_loopback(), peer.is_of_network()), ("unix:uid=1000,pid=42".into(), true, false));
        assert_eq!(Peer::Unix { user: 0, process: None }.to_string(), "unix:uid=0");
    }
}
