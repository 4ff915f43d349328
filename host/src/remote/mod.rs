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

mod connect;
mod fault;
mod head;
mod host;
mod line;
mod manner;
mod pool;
mod sending;
mod stream;
mod unary;

#[cfg(test)]
mod tests;

use connect::Trust;
use host::Host;
use line::Patience;

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
}

/// The ways to other hosts.
pub struct Remote {
    context: Arc<Context>,
    /// Those that somebody has.
    hosts: Mutex<HashMap<Address, Weak<Host>>>,
}

impl Remote {
    /// Has connections live on these lanes.
    pub fn new(lanes: &Lanes, bounds: Bounds) -> Remote {
        Remote::with(lanes, bounds, Patience::default(), Trust::default())
    }

    fn with(lanes: &Lanes, bounds: Bounds, patience: Patience, trust: Trust) -> Remote {
        Remote { context: Arc::new(Context { lanes: lanes.clone(), bounds, patience, trust }), hosts: Mutex::default() }
    }

    /// The channel to the host at an address; the same one for as long as somebody keeps it, and when nobody
    /// does any more, its connections close with their last call. No connection is made before the first call.
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
    pub fn channel(&self, address: &Address) -> Arc<dyn Channel> {
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
