//! Hosts that a command finds by what tells hosts of one another, wherever they run.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use microhost::admin::view::ClusterView;
use microhost::app::Onlooker;
use microhost::registry::Nodes;
use microhost::settings::{Address, Backend, Cluster, HostName};
use microhost::tunnel::Tunnels;
use tokio::time::timeout;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// Who listens for all hosts there are has heard of them when so long nothing new comes.
const QUIET: Duration = Duration::from_millis(700);

/// The same for who has found what it looks for, and wants to know of the others that are about to be heard.
const JUST_BEHIND: Duration = Duration::from_millis(100);

/// How long a NATS server may take to hear that connections by it are over.
const GOODBYE: Duration = Duration::from_secs(1);

const CLUSTER: &str = "MICROHOST_CLUSTER";
const PEER: &str = "MICROHOST_PEER";

/// How a command finds hosts.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Discovery")]
pub struct DiscoverArgs {
    /// Find hosts by MICROHOST_CLUSTER and MICROHOST_PEER, or by mDNS where neither is set
    #[arg(long)]
    discover: bool,

    /// Find hosts by this: mdns:, nats://HOST:PORT or file:PATH; may be given several times
    #[arg(long, value_name = "URL")]
    cluster: Vec<Backend>,

    /// Find hosts by one that is there, such as http://10.0.0.5:8080, and by those that it knows by their
    /// address; may be given several times
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    peer: Vec<Address>,

    /// The cluster whose hosts are looked for [default: default]
    #[arg(long, value_name = "NAME", env = "MICROHOST_CLUSTER_NAME")]
    cluster_name: Option<HostName>,
}

impl DiscoverArgs {
    /// Whether hosts are to be found, and not the one that the flag `flag` names, with the value `given`. What
    /// only its variable names gives way; two flags that say different things are refused.
    pub fn is_asked(&self, flag: &str, variable: &str, given: Option<&str>) -> Outcome<bool> {
        let asked = self.discover || !self.cluster.is_empty() || !self.peer.is_empty();
        let by_flag = given.filter(|given| std::env::var(variable).ok().as_deref() != Some(given));
        match by_flag {
            Some(_) if asked => {
                let what = format!("{flag} names a host, and --discover, --cluster and --peer look for one");
                Err(Failure::new(Exit::Usage, what).advise(format!("leave {flag} away, or the others")))
            }
            _ => Ok(asked),
        }
    }

    /// Begins to look for hosts, as long as the runtime runs that this is called in.
    pub fn begin(&self) -> Outcome<Search> {
        let cluster = self.settings()?;
        let by: Vec<String> = cluster.registry.iter().map(by_name).chain(cluster.peers.iter().map(ToString::to_string)).collect();
        Ok(Search { by: by.join(" and "), cluster: cluster.name.to_string(), onlooker: Onlooker::begin(cluster) })
    }

    fn settings(&self) -> Outcome<Cluster> {
        let (mut registry, mut peers) = (self.cluster.clone(), self.peer.clone());
        if self.discover {
            let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
            let (known, named) = (variable(CLUSTER), variable(PEER));
            if known.is_none() && named.is_none() {
                registry.push(Backend::Mdns);
            }
            if let Some(known) = known {
                registry.push(read(CLUSTER, &known)?);
            }
            for peer in named.iter().flat_map(|named| named.split(',')) {
                peers.push(read(PEER, peer)?);
            }
        }
        let usual = Cluster::default();
        Ok(Cluster { registry, peers, name: self.cluster_name.clone().unwrap_or(usual.name), ..usual })
    }
}

/// What a variable says.
fn read<T: FromStr<Err: Display>>(variable: &str, value: &str) -> Outcome<T> {
    value.parse().map_err(|error| Failure::new(Exit::Usage, format!("{variable} in the environment is wrong")).note(error))
}

fn by_name(backend: &Backend) -> String {
    match backend {
        Backend::Mdns => "mDNS".to_owned(),
        other => other.to_string(),
    }
}

/// Adds to what there is to do where no host runs here.
pub fn hinted(failure: Failure) -> Failure {
    match failure.exit() {
        Exit::Unreachable => failure.advise("start a host with `microhost run`, name one with --host, or find one with --discover"),
        _ => failure,
    }
}

/// A search for hosts that is under way.
pub struct Search {
    /// What it goes by, for an error.
    by: String,
    /// The cluster's name.
    cluster: String,
    onlooker: Onlooker,
}

impl Search {
    /// Waits for all hosts that are there, where somebody is; at most a few seconds.
    pub async fn all(&self) {
        self.onlooker.listen(QUIET, |nodes| !nodes.by_id.is_empty()).await;
    }

    /// Waits until `done`, and then for those who come just behind; at most a few seconds.
    pub async fn until(&self, done: impl Fn(&Nodes) -> bool) {
        self.onlooker.listen(JUST_BEHIND, done).await;
    }

    /// What is known now.
    pub fn nodes(&self) -> Arc<Nodes> {
        Arc::clone(&self.onlooker.view().nodes())
    }

    /// The ways to hosts by NATS, where a server of it is among what is searched by.
    pub fn tunnels(&self) -> Option<&Arc<Tunnels>> {
        self.onlooker.tunnels()
    }

    /// Ends the search when nobody whom it found is needed any more.
    pub async fn end(self) {
        if let Some(tunnels) = self.onlooker.tunnels() {
            // Who does not hear it finds out by what is sent next.
            let _ = timeout(GOODBYE, tunnels.flush()).await;
        }
    }

    /// What is known now, as a host would tell it.
    pub fn view(&self) -> ClusterView {
        ClusterView::of(None, self.onlooker.view())
    }

    /// Why nobody was found, as far as it is known.
    pub async fn nobody(&self) -> Failure {
        let failure = Failure::new(Exit::Unreachable, format!("no host of the cluster {:?} was found by {}", self.cluster, self.by));
        let failure = self.with_troubles(failure).await;
        failure.advise("start one with `microhost run`; name one with --peer URL, what tells of hosts with --cluster URL, and another cluster with --cluster-name")
    }

    /// Adds what could not be asked: it may be what is missing.
    pub async fn with_troubles(&self, failure: Failure) -> Failure {
        let lost = self.view().registries.into_iter().filter_map(|registry| Some(format!("{}: {}", registry.name, registry.why?)));
        let silent = self.onlooker.silent().await.into_iter().map(|(_, why)| why);
        lost.chain(silent).fold(failure, Failure::note)
    }
}
