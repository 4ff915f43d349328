//! This host among others: it hears of them, and tells them of itself for as long as it is well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Host, node};
use crate::admin::view::AddressView;
use crate::admin::{Overview, Snapshot, Vitals};
use crate::registry::{Node, Registry, View};
use crate::settings::{Address, Cluster, HostName};

/// How long a host waits at its start for others that offer what its services need.
pub const DISCOVERY: Duration = Duration::from_secs(3);

/// How long goodbyes may take: who does not hear one finds out by the lease.
const GOODBYE: Duration = Duration::from_secs(1);

/// The first pause after a registry did not take what it was told; each further one is twice as long, up
/// to when it is to be told anyway.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Signs of life in the time of a lease: one may be lost, and one be late.
const SIGNS: u32 = 3;

/// Waits until `done`, which is asked again whenever something is heard of other hosts, at most for
/// `patience`.
pub async fn until(view: &View, patience: Duration, done: impl Fn() -> bool) {
    let mut changes = view.changes();
    let heard = async {
        while !done() {
            // The view lives as long as the host.
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    // Whoever waited says what is missing.
    let _ = timeout(patience, heard).await;
}

/// Hears of other hosts, as long as the runtime runs.
pub fn hear(view: &Arc<View>, registries: &[Arc<dyn Registry>]) {
    for registry in registries {
        let (view, registry) = (Arc::clone(view), Arc::clone(registry));
        tokio::spawn(async move { view.follow(&*registry).await });
    }
}

/// What this host tells of itself, made anew whenever its services, their health or its addresses change.
pub fn node(
    id: &str,
    host: &Arc<Host>,
    overview: &Arc<Overview>,
    cluster: &Cluster,
    name: Option<&HostName>,
    mut addresses: watch::Receiver<Vec<AddressView>>,
) -> watch::Receiver<Arc<Node>> {
    let (host, id, name, cluster) = (Arc::clone(host), id.to_owned(), name.map(ToString::to_string), cluster.clone());
    let now = move |health: &Snapshot, addresses: &[AddressView]| {
        let addresses: Vec<Address> =
            addresses.iter().filter(|address| address.told).filter_map(|told| told.address.parse().ok()).collect();
        node::node(&id, name.as_deref(), &cluster, &addresses, &host.running(), health)
    };
    let mut health = overview.health.watch();
    let (sender, told) = watch::channel(Arc::new(now(&health.borrow_and_update(), &addresses.borrow_and_update())));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = health.changed() => if changed.is_err() { return },
                Ok(()) = addresses.changed() => {}
            }
            let mut new = now(&health.borrow_and_update(), &addresses.borrow_and_update());
            sender.send_if_modified(|told| {
                new.revision = told.revision;
                let changed = **told != new;
                if changed {
                    new.revision += 1;
                    *told = Arc::new(new);
                }
                changed
            });
        }
    });
    told
}

/// What a host tells of itself, and to whom; told until it says goodbye.
pub struct Telling {
    tasks: JoinSet<()>,
    registries: Vec<Arc<dyn Registry>>,
    id: String,
}

impl Telling {
    /// Tells each registry of `node`, again whenever it changes, and often enough for the lease.
    pub fn begin(
        registries: &[Arc<dyn Registry>],
        node: &watch::Receiver<Arc<Node>>,
        lease: Duration,
        vitals: &Arc<dyn Vitals>,
    ) -> Telling {
        let id = node.borrow().id.clone();
        let mut tasks = JoinSet::new();
        for registry in registries {
            tasks.spawn(tell(Arc::clone(registry), node.clone(), lease, Arc::clone(vitals)));
        }
        Telling { tasks, registries: registries.to_vec(), id }
    }

    /// Says goodbye to all.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
        let goodbyes = self.registries.iter().map(|registry| registry.deregister(&self.id));
        match timeout(GOODBYE, futures::future::join_all(goodbyes)).await {
            Ok(said) => {
                for error in said.into_iter().filter_map(Result::err) {
                    tracing::debug!(%error, "others learn by the lease that this host goes");
                }
            }
            Err(_) => tracing::debug!("a registry takes long to hear a goodbye; others learn by the lease"),
        }
    }
}

async fn tell(registry: Arc<dyn Registry>, mut node: watch::Receiver<Arc<Node>>, lease: Duration, vitals: Arc<dyn Vitals>) {
    let usual = lease / SIGNS;
    let mut pause = FIRST_PAUSE;
    let mut failing = false;
    loop {
        let now = Arc::clone(&node.borrow_and_update());
        let told = match vitals.able(usual).await {
            Ok(()) => registry.register(now, lease).await.map_err(|error| error.to_string()),
            // A host that serves nobody is not to be called: it lets its lease run out.
            Err(why) => Err(why),
        };
        let wait = match told {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(registry = registry.name(), "the host is known again");
                }
                pause = FIRST_PAUSE;
                usual
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(registry = registry.name(), error, "cannot tell others of this host; it is tried again");
                }
                let wait = pause;
                pause = (pause * 2).min(usual);
                wait
            }
        };
        tokio::select! {
            changed = node.changed() => if changed.is_err() { return },
            () = sleep(wait) => {}
        }
    }
}
