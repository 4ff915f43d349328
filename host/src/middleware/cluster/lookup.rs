//! From a service's name to the ways there. Read on every call without a lock; made anew when what is
//! known of other hosts has changed, by the first call that sees it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use arc_swap::ArcSwap;

use super::known::Known;
use super::now;
use super::way::{GATEWAY, Via, Way};
use crate::registry::{Nodes, Offer, View};
use crate::selector::Stand;
use crate::status::Status;

/// The ways to the services that were called, as of what was known when they were made.
#[derive(Default)]
struct Table {
    /// Told apart from others by its place in memory, which it keeps while this is here.
    nodes: Weak<Nodes>,
    /// Of services that somebody offers, and no others.
    ways: HashMap<Arc<str>, Arc<Way>>,
}

impl Table {
    fn is_of(&self, nodes: &Arc<Nodes>) -> bool {
        std::ptr::eq(self.nodes.as_ptr(), Arc::as_ptr(nodes))
    }
}

/// Where this host stands among those that serve what it serves, as these call the same; by its id alone where
/// nobody is told of it.
fn stand(nodes: &Nodes, own: &str) -> Stand {
    let served = nodes.by_id.get(own).and_then(|node| node.services.first()?.interfaces.first());
    let alike = served.map_or(&[][..], |interface| nodes.offering(&interface.name));
    let place = alike.binary_search_by(|offer| (*offer.node.id).cmp(own));
    place.map_or_else(|_| Stand::named(own), |place| Stand::of(place, alike.len()))
}

/// The ways to all services.
pub(super) struct Ways {
    view: Arc<View>,
    known: Known,
    table: ArcSwap<Table>,
    writing: Mutex<()>,
}

impl Ways {
    pub(super) fn new(view: Arc<View>, known: Known) -> Ways {
        Ways { view, known, table: ArcSwap::default(), writing: Mutex::default() }
    }

    /// What ways are made of.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// The ways to a service; to the gateways that take it, where nobody offers it by name. `None` where
    /// no host is known that could take it.
    pub(super) fn to(&self, service: &str) -> Option<Arc<Way>> {
        let nodes = self.view.nodes();
        let table = self.table.load();
        let fresh = table.is_of(&nodes);
        if fresh && let Some(way) = table.ways.get(service) {
            // Most calls of this host's own services end here, so it costs them little.
            return way.is_open().then(|| Arc::clone(way));
        }
        let offers = nodes.offering(service);
        let name = self.name(service, Via::of(offers)?);
        let way = match table.ways.get(name) {
            Some(way) if fresh => Arc::clone(way),
            way => self.make(name, &nodes, offers, way)?,
        };
        way.is_open().then_some(way)
    }

    /// Why nobody takes calls of a service that somebody offers.
    pub(super) fn nobody(&self, service: &str) -> Option<Status> {
        let table = self.table.load();
        // A way from before tells of those who offered it then.
        let fresh = table.is_of(&self.view.nodes());
        table.ways.get(service).filter(|_| fresh).map(|way| way.nobody())
    }

    /// What the way to a service is called: those to gateways are one and the same for all services that
    /// nothing is set for.
    fn name<'a>(&self, service: &'a str, via: Via) -> &'a str {
        match via {
            Via::Gateway if !self.known.settings.names(service) => GATEWAY,
            _ => service,
        }
    }

    /// Brings all ways up to date, and makes the one to a service where there is none. While somebody else
    /// does, others go by what was known before, if they can.
    fn make(&self, name: &str, nodes: &Arc<Nodes>, offers: &Arc<[Offer]>, before: Option<&Arc<Way>>) -> Option<Arc<Way>> {
        let _writing = match (self.writing.try_lock(), before) {
            (Ok(writing), _) => writing,
            (Err(TryLockError::WouldBlock), Some(before)) => return Some(Arc::clone(before)),
            (Err(_), _) => self.writing(),
        };
        let table = self.table.load();
        if table.is_of(nodes)
            && let Some(way) = table.ways.get(name)
        {
            return Some(Arc::clone(way));
        }
        let (now, stand) = (now(), stand(nodes, &self.known.own));
        let mut ways = HashMap::with_capacity(table.ways.len() + 1);
        for (name, way) in &table.ways {
            let offers = nodes.offering(name);
            // One that nobody offers any longer is forgotten.
            if Via::of(offers).is_some_and(|via| self.name(name, via) == &**name) {
                let new =
                    if way.is_of(offers) { Arc::clone(way) } else { Arc::new(Way::new(name, offers, &self.known, stand, Some(way), now)) };
                ways.insert(Arc::clone(name), new);
            }
        }
        if !ways.contains_key(name) {
            let name: Arc<str> = name.into();
            ways.insert(Arc::clone(&name), Arc::new(Way::new(&name, offers, &self.known, stand, None, now)));
        }
        let way = ways.get(name).cloned();
        self.table.store(Arc::new(Table { nodes: Arc::downgrade(nodes), ways }));
        way
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().expect("no writer panics")
    }
}
