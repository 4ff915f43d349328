//! Which services there are, for whoever asks about services instead of calling them: what other hosts
//! tell, and this one as they see it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::{Stream, stream};
use tokio::sync::watch;

use super::{Node, Nodes, Offer, View};

/// What is known of all hosts, this one among them also where it tells nobody of itself.
#[derive(Debug)]
pub struct Outlook {
    view: Arc<View>,
    own: watch::Sender<Arc<Nodes>>,
}

impl Outlook {
    /// What this view tells of others. Of its own host it knows once it is told.
    pub fn new(view: Arc<View>) -> Outlook {
        Outlook { view, own: watch::Sender::new(Arc::default()) }
    }

    /// Takes in what the own host tells of itself: at once, and, as the future runs, whatever it tells then,
    /// until it tells nothing any more.
    pub fn follow(self: &Arc<Outlook>, mut own: watch::Receiver<Arc<Node>>) -> impl Future<Output = ()> + Send + use<> {
        let outlook = Arc::clone(self);
        outlook.know(&mut own);
        async move {
            while own.changed().await.is_ok() {
                outlook.know(&mut own);
            }
        }
    }

    fn know(&self, own: &mut watch::Receiver<Arc<Node>>) {
        let node = Arc::clone(&own.borrow_and_update());
        self.own.send_replace(Arc::new(Nodes::of(BTreeMap::from([(node.id.clone(), node)]))));
    }

    /// What is known now.
    pub fn now(&self) -> Sight {
        Sight { others: Arc::clone(&self.view.nodes()), own: Arc::clone(&self.own.borrow()) }
    }

    /// Tells who offers the service of this full name, or any one; and then what changes, for as long as
    /// it is polled. What changes several times between two polls is told as it is at last.
    pub fn watch(self: &Arc<Outlook>, service: Option<String>) -> impl Stream<Item = Seen> + Send + use<> {
        let (others, own) = (self.view.changes(), self.own.subscribe());
        let mut watching =
            Watching { outlook: Arc::clone(self), service, others, own, told: BTreeMap::new(), due: VecDeque::new(), complete: false };
        watching.compare();
        stream::unfold(watching, |mut watching| async move { Some((watching.next().await?, watching)) })
    }
}

/// What is known at one moment.
#[derive(Clone, Debug)]
pub struct Sight {
    others: Arc<Nodes>,
    own: Arc<Nodes>,
}

impl Sight {
    /// Whether a node is this host.
    pub fn is_own(&self, node: &Node) -> bool {
        self.own.by_id.contains_key(&node.id)
    }

    /// The full names of all services; gateways have none.
    pub fn services(&self) -> BTreeSet<&str> {
        self.others.services().chain(self.own.services()).collect()
    }

    /// Who offers the service of this full name; by `*`, the gateways.
    pub fn offers(&self, service: &str) -> impl Iterator<Item = &Offer> {
        // What the registries tell of this host is older than what it knows of itself.
        let others = self.others.named(service).iter().filter(|offer| !self.is_own(&offer.node));
        others.chain(self.own.named(service).iter())
    }

    /// What one node offers by this full name.
    fn offer(&self, service: &str, node: &str) -> Option<&Offer> {
        let nodes = if self.own.by_id.contains_key(node) { &self.own } else { &self.others };
        let offers = nodes.named(service);
        // They are kept by the ids of their nodes.
        offers.binary_search_by(|offer| offer.node.id.as_str().cmp(node)).ok().map(|place| &offers[place])
    }
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An offer is new, or is another now.
    Put(Offer),
    /// An offer is no more.
    Gone {
        /// The full name of the service.
        service: String,
        /// The id of the node.
        node: String,
    },
    /// All that there was when the watch began has been told.
    Complete,
}

/// The full name of a service, and the id of a node.
type Place = (String, String);

struct Watching {
    outlook: Arc<Outlook>,
    service: Option<String>,
    others: watch::Receiver<u64>,
    own: watch::Receiver<Arc<Nodes>>,
    /// What has been told and not been taken back.
    told: BTreeMap<Place, Offer>,
    /// Where something is another than it was told; looked at when it is its turn, so that there is never
    /// more of it than there are offers.
    due: VecDeque<Place>,
    complete: bool,
}

