//! Hosts that are known by their address: each is asked what it serves, again and again, and so are
//! those that ask us, and those that it knows in turn.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::board::Board;
use super::fetch::{self, Answer, CLUSTER, MAX_WAIT, PEER, Told};
use super::{Address, Changes, Node, Others, Registry, RegistryError};

/// Hosts that are followed because they ask us, or because others know them, at most; further ones are not.
pub const MAX_CALLERS: usize = 1024;

/// Signs of life in the time of a lease: one may be lost, and one be late.
const SIGNS: u32 = 3;

/// How this host stands with those who ask it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It has said goodbye.
    pub left: bool,
    /// Until when it is known without being registered again; `None` before it is registered.
    pub until: Option<Instant>,
}

/// Why one who asks is told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this host belongs to another cluster than {0:?}: give both the same name under [cluster], or ask another host")]
pub struct NotOurs(String);

/// The registry of hosts whose addresses are known. What is registered in it is told to nobody: others
/// read it on the host's own page. But it tells those who are asked who we are, so that they ask us in
/// turn: it takes one address on one side to make two hosts known to each other. And whoever asks us is told
/// whom else we know, and asks those itself.
pub struct Peers(Arc<Shared>);

struct Shared {
    cluster: String,
    lease: Duration,
    board: Arc<Board>,
    own: watch::Sender<Option<Arc<Node>>>,
    standing: watch::Sender<Standing>,
    others: watch::Sender<Arc<Others>>,
    followed: Mutex<HashMap<Address, Followed>>,
    runtime: Handle,
}

/// An address that is asked.
struct Followed {
    /// It is in the list, and not there for its asking alone.
    listed: bool,
    /// When it last asked us.
    asked: Option<Instant>,
    /// When another host told of it.
    heard: Option<Instant>,
    /// It has answered, or not, at least once.
    tried: bool,
    /// The id of the node that it leads to.
    node: Option<String>,
    _task: Task,
}

/// A task that ends when nobody has it any more.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peers {
    /// Follows the hosts at these addresses, for as long as the runtime runs that this is called in. A
    /// host that is not reached for `lease` is gone; one of another cluster is not seen.
    pub fn new(cluster: &str, addresses: Vec<Address>, lease: Duration) -> Peers {
        let peers = Peers(Arc::new(Shared {
            cluster: cluster.to_owned(),
            lease,
            board: Arc::default(),
            own: watch::Sender::default(),
            standing: watch::Sender::default(),
            others: watch::Sender::default(),
            followed: Mutex::default(),
            runtime: Handle::current(),
        }));
        peers.set(addresses);
        peers
    }

    /// Follows these addresses from now on, and no others but those of hosts that ask us.
    pub fn set(&self, addresses: Vec<Address>) {
        let mut followed = self.0.followed();
        let gone: Vec<Address> =
            followed.iter().filter(|(address, _)| !addresses.contains(address)).map(|(address, _)| address.clone()).collect();
        for address in gone {
            match followed.get_mut(&address) {
                Some(entry) if entry.asked.is_some() || entry.heard.is_some() => entry.listed = false,
                _ => self.0.forget(&mut followed, &address),
            }
        }
        for address in addresses {
            match followed.get_mut(&address) {
                Some(entry) => entry.listed = true,
                None => self.0.begin(&mut followed, address, Why::Listed),
            }
        }
        self.0.complete(&followed);
    }

    /// Notes that somebody asks what this host tells of itself, with these headers. A host that says where
    /// it is is asked in turn, for as long as it goes on asking.
    pub fn asked(&self, headers: &HeaderMap) -> Result<(), NotOurs> {
        if let Some(name) = headers.get(CLUSTER)
            && name.as_bytes() != self.0.cluster.as_bytes()
        {
            return Err(NotOurs(String::from_utf8_lossy(name.as_bytes()).into_owned()));
        }
        let Some((id, address)) = headers.get(PEER).and_then(caller) else { return Ok(()) };
        if self.0.is_own(id) {
            return Ok(());
        }
        let mut followed = self.0.followed();
        if let Some(entry) = known(&mut followed, id, &address) {
            entry.asked = Some(Instant::now());
        } else {
            self.0.welcome(&mut followed, address, Why::Asks);
        }
        Ok(())
    }

    /// Whom this host knows, as those who ask it are told.
    pub fn others(&self) -> watch::Receiver<Arc<Others>> {
        self.0.others.subscribe()
    }

    /// How this host stands, now and as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.subscribe()
    }
}

/// Why an address is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Listed,
    Asks,
    Heard,
}

