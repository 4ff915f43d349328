//! The settings that a running host keeps: what it listens with, how commands reach it, and how it finds
//! other hosts.

use microhost::app::Entrance;
use microhost::settings::{Cluster, HostName, Listen};

use crate::run::Plan;

/// What of the settings counts when a host starts, and not again.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    listen: Listen,
    door: Entrance,
    name: Option<HostName>,
    cluster: Cluster,
}

impl Standing {
    /// That of a plan.
    pub fn of(plan: &Plan) -> Standing {
        Standing { listen: plan.listen.clone(), door: plan.door.clone(), name: plan.host.clone(), cluster: plan.cluster.clone() }
    }

    /// The keys of the settings that say something else in `other`.
    pub fn differing(&self, other: &Standing) -> Vec<&'static str> {
        let Listen { address, tls, admin_token, connections, streams, header_bytes, headers } = &other.listen;
        let Cluster { registry, peers, interfaces, advertise, name, zone, labels, lease } = &other.cluster;
        let is_shut = |door: &Entrance| *door == Entrance::Shut;
        let keys = [
            ("[listen] address", self.listen.address != *address),
            ("[listen] tls", self.listen.tls != *tls),
            ("[listen] admin-token", self.listen.admin_token != *admin_token),
            ("[listen] connections", self.listen.connections != *connections),
            ("[listen] streams", self.listen.streams != *streams),
            ("[listen] header-bytes", self.listen.header_bytes != *header_bytes),
            ("[listen] headers", self.listen.headers != *headers),
            ("[admin] name", self.name != other.name),
            ("[admin] enabled", is_shut(&self.door) != is_shut(&other.door)),
            ("[admin] socket", self.door != other.door && !is_shut(&self.door) && !is_shut(&other.door)),
            ("[cluster] registry", self.cluster.registry != *registry),
            ("[cluster] peers", self.cluster.peers != *peers),
            ("[cluster] interfaces", self.cluster.interfaces != *interfaces),
            ("[cluster] advertise", self.cluster.advertise != *advertise),
            ("[cluster] name", self.cluster.name != *name),
            ("[cluster] zone", self.cluster.zone != *zone),
            ("[cluster] labels", self.cluster.labels != *labels),
            ("[cluster] lease", self.cluster.lease != *lease),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing { listen: Listen::default(), door: Entrance::Usual, name: None, cluster: Cluster::default() }
    }

    #[test]
    fn what_is_the_same_waits_for_nothing() {
        assert!(standing().differing(&standing()).is_empty());
    }

    #[test]
    fn each_key_is_named_that_says_something_else() {
        let listen = Listen { streams: 7, admin_token: Some("secret".into()), ..Listen::default() };
        let cluster = Cluster { zone: Some("a".into()), ..Cluster::default() };
        let other = Standing { listen, door: Entrance::At("a.sock".into()), cluster, ..standing() };
        assert_eq!(standing().differing(&other), ["[listen] admin-token", "[listen] streams", "[admin] socket", "[cluster] zone"]);
        let shut = Standing { door: Entrance::Shut, ..other.clone() };
        assert_eq!(other.differing(&shut), ["[admin] enabled"], "where the socket would be does not matter then");
    }
}
