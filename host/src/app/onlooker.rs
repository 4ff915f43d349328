//! Looks at a cluster from outside: hears of its hosts and is none of them. Commands find hosts by it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout, timeout_at};

use super::members;
use super::registries::{self, Registries};
use crate::registry::fetch::{self, CLUSTER};
use crate::registry::{Address, Nodes, View};
use crate::settings::Cluster;
use crate::tunnel::Tunnels;

/// How long a host that was named may take to say why it is not known.
const ANSWER: Duration = Duration::from_secs(2);

/// Hears of the hosts of a cluster.
pub struct Onlooker {
    cluster: Cluster,
    view: Arc<View>,
    tunnels: Option<Arc<Tunnels>>,
}

impl Onlooker {
    /// Begins to listen, for as long as the runtime runs that this is called in.
    pub fn begin(cluster: Cluster) -> Onlooker {
        let view = Arc::default();
        let Registries { all, tunnels, .. } = registries::open(&cluster);
        members::hear(&view, &all);
        Onlooker { cluster, view, tunnels }
    }

    /// What it has heard.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The ways to hosts by NATS, where a server of it is among what tells of them.
    pub fn tunnels(&self) -> Option<&Arc<Tunnels>> {
        self.tunnels.as_ref()
    }

    /// Listens until `done`, and then until nothing new has come for as long as `quiet`; all in all as long
    /// as a host at its start does: at most three seconds.
    pub async fn listen(&self, quiet: Duration, done: impl Fn(&Nodes) -> bool) {
        let end = Instant::now() + members::DISCOVERY;
        members::until(&self.view, members::DISCOVERY, || done(&self.view.nodes())).await;
        let mut changes = self.view.changes();
        while Instant::now() < end {
            let still = end.min(Instant::now() + quiet);
            // The view tells of changes for as long as it is there.
            if timeout_at(still, changes.changed()).await.is_err() {
                return;
            }
        }
    }

    /// The hosts that were named and do not tell what they serve, and why.
    pub async fn silent(&self) -> Vec<(Address, String)> {
        let ours = HeaderValue::try_from(self.cluster.name.as_str()).map(|name| HeaderMap::from_iter([(CLUSTER, name)]));
        let ours = ours.unwrap_or_default();
        let asked = self.cluster.peers.iter().map(async |address| {
            let headers = ours.clone();
            let mut answers = std::pin::pin!(fetch::follow(address.clone(), Duration::ZERO, move || headers.clone()));
            match timeout(ANSWER, answers.next()).await {
                Ok(Some(Err(error))) => Some((address.clone(), error.to_string())),
                Ok(_) => None,
                Err(_) => Some((address.clone(), format!("{address} has not answered within {ANSWER:?}"))),
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
