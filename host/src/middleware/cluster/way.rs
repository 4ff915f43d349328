//! The ways to one service on other hosts, made when what is known of it changes, so that a call only
//! has to choose.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::budget::Budget;
use super::known::Known;
use crate::registry::Offer;
use crate::rpc::{Channel, Form};
use crate::selector::{self, Facts, Listed, Rules, Stand, Summary};
use crate::settings::{Balance, Failing, Retrying};
use crate::stats::CalleeStats;
use crate::status::{Code, Status};

/// The name by which a gateway offers what nobody else serves.
pub(super) const GATEWAY: &str = "*";

/// The most methods of one service that are kept ready, and as many that nobody has; of more, each call
/// looks for those who have it.
const MAX_METHODS: usize = 1000;

/// The most nodes that are named to who calls in vain.
const MAX_NAMED: usize = 3;

/// Those that a call may go to.
pub(super) type Candidates = selector::Candidates<Arc<Place>>;

/// A node that a call may go to.
pub(super) struct Place {
    offer: Offer,
    channel: Arc<dyn Channel>,
}

impl Place {
    /// The way there.
    pub(super) fn channel(&self) -> &dyn Channel {
        &*self.channel
    }

    /// What people call it.
    pub(super) fn name(&self) -> &str {
        name(&self.offer)
    }
}

impl Listed for Arc<Place> {
    fn facts(&self) -> Facts<'_> {
        self.offer.facts()
    }
}

fn name(offer: &Offer) -> &str {
    offer.node.name.as_deref().unwrap_or(&offer.node.id)
}

/// Whether two offers are one and the same.
fn same(a: &Offer, b: &Offer) -> bool {
    Arc::ptr_eq(&a.node, &b.node) && std::ptr::eq(a.interface(), b.interface())
}

/// One method, with those who serve it.
pub(super) struct Method {
    /// Free of side effects, as all say who serve it.
    pub(super) safe: bool,
    /// How its calls fail.
    pub(super) failing: Failing,
    /// Its path, where its service is known by name.
    pub(super) path: Option<Arc<str>>,
    candidates: Arc<Candidates>,
    /// Those of them who have the function with this type, where they do not all have the same.
    typed: Box<[(u64, Arc<Candidates>)]>,
}

impl Method {
    /// Those who may be called: of a function that a caller has a type for, those who have just that one,
    /// if any do. The others have it in another version, which is for the caller's linking to judge.
    pub(super) fn candidates(&self, form: Form) -> &Arc<Candidates> {
        match form {
            Form::Values(fingerprint) => self.of_type(fingerprint.bits()),
            Form::Encoded(_) => &self.candidates,
        }
    }

    pub(super) fn of_type(&self, fingerprint: u64) -> &Arc<Candidates> {
        self.typed.iter().find(|(typed, _)| *typed == fingerprint).map_or(&self.candidates, |(_, candidates)| candidates)
    }
}

/// What a service is offered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Its name.
    Name,
    /// A gateway, which takes whatever nobody else serves.
    Gateway,
}

impl Via {
    /// By what the hosts of this list offer a service.
    pub(super) fn of(offers: &[Offer]) -> Option<Via> {
        Some(if offers.first()?.interface().name == GATEWAY { Via::Gateway } else { Via::Name })
    }
}

/// The ways to a service.
pub(super) struct Way {
    service: Arc<str>,
    pub(super) via: Via,
    /// Who was known to offer it when this was made.
    offers: Arc<[Offer]>,
    /// Where it could be called, in the order of the offers.
    places: Vec<Arc<Place>>,
    /// The same, to choose from.
    all: Arc<Candidates>,
    /// How they are chosen, and where from.
    balance: Balance,
    stand: Stand,
    /// The methods that were called, and those that nobody has.
    methods: ArcSwap<Methods>,
    /// This host's own service has said that it is not ready, and another host's is.
    pub(super) unwell_here: bool,
    /// What of its calls holds for all.
    pub(super) retrying: Retrying,
    /// What may be tried again.
    pub(super) budget: Arc<Budget>,
    /// What is counted.
    pub(super) stats: Arc<CalleeStats>,
}

type Methods = HashMap<Box<str>, Option<Arc<Method>>>;

impl Way {
    /// The ways from where this host stands to those who offer a service, counting on from `before`.
    pub(super) fn new(service: &Arc<str>, offers: &Arc<[Offer]>, known: &Known, stand: Stand, before: Option<&Way>, now: Instant) -> Way {
        let retrying = known.settings.retrying(service);
        let balance = known.settings.balance(service, None);
        let own = |offer: &Offer| *offer.node.id == *known.own;
        let mut places = Vec::with_capacity(offers.len());
        let mut old = before.map_or(&[][..], |way| &way.places).iter().peekable();
        for offer in offers.iter().filter(|offer| !(own(offer) && retrying.local_first)) {
            // Both are in the order of the ids.
            while old.next_if(|place| place.offer.node.id < offer.node.id).is_some() {}
            if let Some(place) = old.next_if(|place| same(&place.offer, offer)) {
                places.push(Arc::clone(place));
                continue;
            }
            let there = || known.reach.channel(&offer.node.ways().cloned().collect::<Vec<_>>());
            let channel = if own(offer) { Some(Arc::clone(&known.here)) } else { there() };
            places.extend(channel.map(|channel| Arc::new(Place { offer: offer.clone(), channel })));
        }
        let rules = Rules::new(&balance, known.zone.as_deref()).seen_from(stand);
        let all = Arc::new(Candidates::build(places.clone(), &rules, before.map(|way| &*way.all)));
        let unwell_here = all.summary().ready > 0 && offers.iter().any(|offer| own(offer) && !offer.service().ready);
        Way {
            service: Arc::clone(service),
            via: Via::of(offers).unwrap_or(Via::Name),
            offers: Arc::clone(offers),
            places,
            all,
            balance,
            stand,
            methods: ArcSwap::default(),
            unwell_here,
            retrying,
            budget: before.map_or_else(|| Arc::new(Budget::new(retrying, now)), |before| Arc::clone(&before.budget)),
            stats: before.map_or_else(|| known.stats.callee(service), |before| Arc::clone(&before.stats)),
        }
    }

