//! The registries of a host, by the settings.

use std::sync::Arc;

use futures::StreamExt;
use tokio::runtime::Handle;

use crate::connections::Connections;
use crate::registry::mdns::{Mdns, Networks, Options};
use crate::registry::{Address, Addresses, File, Nats, Peers, Registry};
use crate::settings::{Backend, Cluster};
use crate::tunnel::Tunnels;

/// What tells of other hosts.
pub struct Registries {
    /// All of them.
    pub all: Vec<Arc<dyn Registry>>,
    /// The one of hosts whose addresses are known, which hosts that ask this one are told to.
    pub peers: Option<Arc<Peers>>,
    /// The ways to others by the NATS servers among them.
    pub tunnels: Option<Arc<Tunnels>>,
}

/// Opens what tells of other hosts; nothing for a host that is to be alone. To be called in the runtime in
/// which they live. A registry that is not there is waited for.
pub fn open(cluster: &Cluster) -> Registries {
    if cluster.is_alone() {
        return Registries { all: Vec::new(), peers: None, tunnels: None };
    }
    let name = cluster.name.as_str();
    let peers = Arc::new(Peers::new(name, cluster.peers.clone(), cluster.lease));
    let mut all: Vec<Arc<dyn Registry>> = vec![Arc::clone(&peers) as _];
    let connections = Connections::new(Handle::current());
    let (mut listed, mut servers) = (Vec::new(), Vec::new());
    for backend in &cluster.registry {
        all.push(match backend {
            Backend::Mdns => Arc::new(Mdns::new(Options { networks: Networks::named(&cluster.interfaces), ..Options::of(name) })),
            Backend::Nats(url) => {
                let server = connections.nats(url);
                servers.push(Arc::clone(&server));
                Arc::new(Nats::new(server, &cluster.name))
            }
            Backend::File(path) => {
                let file = File::new(path);
                listed.push(file.peers());
                Arc::new(file)
            }
        });
    }
    if !listed.is_empty() {
        tokio::spawn(follow(Arc::clone(&peers), cluster.peers.clone(), listed));
    }
    let tunnels = (!servers.is_empty()).then(|| Arc::new(Tunnels::new(servers, &cluster.name)));
    Registries { all, peers: Some(peers), tunnels }
}

/// Has hosts asked that files name, beside those of the settings.
async fn follow(peers: Arc<Peers>, of_settings: Vec<Address>, files: Vec<Addresses>) {
    let mut named = vec![Vec::new(); files.len()];
    let mut changes = futures::stream::select_all(files.into_iter().enumerate().map(|(place, file)| file.map(move |now| (place, now))));
    while let Some((place, now)) = changes.next().await {
        named[place] = now;
        peers.set(of_settings.iter().chain(named.iter().flatten()).cloned().collect());
    }
}
