//! Calls of other hosts: gRPC over HTTP/2, by connections that are kept and shared.
//!
//! A connection belongs to one lane, so that a call which is made there is written, read and answered
//! there, without crossing a thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::lanes::Lanes;
use crate::registry::Address;
use crate::rpc::Channel;
use crate::tunnel::Tunnels;

mod connect;
mod fault;
mod head;
mod host;
mod line;
mod manner;
mod paths;
mod pool;
mod sending;
mod stream;
mod unary;

#[cfg(test)]
mod tests;

use connect::Trust;
use host::Host;
use line::Patience;
use paths::Paths;

/// What calls of other hosts keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From a name to a connection that can be used: look-up, TCP and TLS.
    pub connect: Duration,
    /// One message either way, in bytes. The callee's own limit of a request may be lower.
    pub message: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        // As much as a guest's host call takes, unless its limit is another.
        Bounds { connect: Duration::from_secs(2), message: 64 << 20 }
    }
}

/// What the connections to all hosts share.
struct Context {
    lanes: Lanes,
    bounds: Bounds,
    patience: Patience,
    trust: Trust,
    /// The ways by NATS, where there are any.
    tunnels: Option<Arc<Tunnels>>,
}

/// The ways to other hosts.
pub struct Remote {
    context: Arc<Context>,
    /// Those that somebody has.
    hosts: Mutex<HashMap<Address, Weak<Host>>>,
    /// Those that somebody has who are at several addresses, by all of them.
    paths: Mutex<HashMap<Box<[Address]>, Weak<Paths>>>,
}

impl Remote {
    /// Has connections live on these lanes; those to addresses of NATS go by `tunnels`.
    pub fn new(lanes: &Lanes, bounds: Bounds, tunnels: Option<Arc<Tunnels>>) -> Remote {
        Remote::with(lanes, bounds, Patience::default(), Trust::default(), tunnels)
    }

    fn with(lanes: &Lanes, bounds: Bounds, patience: Patience, trust: Trust, tunnels: Option<Arc<Tunnels>>) -> Remote {
        let context = Context { lanes: lanes.clone(), bounds, patience, trust, tunnels };
        Remote { context: Arc::new(context), hosts: Mutex::default(), paths: Mutex::default() }
    }

    /// The channel to the host that is at each of these addresses, the best first; the same one for as long
    /// as somebody keeps it, and when nobody does any more, its connections close with their last call. No
    /// connection is made before the first call. `None` where none of the addresses is of use to this host.
    ///
    /// Where an address cannot be connected to, or takes long, the next one is tried; what works is used from
    /// then on, and better ones are tried again beside it.
    ///
    /// Beside what every [`Channel`] promises, a call of it fails with:
    ///
    /// - `unavailable` where there is no connection, or the one that there was is lost.
    /// - `resource_exhausted` where a message is longer than [`Bounds::message`], or too many calls wait.
    /// - `unimplemented` for messages in other codecs than protobuf and JSON, which hosts among one another
    ///   do not speak.
    ///
    /// Its status is [unseen](crate::status::Status::is_unseen) only where that is certain: the call was never
    /// sent, or the other host has said so.
    pub fn channel(&self, addresses: &[Address]) -> Option<Arc<dyn Channel>> {
        let addresses: Box<[Address]> = addresses.iter().filter(|address| self.is_of_use(address)).cloned().collect();
        match &*addresses {
            [] => None,
            [address] => Some(self.host(address)),
            _ => Some(self.paths(addresses)),
        }
    }

    /// Whether a host could be reached by this address from here.
    fn is_of_use(&self, address: &Address) -> bool {
        match address {
            Address::Tcp { .. } | Address::Unix(_) => true,
            Address::Nats(subject) => subject.is_some() && self.context.tunnels.is_some(),
        }
    }

    fn paths(&self, addresses: Box<[Address]>) -> Arc<Paths> {
        let mut paths = self.paths.lock().expect("no holder panics");
        if let Some(paths) = paths.get(&addresses).and_then(Weak::upgrade) {
            return paths;
        }
        paths.retain(|_, paths| paths.strong_count() > 0);
        let hosts = addresses.iter().map(|address| (address.clone(), self.host(address))).collect();
        let new = Arc::new(Paths::new(hosts, &self.context));
        paths.insert(addresses, Arc::downgrade(&new));
        new
    }

    fn host(&self, address: &Address) -> Arc<Host> {
        let mut hosts = self.hosts.lock().expect("no holder panics");
        if let Some(host) = hosts.get(address).and_then(Weak::upgrade) {
            return host;
        }
        // Seldom, as it is only for a host that is new: nobody else looks for those that are gone.
        hosts.retain(|_, host| host.strong_count() > 0);
        let host = Arc::new(Host::new(address, &self.context));
        hosts.insert(address.clone(), Arc::downgrade(&host));
        host
    }
}