    /// Whether it was made of these.
    pub(super) fn is_of(&self, offers: &Arc<[Offer]>) -> bool {
        Arc::ptr_eq(&self.offers, offers)
            || self.offers.len() == offers.len() && self.offers.iter().zip(offers.iter()).all(|(a, b)| same(a, b))
    }

    /// Whether any other host takes calls.
    pub(super) fn is_open(&self) -> bool {
        self.all.summary().open > 0
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.methods.load().len()
    }

    /// How many places it shares with another one.
    #[cfg(test)]
    pub(super) fn shared(&self, other: &Way) -> usize {
        self.places.iter().filter(|place| other.places.iter().any(|old| Arc::ptr_eq(place, old))).count()
    }

    /// A method, where anybody serves it.
    pub(super) fn method(&self, name: &str, known: &Known) -> Option<Arc<Method>> {
        if let Some(method) = self.methods.load().get(name) {
            return method.clone();
        }
        let method = self.make(name, known).map(Arc::new);
        // Apart, so that a service which asks for what there is not takes nobody's place.
        let alike = |other: &&Option<Arc<Method>>| other.is_some() == method.is_some();
        if self.methods.load().values().filter(alike).count() < MAX_METHODS {
            self.methods.rcu(|methods| {
                let mut methods = Methods::clone(methods);
                methods.insert(name.into(), method.clone());
                methods
            });
        }
        method
    }

    fn make(&self, name: &str, known: &Known) -> Option<Method> {
        let (mut at, mut safe, mut types) = (Vec::new(), true, Vec::new());
        for (place, Place { offer, .. }) in self.places.iter().map(|place| &**place).enumerate() {
            // Who names no method takes any, and does not say what it does.
            let any = offer.interface().methods.is_empty();
            let method = offer.method(name);
            if any || method.is_some() {
                at.push(place);
            }
            safe &= !any && method.is_none_or(|method| method.safe);
            types.extend(method.and_then(|method| method.fingerprint).map(|fingerprint| (fingerprint, place)));
        }
        let balance = known.settings.balance(&self.service, Some(name));
        let own = (balance != self.balance).then(|| Rules::new(&balance, known.zone.as_deref()).seen_from(self.stand));
        let candidates = self.some(&at, own.as_ref());
        if candidates.summary().open == 0 {
            return None;
        }
        types.sort_unstable();
        let by_type = types.chunk_by(|a, b| a.0 == b.0).filter(|of| of.len() < at.len());
        let typed = by_type.map(|of| (of[0].0, self.some(&of.iter().map(|(_, place)| *place).collect::<Vec<_>>(), own.as_ref())));
        let typed = typed.filter(|(_, candidates)| candidates.summary().ready > 0).collect();
        let path = (*self.service != *GATEWAY).then(|| format!("/{}/{name}", self.service).into());
        Some(Method { safe, failing: known.settings.failing(&self.service, name), path, candidates, typed })
    }

    /// Some of all, with what is seen of all; by rules of their own where they have any.
    fn some(&self, of: &[usize], own: Option<&Rules>) -> Arc<Candidates> {
        match (own, of.len() == self.places.len()) {
            (None, true) => Arc::clone(&self.all),
            _ => {
                let places = of.iter().map(|at| Arc::clone(&self.places[*at]));
                Arc::new(Candidates::some_of(&self.all, places, own.unwrap_or(self.all.rules()), None))
            }
        }
    }

    /// Why no node takes a call.
    pub(super) fn nobody(&self) -> Status {
        let (service, summary) = (&self.service, self.all.summary());
        if summary.open > 0 {
            return Status::new(Code::Unimplemented, format!("no host that is known has this method of {service}")).unseen();
        }
        let names: Vec<&str> = self.offers.iter().take(MAX_NAMED).map(name).collect();
        let more = self.offers.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let who = format!("{}{more}", names.join(", "));
        let why = match summary {
            Summary { listed: 0, .. } => format!("{service} is offered by {who} alone, and cannot be reached there"),
            Summary { admitted: 0, .. } => {
                format!("{service} is offered by {who}, and none has the version and labels that [calls] asks for")
            }
            _ => format!("{service} takes no calls anywhere: of {who}, none has a weight"),
        };
        Status::new(Code::Unavailable, why).unseen()
    }
}
