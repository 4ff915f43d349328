//! Follows one host that was heard: asks it what it serves, and again for what changes. That it answers
//! is what keeps it known; what multicast says of it does not.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::announce::{Heard, MAX_ADDRESSES};
use super::networks;
use crate::registry::board::Board;
use crate::registry::fetch::{self, MAX_WAIT, Seen};
use crate::registry::{Address, Node, PATIENCE, RegistryError};

/// Signs of life in the time of a lease.
const SIGNS: u32 = 3;

/// How much later than the one before it each further address is tried.
const STAGGER: Duration = Duration::from_millis(150);

/// The pause after a host did not answer; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a host is asked that has never answered.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Rounds without an answer after which a host that multicast has lost as well is given up.
const ROUNDS: u32 = 2;

/// Asks hosts for what they tell of themselves.
pub trait Source: Send + Sync {
    /// What is told at an address, where this id is meant to be: at once if it is newer than the revision
    /// `after`, or after `wait`.
    fn ask<'a>(
        &'a self,
        id: &'a str,
        address: &'a Address,
        after: Option<u64>,
        wait: Duration,
    ) -> BoxFuture<'a, Result<fetch::Answer, RegistryError>>;
}

/// The pages of the hosts themselves.
pub struct Pages;

impl Source for Pages {
    fn ask<'a>(
        &'a self,
        id: &'a str,
        address: &'a Address,
        after: Option<u64>,
        wait: Duration,
    ) -> BoxFuture<'a, Result<fetch::Answer, RegistryError>> {
        let seen = after.map(|revision| Seen { id: id.to_owned(), revision });
        Box::pin(async move { fetch::once(address, seen.as_ref(), wait).await })
    }
}

/// What is known of a host by multicast.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// What was heard last.
    pub heard: Heard,
    /// It is not heard any more, without having said goodbye.
    pub silent: bool,
}

/// Follows one host.
pub struct Follower {
    /// What multicast says of it.
    pub sighting: watch::Receiver<Sighting>,
    /// Where it is made known.
    pub board: Arc<Board>,
    /// Whom to ask.
    pub source: Arc<dyn Source>,
    /// Who may look for a host among its addresses.
    pub turns: Arc<Semaphore>,
    /// The interfaces that are used.
    pub networks: networks::Networks,
}

/// The host as it answered last.
struct Known {
    address: Address,
    revision: u64,
}

enum Answer {
    /// This is what it tells, at this address.
    Node(Address, Arc<Node>),
    /// Nothing is new.
    Same,
    /// Another host is where it was.
    Other,
    /// It says goodbye.
    Leaving,
    /// None, for this reason.
    None(String),
}

impl Follower {
    /// Follows it until it is gone for good; whoever hears it say goodbye drops this.
    pub async fn run(mut self) {
        let mut known: Option<Known> = None;
        let mut alive = Instant::now();
        let mut answered = false;
        let mut failed = 0;
        loop {
            let Sighting { heard, silent } = self.sighting.borrow_and_update().clone();
            let (id, lease) = (heard.note.id.as_str(), heard.note.lease);
            let every = (lease / SIGNS).min(MAX_WAIT);
            let asked = Instant::now();
            let why = match self.ask(&heard, known.as_ref(), every).await {
                Answer::Node(address, node) => {
                    known = Some(Known { address: address.clone(), revision: node.revision });
                    self.board.put(Arc::new(reached(&node, address)));
                    (alive, answered, failed) = (Instant::now(), true, 0);
                    continue;
                }
                Answer::Same => {
                    (alive, failed) = (Instant::now(), 0);
                    // One that does not wait is not asked more often for it.
                    self.pause((every / 2).saturating_sub(asked.elapsed())).await;
                    continue;
                }
                Answer::Other => {
                    self.board.remove(id);
                    "another host is where it was".to_owned()
                }
                Answer::Leaving => {
                    self.board.remove(id);
                    return;
                }
                Answer::None(why) => why,
            };
            known = None;
            failed += 1;
            let present = self.board.get(id).is_some();
            let lapsed = alive.elapsed() >= lease;
            if silent && (lapsed || failed >= ROUNDS) {
                self.board.remove(id);
                tracing::info!(node = id, why, "a host is neither heard nor reached any more");
                return;
            }
            if lapsed && present {
                self.board.remove(id);
                tracing::info!(node = id, why, "a host does not answer any more");
            } else if !answered && failed == ROUNDS {
                let at: Vec<String> = addresses(&heard, &self.networks).iter().map(ToString::to_string).collect();
                let at = at.join(", ");
                tracing::warn!(node = id, at, why, "a host is heard, but does not answer: does a firewall stand between?");
            }
            let longest = if answered { every } else { LONGEST_PAUSE };
            let pause = (FIRST_PAUSE * 2_u32.saturating_pow(failed.min(16))).min(longest).mul_f64(jitter());
            // Not beyond the end of the lease, which is to be noticed.
            let left = lease.saturating_sub(alive.elapsed());
            self.pause(if present { pause.min(left) } else { pause }).await;
        }
    }

