//! Where a command looks: at a host that runs, or at all that are found.

use clap::Args;
use microhost::admin::view::{ClusterView, ServiceView};

use crate::discover::{self, DiscoverArgs, Search};
use crate::door::{Client, HostArgs};
use crate::failure::Outcome;

/// A host, or how hosts are found.
#[derive(Args)]
pub struct PlaceArgs {
    #[command(flatten)]
    host: HostArgs,

    #[command(flatten)]
    discover: DiscoverArgs,
}

impl PlaceArgs {
    /// Where the flags say.
    pub async fn place(self) -> Outcome<Place> {
        if self.discover.is_asked("--host", "MICROHOST_HOST", self.host.named())? {
            return self.discover.begin().map(Place::Network);
        }
        self.host.client().await.map(Place::Host).map_err(discover::hinted)
    }
}

/// Where a command looks.
pub enum Place {
    /// A host that runs, and those that it knows.
    Host(Client),
    /// Those that are found.
    Network(Search),
}

impl Place {
    /// The services of the host, if it is one, and the hosts that are known.
    pub async fn look(&self) -> Outcome<(Option<Vec<ServiceView>>, ClusterView)> {
        match self {
            Place::Host(client) => Ok((Some(client.get("services").await?), client.get("cluster").await?)),
            Place::Network(search) => Ok((None, search.view())),
        }
    }
}
