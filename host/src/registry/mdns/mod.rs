//! Hosts of one network find each other with no settings, by multicast DNS.
//!
//! Multicast only says that a host is there, and where. What it serves is asked of the host itself: so a
//! host may serve as much as it wants, what another one says of it is not believed, and one that does
//! not answer is not called.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use mdns_sd::{Error, IfKind, IfPredicate, MDNS_PORT, Receiver, ServiceDaemon, ServiceEvent};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::board::Board;
use super::{Changes, MAX_NODE, Node, PATIENCE, Registry, RegistryError};

mod announce;
mod follow;
mod hosts;
mod networks;
#[cfg(test)]
mod tests;

use announce::{Note, SERVICE, full_name};
use follow::{Pages, Source};
pub use networks::Networks;

const NAME: &str = "mDNS";

/// How often a host repeats what it says, so that whoever has lost it finds it again.
const REPEAT: Duration = Duration::from_secs(10);

/// The least time between two different words of a host: what changes faster is asked for.
const PACE: Duration = Duration::from_secs(1);

/// How long a goodbye rings on (RFC 6762, 10.1): what comes back before is taken for what goes.
const ECHO: Duration = Duration::from_millis(1500);

/// The pause after mDNS had no room for one more word.
const FULL: Duration = Duration::from_millis(10);

/// How hosts are looked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts of other clusters are not heard.
    pub cluster: String,
    /// Where they are looked for.
    pub networks: Networks,
    /// The port that all of them speak on.
    pub port: u16,
}

impl Options {
    /// As usual, for this cluster.
    pub fn of(cluster: &str) -> Options {
        Options { cluster: cluster.to_owned(), networks: Networks::default(), port: MDNS_PORT }
    }
}

/// The hosts of a network. It begins to listen when it is first asked for something, within a tokio
/// runtime, and ends when it is dropped.
pub struct Mdns {
    shared: Arc<Shared>,
    listening: OnceLock<AbortHandle>,
}

struct Shared {
    options: Options,
    source: Arc<dyn Source>,
    board: Arc<Board>,
    /// `None` before it listens, and where the system does not let it.
    daemon: Mutex<Option<ServiceDaemon>>,
    own: Mutex<BTreeMap<String, Own>>,
    /// The nodes of this host that said goodbye a moment ago, and when.
    left: Mutex<BTreeMap<String, Instant>>,
    /// The leases of the own nodes have changed.
    leases: Notify,
}

/// A node of this host.
struct Own {
    note: Note,
    ips: Vec<IpAddr>,
    said: Instant,
    until: Instant,
}

impl Mdns {
    /// Looks for hosts.
    pub fn new(options: Options) -> Mdns {
        Mdns::asking(options, Arc::new(Pages))
    }

    fn asking(options: Options, source: Arc<dyn Source>) -> Mdns {
        let (daemon, own, left) = Default::default();
        let shared = Shared { options, source, board: Arc::default(), daemon, own, left, leases: Notify::new() };
        Mdns { shared: Arc::new(shared), listening: OnceLock::new() }
    }

    fn listen(&self) {
        self.listening.get_or_init(|| tokio::spawn(hosts::listen(Arc::clone(&self.shared))).abort_handle());
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get() {
            listening.abort();
        }
        if let Some(daemon) = self.shared.daemon().take() {
            // It is gone already, or says goodbye for what is still registered.
            let _ = daemon.shutdown();
        }
    }
}

impl Registry for Mdns {
    fn name(&self) -> &str {
        NAME
    }

    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            self.listen();
            self.shared.register(node, lease).await
        })
    }

    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        let id = id.to_owned();
        Box::pin(async move { self.shared.deregister(&id).await })
    }

    fn watch(&self) -> Changes {
        self.listen();
        self.shared.board.watch()
    }
}

impl Shared {
    async fn register(&self, node: Arc<Node>, lease: Duration) -> Result<(), RegistryError> {
        let refused = |why: announce::Unfit| RegistryError::Refused(NAME.into(), why.to_string());
        // Of those that are not used, too: they are no addresses of somebody else.
        let mine: Vec<IpAddr> = if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
        let (mut note, ips) = Note::of(&node, &self.options.cluster, lease, &mine).map_err(refused)?;
        let (fresh, due) = match self.own().get_mut(&node.id) {
            None => (true, true),
            Some(own) => {
                own.until = Instant::now() + lease;
                note.word = own.note.word;
                let changed = own.note != note || own.ips != ips;
                // A change is asked for by those who know of the host; that it is said can wait.
                (changed, own.said.elapsed() >= if changed { PACE } else { REPEAT })
            }
        };
        if fresh && let Some(bytes) = too_large(&node) {
            return Err(RegistryError::TooLarge { registry: NAME.into(), bytes, most: MAX_NODE });
        }
        self.board.put(Arc::clone(&node));
        if due {
            self.echo(&node.id).await;
            note.word = word(note.word);
            let now = Instant::now();
            self.own().insert(node.id.clone(), Own { note: note.clone(), ips: ips.clone(), said: now, until: now + lease });
            self.say(&note, &ips).await?;
        }
        self.leases.notify_one();
        Ok(())
    }