impl Watching {
    /// Waits for what there is to tell; `None` where there is nobody any more who would know.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            while let Some(place) = self.due.pop_front() {
                if let Some(seen) = self.look(place) {
                    return Some(seen);
                }
            }
            if !std::mem::replace(&mut self.complete, true) {
                return Some(Seen::Complete);
            }
            tokio::select! {
                changed = self.others.changed() => changed.ok()?,
                changed = self.own.changed() => changed.ok()?,
            }
            self.compare();
        }
    }

    /// Notes what is another than it was told.
    fn compare(&mut self) {
        self.others.mark_unchanged();
        self.own.mark_unchanged();
        let now = self.outlook.now();
        let place = |service: &str, offer: &Offer| (service.to_owned(), offer.node.id.clone());
        let there = match &self.service {
            Some(service) => now.offers(service).map(|offer| (place(service, offer), offer)).collect::<BTreeMap<_, _>>(),
            None => {
                let all = now.services().into_iter();
                all.flat_map(|service| now.offers(service).map(move |offer| (place(service, offer), offer))).collect()
            }
        };
        self.due.extend(self.told.keys().filter(|place| !there.contains_key(*place)).cloned());
        let new = there.into_iter().filter(|(place, offer)| self.told.get(place).is_none_or(|told| !offer.says_the_same(told)));
        self.due.extend(new.map(|(place, _)| place));
    }

    /// What is to be told of a place now, if anything.
    fn look(&mut self, place: Place) -> Option<Seen> {
        let now = self.outlook.now();
        match now.offer(&place.0, &place.1) {
            Some(offer) if self.told.get(&place).is_some_and(|told| offer.says_the_same(told)) => None,
            Some(offer) => {
                self.told.insert(place, offer.clone());
                Some(Seen::Put(offer.clone()))
            }
            None => {
                self.told.remove(&place)?;
                let (service, node) = place;
                Some(Seen::Gone { service, node })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::registry::{Interface, Memory, Registry, Service, USUAL_WEIGHT};

    fn node(id: &str, version: &str) -> Arc<Node> {
        let interface = |name: &str| Interface { name: name.into(), wit: None, methods: Vec::new() };
        let service = Service {
            name: "s".into(),
            version: Some(version.into()),
            weight: USUAL_WEIGHT,
            ready: true,
            labels: BTreeMap::new(),
            interfaces: vec![interface("a.B"), interface("a.C")],
        };
        let (name, zone, labels) = (None, None, BTreeMap::new());
        Arc::new(Node { id: id.into(), name, addresses: Vec::new(), zone, labels, machine: None, revision: 0, services: vec![service] })
    }

    /// An outlook of the host `own`, and what tells it of others.
    fn outlook() -> (Arc<Outlook>, Arc<Memory>, watch::Sender<Arc<Node>>) {
        let (view, memory, own) = (Arc::new(View::default()), Arc::new(Memory::default()), watch::Sender::new(node("own", "1")));
        let outlook = Arc::new(Outlook::new(Arc::clone(&view)));
        tokio::spawn(outlook.follow(own.subscribe()));
        let registry = Arc::clone(&memory);
        tokio::spawn(async move { view.follow(&*registry).await });
        (outlook, memory, own)
    }

    async fn put(memory: &Memory, node: Arc<Node>) {
        memory.register(node, std::time::Duration::from_secs(60)).await.expect("it is there");
    }

    /// Waits until so much is offered.
    async fn until(outlook: &Arc<Outlook>, done: impl Fn(&Sight) -> bool) {
        let (mut others, mut own) = (outlook.view.changes(), outlook.own.subscribe());
        while !done(&outlook.now()) {
            tokio::select! {
                _ = others.changed() => {}
                _ = own.changed() => {}
            }
        }
    }

    fn told(seen: &Seen) -> String {
        match seen {
            Seen::Put(offer) => {
                format!("+{} {} {}", offer.interface().name, offer.node.id, offer.service().version.as_deref().unwrap_or_default())
            }
            Seen::Gone { service, node } => format!("-{service} {node}"),
            Seen::Complete => "complete".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_own_host_is_seen_once_and_as_it_sees_itself() {
        let (outlook, memory, own) = outlook();
        put(&memory, node("own", "old")).await;
        put(&memory, node("x", "1")).await;
        own.send_replace(node("own", "2"));
        let versions = |sight: &Sight| sight.offers("a.B").filter_map(|offer| offer.service().version.clone()).collect::<Vec<_>>();
        until(&outlook, |sight| versions(sight) == ["1", "2"]).await;
        assert_eq!(outlook.now().services().into_iter().collect::<Vec<_>>(), ["a.B", "a.C"]);
    }

    #[tokio::test]
    async fn a_watch_tells_what_there_is_then_that_it_was_all_then_changes() {
        let (outlook, memory, _own) = outlook();
        put(&memory, node("x", "1")).await;
        until(&outlook, |sight| sight.offers("a.B").count() == 2).await;
        let mut all = Box::pin(outlook.watch(None));
        let mut first = Vec::new();
        for _ in 0..5 {
            first.push(told(&all.next().await.expect("it goes on")));
        }
        assert_eq!(first, ["+a.B own 1", "+a.B x 1", "+a.C own 1", "+a.C x 1", "complete"]);
        let mut one = Box::pin(outlook.watch(Some("a.B".into())));
        for expected in ["+a.B own 1", "+a.B x 1", "complete"] {
            assert_eq!(told(&one.next().await.expect("it goes on")), expected);
        }
        assert!(one.next().now_or_never().is_none(), "nothing has changed");
        memory.deregister("x").await.expect("it is there");
        assert_eq!(told(&one.next().await.expect("it goes on")), "-a.B x");
    }

    #[tokio::test]
    async fn who_reads_slowly_is_told_how_it_is_at_last() {
        let (outlook, memory, own) = outlook();
        until(&outlook, |sight| sight.offers("a.B").count() == 1).await;
        let mut watch = Box::pin(outlook.watch(Some("a.B".into())));
        for expected in ["+a.B own 1", "complete"] {
            assert_eq!(told(&watch.next().await.expect("it goes on")), expected);
        }
        for version in 2..=9 {
            own.send_replace(node("own", &version.to_string()));
            put(&memory, node("x", &version.to_string())).await;
        }
        put(&memory, node("y", "1")).await;
        memory.deregister("y").await.expect("it is there");
        put(&memory, node("z", "1")).await;
        let is_last = |sight: &Sight| {
            sight.offers("a.B").map(|offer| offer.service().version.clone().unwrap_or_default()).collect::<Vec<_>>() == ["9", "1", "9"]
        };
        until(&outlook, is_last).await;
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(told(&watch.next().await.expect("it goes on")));
        }
        assert_eq!(heard, ["+a.B own 9", "+a.B x 9", "+a.B z 1"]);
        assert!(watch.next().now_or_never().is_none(), "nothing else has changed");
    }
}