/// The entry of a host, which may be known by another address already.
fn known<'a>(followed: &'a mut HashMap<Address, Followed>, id: &str, address: &Address) -> Option<&'a mut Followed> {
    if followed.contains_key(address) {
        return followed.get_mut(address);
    }
    followed.values_mut().find(|entry| entry.node.as_deref() == Some(id))
}

/// Who asks, by what the header says: the id and where it is to be asked. Sockets of a machine mean
/// nothing to others, and are not followed.
fn caller(value: &HeaderValue) -> Option<(&str, Address)> {
    let (id, url) = value.to_str().ok()?.split_once(' ')?;
    let address = url.parse().ok().filter(|address| matches!(address, Address::Tcp { .. }))?;
    Some((id, address))
}

impl Shared {
    fn followed(&self) -> MutexGuard<'_, HashMap<Address, Followed>> {
        self.followed.lock().expect("no holder panics")
    }

    fn is_own(&self, id: &str) -> bool {
        self.own.borrow().as_ref().is_some_and(|own| own.id == id)
    }

    fn begin(self: &Arc<Shared>, followed: &mut HashMap<Address, Followed>, address: Address, why: Why) {
        let task = self.runtime.spawn(follow(Arc::downgrade(self), address.clone()));
        let if_it = |cause| (why == cause).then(Instant::now);
        let (asked, heard) = (if_it(Why::Asks), if_it(Why::Heard));
        let entry = Followed { listed: why == Why::Listed, asked, heard, tried: false, node: None, _task: Task(task.abort_handle()) };
        followed.insert(address, entry);
    }

    /// Begins to follow a host that is on no list, if there is room.
    fn welcome(self: &Arc<Shared>, followed: &mut HashMap<Address, Followed>, address: Address, why: Why) {
        if followed.values().filter(|entry| !entry.listed).count() < MAX_CALLERS {
            self.begin(followed, address, why);
        } else {
            tracing::debug!(%address, "{MAX_CALLERS} hosts that are on no list are followed already: this one is not");
        }
    }

    /// Follows those that another host knows. They are believed nothing but what they say themselves.
    fn hear(self: &Arc<Shared>, others: &Others) {
        let mut followed = self.followed();
        for (id, address) in others.heard().filter(|(id, _)| !self.is_own(id)) {
            if known(&mut followed, id, &address).is_none() {
                self.welcome(&mut followed, address, Why::Heard);
            }
        }
    }

    /// Tells whoever asks which of the hosts that are followed are there, and where they say that they are.
    fn pass_on(&self, followed: &HashMap<Address, Followed>) {
        let others = followed.values().filter_map(|entry| entry.node.as_deref()).filter(|id| !self.is_own(id));
        let nodes: Vec<Arc<Node>> = others.filter_map(|id| self.board.get(id)).collect();
        let reached = |node: &'_ Arc<Node>| node.addresses.iter().position(|address| matches!(address, Address::Tcp { .. }));
        let hosts: BTreeMap<&str, &Address> =
            nodes.iter().filter_map(|node| Some((node.id.as_str(), &node.addresses[reached(node)?]))).collect();
        self.others.send_if_modified(|told| match told.next(hosts) {
            Some(next) => {
                *told = Arc::new(next);
                true
            }
            None => false,
        });
    }

    /// Stops to follow an address.
    fn forget(&self, followed: &mut HashMap<Address, Followed>, address: &Address) {
        let gone = followed.remove(address).and_then(|entry| entry.node);
        self.release(followed, gone);
        self.pass_on(followed);
    }

    /// Takes a node off the board that an address led to, unless another one leads to it too.
    fn release(&self, followed: &HashMap<Address, Followed>, node: Option<String>) {
        if let Some(id) = node
            && !self.is_own(&id)
            && !followed.values().any(|entry| entry.node.as_deref() == Some(&id))
        {
            self.board.remove(&id);
        }
    }

    /// Notes what an address leads to; `None` where it leads to nobody any more.
    fn leads(&self, address: &Address, node: Option<Arc<Node>>) {
        let mut followed = self.followed();
        let Some(entry) = followed.get_mut(address) else { return };
        let id = node.as_ref().map(|node| node.id.clone());
        let before = std::mem::replace(&mut entry.node, id.clone());
        if before != id {
            // Another host, or another run of the same one: two cannot be at one place.
            self.release(&followed, before);
        }
        if let Some(node) = node
            && !self.is_own(&node.id)
            // By another address, a newer one may have been heard of.
            && self.board.get(&node.id).is_none_or(|known| known.revision <= node.revision)
        {
            self.board.put(node);
        }
        self.pass_on(&followed);
    }

    fn tried(&self, address: &Address) {
        let mut followed = self.followed();
        if let Some(entry) = followed.get_mut(address)
            && !std::mem::replace(&mut entry.tried, true)
        {
            self.complete(&followed);
        }
    }

    /// All that there is has been told when each of the list has answered, or not.
    fn complete(&self, followed: &HashMap<Address, Followed>) {
        if followed.values().all(|entry| entry.tried || !entry.listed) {
            self.board.complete();
        }
    }

    /// When an address is to be forgotten that is on no list: it has not asked for a lease, or, where another
    /// host told of it, not answered. One that is this host itself is forgotten at once.
    fn patience(&self, address: &Address) -> Option<Instant> {
        let followed = self.followed();
        let entry = followed.get(address).filter(|entry| !entry.listed)?;
        match (&entry.node, entry.heard) {
            (Some(id), Some(heard)) if self.is_own(id) => Some(heard),
            (Some(_), Some(_)) => None,
            _ => entry.asked.max(entry.heard).map(|since| since + self.lease),
        }
    }

    /// Whether somebody named the address, who is to be told that nobody answers there.
    fn is_named(&self, address: &Address) -> bool {
        self.followed().get(address).is_some_and(|entry| entry.heard.is_none())
    }

    /// What requests to an address say of this host. Only those of the list are told where it is: two hosts
    /// that each follow the other for its asking alone would never stop.
    fn headers(&self, to: &Address) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(cluster) = HeaderValue::try_from(&self.cluster) {
            headers.insert(CLUSTER, cluster);
        }
        let listed = self.followed().get(to).is_some_and(|entry| entry.listed);
        let own = self.own.borrow();
        let address = own.as_ref().filter(|_| listed).and_then(|own| {
            let network = own.addresses.iter().find(|address| matches!(address, Address::Tcp { .. }));
            Some((&own.id, network?))
        });
        if let Some((id, address)) = address
            && let Ok(value) = HeaderValue::try_from(format!("{id} {address}"))
        {
            headers.insert(PEER, value);
        }
        headers
    }
}

