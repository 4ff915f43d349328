//! Connections between hosts that cannot reach one another, by a NATS server that both can reach: streams
//! of bytes over its subjects, on which hosts speak HTTP/2 as they do on a socket.
//!
//! A host listens at a subject of its own. Who connects names one that it listens at itself, for this
//! connection alone, and is answered with another one; from then on each side sends to that of the other.
//! NATS may lose messages, so they are numbered, and one that is missing ends the connection as a broken
//! one does. It keeps what was not read and cuts off whoever reads too slowly, so neither side sends more
//! than the other has said that it has room for. It answers what is sent to nobody, so that a side learns
//! at once that the other one has gone.

use std::io;
use std::sync::Arc;

use async_nats::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connections::{self, Nats};
use crate::settings::{HostName, Subject};

mod frame;
mod listen;
mod open;
mod stream;
#[cfg(test)]
mod tests;

pub use listen::Listener;
pub use stream::Tunnel;

/// Bytes that the other side may send ahead of us reading them.
///
/// A NATS server cuts off who has 64 MiB to read (`max_pending`), which all connections together must not
/// come to.
const WINDOW: u32 = 256 << 10;
const MAX_PENDING: usize = 64 << 20;
const _: () = assert!((MAX_OPENED + MAX_ACCEPTED) * (WINDOW as usize) <= MAX_PENDING);

/// Connections at once that this host has made.
const MAX_OPENED: usize = 128;

/// Connections at once that others have made to this host.
const MAX_ACCEPTED: usize = 128;

/// The ways to others by NATS servers, and theirs to this host.
#[derive(Debug)]
pub struct Tunnels {
    servers: Vec<Arc<Nats>>,
    cluster: HostName,
    opened: Arc<Semaphore>,
    accepted: Arc<Semaphore>,
}

impl Tunnels {
    /// By these servers, among the hosts of a cluster.
    pub fn new(servers: Vec<Arc<Nats>>, cluster: &HostName) -> Tunnels {
        Tunnels {
            servers,
            cluster: cluster.clone(),
            opened: Arc::new(Semaphore::new(MAX_OPENED)),
            accepted: Arc::new(Semaphore::new(MAX_ACCEPTED)),
        }
    }

    /// Where the host of this id listens: letters, digits, `-` and `_`.
    pub fn subject(&self, id: &str) -> Subject {
        Subject::of_host(&self.cluster, id)
    }

    /// Has the servers take what was sent on all connections: a program that ends says goodbye by that.
    pub async fn flush(&self) {
        for server in &self.servers {
            // One that is out of reach is not waited for.
            let up = matches!(*server.link().borrow(), connections::Link::Up(_));
            if up
                && let Ok((client, _)) = server.connected().await
                && let Err(error) = client.flush().await
            {
                tracing::debug!(server = server.name(), %error, "other hosts hear later that this side has gone");
            }
        }
    }

    /// A subject for one side of one connection, which nobody can guess.
    fn line(&self) -> io::Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{}{name}", self.lines()))
    }

    /// Whether a subject is one of those: nothing is sent to any other that somebody names.
    fn is_line(&self, subject: &str) -> bool {
        let name = subject.strip_prefix(&self.lines());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }

    fn lines(&self) -> String {
        format!("microhost.{}.line.", self.cluster)
    }
}

/// A place among the connections, until it is dropped.
fn place(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(of).try_acquire_owned().ok()
}

/// A client with the number of its connection, while that is the one it has.
struct Link {
    server: Arc<Nats>,
    client: Client,
    number: u64,
}

impl Link {
    async fn to(server: &Arc<Nats>) -> io::Result<Link> {
        let (client, number) = server.connected().await.map_err(|error| broken(error.to_string()))?;
        Ok(Link { client: client.clone(), number, server: Arc::clone(server) })
    }
}

/// What whoever uses a connection is told that is lost.
fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, why.into())
}