    /// Asks the host, where it answered last or else at all of its addresses.
    async fn ask(&mut self, heard: &Heard, known: Option<&Known>, every: Duration) -> Answer {
        let id = heard.note.id.as_str();
        let Some(Known { address, revision }) = known else {
            return self.find(heard, every.min(PATIENCE)).await;
        };
        let (revision, source) = (*revision, Arc::clone(&self.source));
        let patience = every.min(PATIENCE);
        let ask = |wait| timeout(wait + patience, source.ask(id, address, Some(revision), wait));
        let outcome = tokio::select! {
            outcome = ask(every) => outcome,
            // It has said that there is more; it need not wait to say so again.
            () = newer(&mut self.sighting, revision) => ask(Duration::ZERO).await,
        };
        match outcome {
            Ok(Ok(fetch::Answer::Node(node))) if node.id != id => Answer::Other,
            Ok(Ok(fetch::Answer::Node(node))) => Answer::Node(address.clone(), node),
            Ok(Ok(fetch::Answer::Unchanged)) => Answer::Same,
            Ok(Ok(fetch::Answer::Leaving)) => Answer::Leaving,
            Ok(Err(error)) => Answer::None(error.to_string()),
            Err(_) => Answer::None(format!("{address} does not answer within {patience:?}")),
        }
    }

    /// Looks for the host at all of its addresses, and takes the first that is its own.
    async fn find(&self, heard: &Heard, patience: Duration) -> Answer {
        let Ok(_turn) = self.turns.acquire().await else { return Answer::None("the registry ends".to_owned()) };
        let id = heard.note.id.as_str();
        let tries = (0_u32..).zip(addresses(heard, &self.networks)).map(|(place, address)| async move {
            sleep(STAGGER * place).await;
            match timeout(patience, self.source.ask(id, &address, None, Duration::ZERO)).await {
                Ok(Ok(fetch::Answer::Node(node))) if node.id == id => Ok((address, node)),
                // Who it is that leaves there is not told.
                Ok(Ok(fetch::Answer::Leaving)) => Err(format!("the host at {address} is leaving")),
                Ok(Ok(_)) => Err(format!("another host is at {address}")),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("{address} does not answer within {patience:?}")),
            }
        });
        let mut tries: FuturesUnordered<_> = tries.collect();
        let mut reasons = Vec::new();
        while let Some(tried) = tries.next().await {
            match tried {
                Ok((address, node)) => return Answer::Node(address, node),
                Err(why) => reasons.push(why),
            }
        }
        Answer::None(if reasons.is_empty() { "it has no address to reach it by".to_owned() } else { reasons.join("; ") })
    }

    /// Waits, unless something is heard of the host meanwhile.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            heard = self.sighting.changed() => if heard.is_err() { sleep(pause).await },
        }
    }
}

/// Waits until the host says that it has a newer revision.
async fn newer(sighting: &mut watch::Receiver<Sighting>, revision: u64) {
    if sighting.wait_for(|sighting| sighting.heard.note.revision > revision).await.is_err() {
        std::future::pending().await
    }
}

/// Where a host may be, the most promising first.
fn addresses(heard: &Heard, networks: &networks::Networks) -> Vec<Address> {
    let (port, tls) = (heard.note.port, heard.note.tls);
    let places = networks::ordered(heard.places.clone(), &networks.of_this_machine());
    let own = places.iter().map(|place| Address::Tcp { host: place.host(), port, tls });
    // Who names another address has a reason.
    heard.note.at.clone().into_iter().chain(own).take(MAX_ADDRESSES).collect()
}

/// The node with the address first that it answered at.
fn reached(node: &Node, address: Address) -> Node {
    let mut node = node.clone();
    node.addresses.retain(|other| *other != address);
    node.addresses.insert(0, address);
    node
}

/// From 0.5 to 1, so that hosts which lost another at once do not ask it at once.
fn jitter() -> f64 {
    let mut byte = [u8::MAX];
    // Without randomness they do.
    let _ = getrandom::fill(&mut byte);
    0.5 + f64::from(byte[0]) / 510.0
}