    /// Waits until mDNS takes a node for new again that has said goodbye.
    async fn echo(&self, id: &str) {
        let heard = {
            let mut left = self.left();
            left.retain(|_, left| left.elapsed() < ECHO);
            left.get(id).map(|left| *left + ECHO)
        };
        if let Some(heard) = heard {
            sleep_until(heard).await;
        }
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        self.board.remove(id);
        let Some(Own { mut note, ips, .. }) = self.own().remove(id) else { return Ok(()) };
        // In words as well: that mDNS loses a host does not say that it has gone.
        note.bye = true;
        note.word = word(note.word);
        self.left().insert(id.to_owned(), Instant::now());
        self.say(&note, &ips).await?;
        let said = self.command(|daemon| daemon.unregister(&full_name(id))).await?;
        // Once it is on its way, the process may end.
        match timeout(PATIENCE, said.recv_async()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(unreachable("it does not answer")),
        }
    }

    async fn say(&self, note: &Note, ips: &[IpAddr]) -> Result<(), RegistryError> {
        let info = note.info(ips).map_err(unreachable)?;
        self.command(|daemon| daemon.register(info.clone())).await
    }

    /// Has the daemon do something, once it has room for one more command.
    async fn command<T>(&self, command: impl Fn(&ServiceDaemon) -> mdns_sd::Result<T>) -> Result<T, RegistryError> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let daemon = self.daemon().clone();
            match daemon.as_ref().map(&command) {
                Some(Ok(done)) => return Ok(done),
                Some(Err(error)) if !matches!(error, Error::Again | Error::DaemonShutdown) => return Err(unreachable(error)),
                // It begins, or does much else.
                _ if Instant::now() < patience => sleep(FULL).await,
                _ => return Err(unreachable("it does not run")),
            }
        }
    }

    fn daemon(&self) -> MutexGuard<'_, Option<ServiceDaemon>> {
        self.daemon.lock().expect("no holder panics")
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<String, Own>> {
        self.own.lock().expect("no holder panics")
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.left.lock().expect("no holder panics")
    }

    /// Waits until the lease of a node of this host has run out.
    async fn lapsed(&self) -> String {
        loop {
            let first = self.own().iter().map(|(id, own)| (own.until, id.clone())).min();
            let lapsed = async {
                match first {
                    None => std::future::pending().await,
                    Some((until, id)) => {
                        sleep_until(until).await;
                        id
                    }
                }
            };
            tokio::select! {
                id = lapsed => {
                    // It may have been renewed at the same time.
                    if self.own().get(&id).is_some_and(|own| own.until <= Instant::now()) {
                        return id;
                    }
                }
                () = self.leases.notified() => {}
            }
        }
    }

    /// Starts the daemon anew, and says everything again.
    async fn start(&self) -> Result<Receiver<ServiceEvent>, RegistryError> {
        let daemon = ServiceDaemon::new_with_port(self.options.port).map_err(unreachable)?;
        let networks = self.options.networks.clone();
        let used = IfPredicate::new(move |interface| networks.take(interface));
        daemon.disable_interface(IfKind::All).map_err(unreachable)?;
        daemon.enable_interface(IfKind::Predicate(used)).map_err(unreachable)?;
        let events = daemon.browse(SERVICE).map_err(unreachable)?;
        *self.daemon() = Some(daemon);
        let own: Vec<(Note, Vec<IpAddr>)> = self.own().values().map(|own| (own.note.clone(), own.ips.clone())).collect();
        for (note, ips) in own {
            self.say(&note, &ips).await?;
        }
        Ok(events)
    }

    /// Ends the daemon. No goodbye is said: the host is still there.
    fn stop(&self) {
        if let Some(daemon) = self.daemon().take() {
            // Where it has ended already, there is nothing to do.
            let _ = daemon.disable_interface(IfKind::All);
            let _ = daemon.shutdown();
        }
    }

    /// How many records the daemon remembers.
    async fn records(&self) -> Result<i64, RegistryError> {
        let metrics = self.command(ServiceDaemon::get_metrics).await?;
        let metrics = timeout(PATIENCE, metrics.recv_async()).await.map_err(unreachable)?.map_err(unreachable)?;
        Ok(metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| count).sum())
    }
}

/// A word that is newer than the last one, and than those of earlier runs.
fn word(last: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    u64::try_from(now).unwrap_or_default().max(last + 1)
}

/// The size of a node that others would refuse.
fn too_large(node: &Node) -> Option<usize> {
    let bytes = serde_json::to_vec(node).map_or(usize::MAX, |json| json.len());
    (bytes > MAX_NODE).then_some(bytes)
}

fn unreachable(error: impl ToString) -> RegistryError {
    RegistryError::Unreachable(NAME.into(), error.to_string())
}