/// Follows one address until its entry is dropped, or it has stopped asking us where that is why.
async fn follow(shared: Weak<Shared>, address: Address) {
    let Some(lease) = shared.upgrade().map(|shared| shared.lease) else { return };
    let headers = {
        let (shared, address) = (Weak::clone(&shared), address.clone());
        move || shared.upgrade().map(|shared| shared.headers(&address)).unwrap_or_default()
    };
    let mut answers = pin!(fetch::follow(address.clone(), (lease / SIGNS).min(MAX_WAIT), headers));
    // When the node that it leads to is gone without a sign of life.
    let mut ends: Option<Instant> = None;
    let mut failing = false;
    let mut look = Instant::now() + lease;
    loop {
        let answer = tokio::select! {
            answer = answers.next() => answer,
            () = sleep_until(ends.unwrap_or(look).min(look)) => None,
        };
        let Some(shared) = shared.upgrade() else { return };
        let now = Instant::now();
        match answer {
            Some(Ok(Told { answer, others })) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(peer = %address, "the peer is back");
                }
                ends = (answer != Answer::Leaving).then_some(now + lease);
                match answer {
                    Answer::Node(node) => shared.leads(&address, Some(node)),
                    Answer::Unchanged => {}
                    Answer::Leaving => shared.leads(&address, None),
                }
                if let Some(others) = others {
                    shared.hear(&others);
                }
                shared.tried(&address);
            }
            Some(Err(error)) => {
                if shared.is_named(&address) && !std::mem::replace(&mut failing, true) {
                    tracing::warn!(peer = %address, %error, "a peer cannot be asked what it serves; it is tried again");
                }
                shared.tried(&address);
            }
            None => {}
        }
        if ends.is_some_and(|ends| ends <= now) {
            ends = None;
            shared.leads(&address, None);
        }
        if shared.patience(&address).is_some_and(|ends| ends <= now) {
            let mut followed = shared.followed();
            shared.forget(&mut followed, &address);
            return;
        }
        if look <= now {
            look = now + lease;
        }
    }
}

impl Registry for Peers {
    fn name(&self) -> &str {
        "peers"
    }

    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            self.0.own.send_replace(Some(Arc::clone(&node)));
            self.0.board.put(node);
            self.0.standing.send_replace(Standing { left: false, until: Some(Instant::now() + lease) });
            Ok(())
        })
    }

    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        let own = self.0.is_own(id).then(|| id.to_owned());
        Box::pin(async move {
            if let Some(id) = own {
                self.0.board.remove(&id);
                self.0.standing.send_modify(|standing| standing.left = true);
            }
            Ok(())
        })
    }

    fn watch(&self) -> Changes {
        self.0.board.watch()
    }
}

#[cfg(test)]
mod tests;
