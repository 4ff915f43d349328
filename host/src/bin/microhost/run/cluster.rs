//! What the command line says of other hosts.

use clap::Args;
use microhost::settings::{Address, Backend, Cluster, HostName};

/// How the host finds others, and they it.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Other hosts")]
pub struct ClusterArgs {
    /// What tells of other hosts: mdns:, nats://HOST:PORT or file:PATH; may be given several times
    /// [default: mdns:]
    #[arg(long, value_name = "URL", env = "MICROHOST_CLUSTER", conflicts_with = "alone")]
    cluster: Vec<Backend>,

    /// A host that is there, by its address such as http://10.0.0.5:8080; may be given several times
    #[arg(long, value_name = "URL", env = "MICROHOST_PEER", value_delimiter = ',', conflicts_with = "alone")]
    peer: Vec<Address>,

    /// Where others reach this host, such as http://10.0.0.5:8080, or nats: for by the NATS server of
    /// --cluster; may be given several times, the best first
    /// [default: worked out from where it listens, then nats: where there is a server]
    #[arg(long, value_name = "URL", env = "MICROHOST_ADVERTISE", value_delimiter = ',')]
    advertise: Vec<Address>,

    /// Which hosts belong together: those of another name are not seen [default: default]
    #[arg(long, value_name = "NAME", env = "MICROHOST_CLUSTER_NAME")]
    cluster_name: Option<HostName>,

    /// Where the host stands, a data centre or a rack: calls prefer hosts of their own zone
    #[arg(long, value_name = "ZONE", env = "MICROHOST_ZONE")]
    zone: Option<String>,

    /// Neither look for other hosts nor tell them of this one
    #[arg(long, env = "MICROHOST_ALONE")]
    alone: bool,
}

impl ClusterArgs {
    /// The settings, with what is said here in their place.
    pub fn over(&self, mut settings: Cluster) -> Cluster {
        if !self.cluster.is_empty() {
            settings.registry.clone_from(&self.cluster);
        }
        if !self.peer.is_empty() {
            settings.peers.clone_from(&self.peer);
        }
        if self.alone {
            settings.registry.clear();
            settings.peers.clear();
        }
        if !self.advertise.is_empty() {
            settings.advertise.clone_from(&self.advertise);
        }
        if let Some(name) = &self.cluster_name {
            settings.name = name.clone();
        }
        settings.zone = self.zone.clone().or(settings.zone);
        settings
    }
}
