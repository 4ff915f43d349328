//! The listener: Connect, gRPC and gRPC-Web become one [`Request`](crate::rpc::Request), or one
//! [`StreamRequest`](crate::rpc::StreamRequest) where a side streams, and its reply is written in the
//! caller's protocol. Messages are not decoded here.
//!
//! A connection lives wholly on one lane: accepted sockets go to the lane with the fewest.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::admin::{Access, Api, Overview, Phase};
use crate::lanes::Lanes;
use crate::settings::Listen;
use crate::sockets::{Socket, SocketError};
use crate::tunnel;

mod accepted;
mod activity;
mod answer;
mod body;
mod compression;
mod connect;
mod connect_stream;
mod connection;
mod content;
mod envelope;
mod grpc;
mod health;
mod http;
mod listener;
mod open;
mod pages;
mod probe;
mod reflection;
mod request;
mod stream;
mod timeout;
mod tls;
mod unary;
mod web;

use connection::{PATIENCE, Patience};

#[cfg(test)]
mod tests;

/// An edge that cannot open.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// Another program listens there.
    #[error(
        "{address} is in use: stop what listens there, or choose another address with --listen, such as --listen 127.0.0.1:0 for any free port"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket of this machine cannot be listened at.
    #[error("{0}: choose another place with --listen unix:PATH")]
    Socket(#[from] SocketError),
    /// A file for TLS cannot be used.
    #[error("cannot use {path} for TLS: {why}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate and the key do not go together.
    #[error("cannot use {certificate} with {key} for TLS: {why}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What every connection of an edge shares.
struct Edge {
    overview: Arc<Overview>,
    access: Access,
    /// The admin API, for whoever has the token.
    api: Option<Arc<Api>>,
    reflection: reflection::Reflection,
    health: health::Service,
    headers: usize,
    /// Clients speak TLS.
    secure: bool,
    patience: Patience,
    lanes: Vec<AtomicI64>,
    open: open::Open,
    /// Whether nothing more is waited for, as the host ends.
    over: watch::Sender<bool>,
}

impl Edge {
    /// Counts a connection on the lane that has the fewest.
    fn place(self: &Arc<Self>) -> Place {
        let lane = (0..self.lanes.len()).min_by_key(|lane| self.lanes[*lane].load(Relaxed)).expect("there is at least one lane");
        self.lanes[lane].fetch_add(1, Relaxed);
        self.overview.edge.connections.fetch_add(1, Relaxed);
        Place { edge: self.clone(), lane }
    }
}

/// A connection's place on a lane, until it is dropped.
struct Place {
    edge: Arc<Edge>,
    lane: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.edge.lanes[self.lane].fetch_sub(1, Relaxed);
        self.edge.overview.edge.connections.fetch_sub(1, Relaxed);
    }
}

/// An edge that serves. Dropping it ends the listener and every connection at once.
pub struct Serving {
    edge: Arc<Edge>,
    address: Option<SocketAddr>,
    /// None once no connection is taken any more.
    sockets: Mutex<Vec<Socket>>,
    acceptor: listener::Acceptor,
    acceptors: Vec<tokio::task::AbortHandle>,
}

/// Opens the listeners and serves what the overview's router has.
///
/// Whoever has the token reaches the admin API, where one is given. All is bound when this returns. TLS is for
/// what comes by the network; sockets of the machine do without. The host's phase is the caller's to set: an
/// edge serves while it is still `Starting`.
pub fn serve(listen: &Listen, overview: Arc<Overview>, api: Option<Arc<Api>>, lanes: &Lanes) -> Result<Serving, EdgeError> {
    serve_with(PATIENCE, listen, overview, api, lanes)
}

fn serve_with(
    patience: Patience,
    listen: &Listen,
    overview: Arc<Overview>,
    api: Option<Arc<Api>>,
    lanes: &Lanes,
) -> Result<Serving, EdgeError> {
    let tls = listen.tls.as_ref().map(tls::acceptor).transpose()?;
    let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
    let mut address = None;
    if let Some(wanted) = listen.address.tcp {
        let (listener, bound) = listener::bind(wanted)?;
        listeners.push(listener::Listener::Tcp(listener));
        address = Some(bound);
    }
    for path in &listen.address.unix {
        let (listener, socket) = listener::bind_file(path)?;
        listeners.push(listener::Listener::Unix(listener));
        sockets.push(socket);
    }
    let edge = Arc::new(Edge {
        access: Access::new(listen.admin_token.as_deref()),
        api,
        reflection: reflection::Reflection::new(&overview.catalog),
        health: health::Service::new(&overview),
        overview,
        headers: listen.headers,
        secure: tls.is_some(),
        patience,
        lanes: (0..lanes.count()).map(|_| AtomicI64::default()).collect(),
        open: open::Open::default(),
        over: watch::Sender::new(false),
    });
    let http = Arc::new(connection::http(listen));
    let acceptor = listener::Acceptor { edge: edge.clone(), lanes: lanes.clone(), most: listen.connections, http, tls };
    // One lane accepts for all: the kernel would leave one lane idle where connections are few.
    let acceptors = listeners.into_iter().map(|listener| lanes.spawn_on(0, acceptor.clone().run(listener)).abort_handle()).collect();
    Ok(Serving { edge, address, sockets: Mutex::new(sockets), acceptor, acceptors })
}

impl Serving {
    /// The address of the network that is listened at, if any, with the real port where any was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Serves those too who come by NATS.
    pub fn also(&mut self, listener: tunnel::Listener) {
        let task = self.acceptor.lanes.spawn_on(0, self.acceptor.clone().run_tunnels(listener));
        self.acceptors.push(task.abort_handle());
    }

    /// The sockets of this machine that are listened at.
    pub fn sockets(&self) -> Vec<PathBuf> {
        self.sockets.lock().expect("no holder panics").iter().map(|socket| socket.path().to_owned()).collect()
    }

    /// Takes nothing new.
    fn shut(&self) {
        self.sockets.lock().expect("no holder panics").clear();
        self.acceptors.iter().for_each(tokio::task::AbortHandle::abort);
    }

    /// Takes nothing new, and lets what runs end within `grace`. Whether all of it has, and every connection
    /// with it; what has not goes on.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.edge.overview.health.enter(Phase::Draining);
        self.shut();
        self.edge.open.drain();
        tokio::time::timeout(grace, self.edge.open.emptied()).await.is_ok()
    }

    /// Ends what is left after [`Serving::drain`]: requests that have not come whole are answered that the host
    /// stops, and connections whose calls have been ended have `farewell` to write what those came to.
    ///
    /// Returns how many connections were cut off with calls that had no answer.
    pub async fn end(&self, farewell: Duration) -> usize {
        self.edge.over.send_replace(true);
        if tokio::time::timeout(farewell, self.edge.open.emptied()).await.is_ok() {
            return 0;
        }
        let cut = self.edge.open.cut();
        self.edge.open.emptied().await;
        cut
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shut();
        self.edge.open.cut();
    }
}
