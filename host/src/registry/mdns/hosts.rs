//! The hosts that are heard, each with who follows it; and what is done where too much is heard, or nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{Receiver, ServiceEvent};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::announce::{Heard, id_of};
use super::follow::{Follower, Sighting};
use super::networks::{self, Reach};
use super::{Options, Shared};

/// Hosts that are followed at most. A network in which all hear all is not meant for more.
const MAX_HEARD: usize = 1000;

/// Hosts that are looked for at once.
const MAX_LOOKING: usize = 32;

/// Records that are remembered at most, whoever sends them; a host has some five for each network.
const MAX_RECORDS: i64 = 50_000;

/// How often the records are counted.
const COUNT: Duration = Duration::from_secs(10);

/// The pause before listening anew, where somebody floods the network.
const FLOODED: Duration = Duration::from_secs(5);

/// How long hosts have to answer the first question: what is known then is taken for all that there is.
const SETTLE: Duration = Duration::from_secs(1);

/// How long nothing may be heard in a container before it is said how else hosts are found.
const LONELY: Duration = Duration::from_secs(10);

/// Listens for as long as it is not dropped, and owns what follows the hosts that are heard.
pub async fn listen(shared: Arc<Shared>) {
    tell_reach(&shared.options);
    let board = Arc::clone(&shared.board);
    let mut hosts = Hosts::new(shared);
    let settled = async {
        sleep(SETTLE).await;
        board.complete();
    };
    let listening = async {
        loop {
            let why = match hosts.shared.start().await {
                Ok(events) => hosts.hear(events).await,
                Err(error) => error.to_string(),
            };
            hosts.shared.stop();
            tracing::warn!(why, "mDNS is begun anew; hosts that were known stay known");
            sleep(FLOODED).await;
        }
    };
    tokio::join!(settled, listening);
}

/// Says what multicast is good for here, and the way out where it is good for nothing.
fn tell_reach(options: &Options) {
    const WAY_OUT: &str = "name other hosts by --peer URL, or all by --cluster nats://HOST:PORT";
    match networks::reach(&options.networks.of_this_machine(), options.port) {
        Reach::Network(networks) => tracing::info!(networks = networks.join(", "), "looking for other hosts by mDNS"),
        Reach::Machine(why) => tracing::warn!(why, "mDNS finds hosts of this machine only: {WAY_OUT}"),
        Reach::Nobody(why) => tracing::warn!(why, "mDNS finds no hosts: {WAY_OUT}"),
    }
}

/// The hosts that are heard.
struct Hosts {
    shared: Arc<Shared>,
    heard: HashMap<String, (watch::Sender<Sighting>, AbortHandle)>,
    /// The last ones that said goodbye, and their last words: earlier ones may come after them.
    left: VecDeque<(String, u64)>,
    followers: JoinSet<String>,
    turns: Arc<Semaphore>,
    /// It has been said that there are too many.
    full: bool,
}

impl Hosts {
    fn new(shared: Arc<Shared>) -> Hosts {
        Hosts {
            shared,
            heard: HashMap::new(),
            left: VecDeque::new(),
            followers: JoinSet::new(),
            turns: Arc::new(Semaphore::new(MAX_LOOKING)),
            full: false,
        }
    }

    /// Takes in what is heard, until it has to begin anew, for the reason that is returned.
    async fn hear(&mut self, events: Receiver<ServiceEvent>) -> String {
        let mut count = tokio::time::interval(COUNT);
        let mut lonely = networks::in_container().then(|| Instant::now() + LONELY);
        loop {
            tokio::select! {
                event = events.recv_async() => match event {
                    Ok(ServiceEvent::ServiceResolved(service)) => match Heard::read(&service, |name| name == "lo" || name == "lo0") {
                        Ok(heard) => self.sight(heard),
                        Err(unfit) => tracing::debug!(name = service.fullname, %unfit, "what announces itself as a host is none"),
                    },
                    Ok(ServiceEvent::ServiceRemoved(_, name)) => self.lose(&name),
                    Ok(_) => {}
                    Err(_) => return "more was heard at once than could be taken in".to_owned(),
                },
                // One that was aborted is forgotten already.
                ended = self.followers.join_next_with_id(), if !self.followers.is_empty() => if let Some(Ok((task, id))) = ended
                    && self.heard.get(&id).is_some_and(|(_, follower)| follower.id() == task)
                {
                    self.heard.remove(&id);
                },
                id = self.shared.lapsed() => {
                    tracing::debug!(node = id, "the lease of this host has run out");
                    if let Err(error) = self.shared.deregister(&id).await {
                        tracing::debug!(%error, "others find out by themselves");
                    }
                }
                _ = count.tick() => match self.shared.records().await {
                    Ok(records) if records > MAX_RECORDS => return format!("the network is flooded: {records} records"),
                    Ok(_) => {}
                    Err(error) => return error.to_string(),
                },
                () = until(lonely) => {
                    lonely = None;
                    if self.heard.is_empty() {
                        // A host may well be alone.
                        tracing::info!("no other host is heard by mDNS: networks of containers often carry no multicast; name hosts by --peer URL");
                    }
                }
            }
        }
    }

    fn sight(&mut self, heard: Heard) {
        let note = &heard.note;
        if note.cluster != self.shared.options.cluster || self.shared.own().contains_key(&note.id) {
            return;
        }
        if note.bye {
            if let Some((_, follower)) = self.heard.remove(&note.id) {
                follower.abort();
                self.shared.board.remove(&note.id);
            }
            self.left.retain(|(id, _)| *id != note.id);
            self.left.push_back((note.id.clone(), note.word));
            if self.left.len() > MAX_HEARD {
                self.left.pop_front();
            }
            return;
        }
        if self.left.iter().any(|(id, word)| *id == note.id && *word >= note.word) {
            return;
        }
        if let Some((sighting, _)) = self.heard.get(&note.id) {
            sighting.send_if_modified(|known| {
                let newer = heard.note.word >= known.heard.note.word && (known.silent || known.heard != heard);
                if newer {
                    *known = Sighting { heard, silent: false };
                }
                newer
            });
            return;
        }
        if self.heard.len() >= MAX_HEARD && !self.make_room() {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(
                    "more than {MAX_HEARD} hosts are heard by mDNS, and further ones are not followed: --cluster nats://HOST:PORT takes more"
                );
            }
            return;
        }
        self.follow(heard);
    }

    fn follow(&mut self, heard: Heard) {
        let id = heard.note.id.clone();
        let (sender, sighting) = watch::channel(Sighting { heard, silent: false });
        let shared = &self.shared;
        let follower = Follower {
            sighting,
            board: Arc::clone(&shared.board),
            source: Arc::clone(&shared.source),
            turns: Arc::clone(&self.turns),
            networks: shared.options.networks.clone(),
        };
        let name = id.clone();
        let task = self.followers.spawn(async move {
            follower.run().await;
            name
        });
        self.heard.insert(id, (sender, task));
    }

    /// Forgets a host that has not answered, in favour of one that may.
    fn make_room(&mut self) -> bool {
        let board = &self.shared.board;
        let Some(id) = self.heard.keys().find(|id| board.get(id).is_none()).cloned() else { return false };
        if let Some((_, follower)) = self.heard.remove(&id) {
            follower.abort();
        }
        true
    }

    fn lose(&mut self, name: &str) {
        if let Some((sighting, _)) = id_of(name).and_then(|id| self.heard.get(id)) {
            sighting.send_if_modified(|known| !std::mem::replace(&mut known.silent, true));
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
