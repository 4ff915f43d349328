//! One client a server, shared by all who need it: a registry, a broker and a store on the same server
//! keep one connection between them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::runtime::Handle;

mod nats;
mod servers;

pub use nats::{Link, Nats, NotConnected};
pub use servers::{Servers, ServersError};

/// The clients that are open. One is opened when it is first used, and closed when nobody holds it.
#[derive(Debug)]
pub struct Connections {
    runtime: Handle,
    nats: Mutex<HashMap<Servers, Weak<Nats>>>,
}

impl Connections {
    /// None so far. Clients live on `runtime`, whoever asks for them: a lane comes and goes, and they
    /// must not end with it.
    pub fn new(runtime: Handle) -> Connections {
        Connections { runtime, nats: Mutex::default() }
    }

    /// The client of these servers.
    pub fn nats(&self, servers: &Servers) -> Arc<Nats> {
        let mut open = self.nats.lock().expect("no holder panics");
        if let Some(client) = open.get(servers).and_then(Weak::upgrade) {
            return client;
        }
        open.retain(|_, client| client.strong_count() > 0);
        let client = Arc::new(Nats::new(servers.clone(), self.runtime.clone()));
        open.insert(servers.clone(), Arc::downgrade(&client));
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_names_the_same_servers_shares_their_client() {
        let connections = Connections::new(Handle::current());
        let [one, other] = ["nats://127.0.0.1:1", "nats://127.0.0.1:2"].map(|url| url.parse::<Servers>().expect(url));
        let held = connections.nats(&one);
        assert!(Arc::ptr_eq(&held, &connections.nats(&one)));
        assert!(!Arc::ptr_eq(&held, &connections.nats(&other)));
    }
}
