//! The ways to one service on other hosts, made when what is known of it changes, so that a call only
//! has to choose.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::budget::Budget;
use super::lookup::Known;
use crate::registry::{Address, Offer};
use crate::rpc::{Channel, Form};
use crate::selector::{self, Facts, Listed, Rules, Summary};
use crate::settings::{Calls, Failing, Retrying};
use crate::stats::CalleeStats;
use crate::status::{Code, Status};

/// The name by which a gateway offers what nobody else serves.
pub(super) const GATEWAY: &str = "*";

/// The most nodes that are named to who calls in vain.
const MAX_NAMED: usize = 3;

/// Those that a call may go to.
pub(super) type Candidates = selector::Candidates<Arc<Place>>;

/// A node that a call may go to.
pub(super) struct Place {
    offer: Offer,
    /// The ways there, by its addresses.
    channels: Box<[Arc<dyn Channel>]>,
    /// The one that is taken.
    at: AtomicUsize,
}

impl Place {
    /// The way there.
    pub(super) fn channel(&self) -> &dyn Channel {
        &*self.channels[self.at.load(Relaxed) % self.channels.len()]
    }

    /// Takes the next address from now on: nobody could be reached by this one.
    pub(super) fn unreached(&self) {
        if self.channels.len() > 1 {
            self.at.fetch_add(1, Relaxed);
        }
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

/// One method, with those who serve it.
pub(super) struct Method {
    /// Free of side effects, as those say who serve it.
    pub(super) safe: bool,
    /// How its calls fail.
    pub(super) failing: Failing,
    /// Its path, where it is known by name.
    pub(super) path: Option<Arc<str>>,
    candidates: Arc<Candidates>,
    /// Those of them who have the function with this type, where they do not all have the same.
    typed: Box<[(u64, Arc<Candidates>)]>,
}

impl Method {
    /// Whether anybody is ready.
    fn is_served(&self) -> bool {
        self.candidates.summary().ready > 0
    }

    /// The same, where its calls fail otherwise.
    fn with(&self, failing: Failing) -> Method {
        Method { safe: self.safe, failing, path: None, candidates: Arc::clone(&self.candidates), typed: Box::default() }
    }

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

/// The ways to a service.
pub(super) struct Way {
    service: Arc<str>,
    /// Who was known to offer it when this was made.
    offers: Arc<[Offer]>,
    /// By name.
    methods: HashMap<Box<str>, Arc<Method>>,
    /// What goes for methods that nobody names: nodes that take any.
    any: Option<Arc<Method>>,
    /// All of them.
    all: Arc<Candidates>,
    /// This host's own service has said that it is not ready.
    pub(super) unwell_here: bool,
    /// What of its calls holds for all.
    pub(super) retrying: Retrying,
    /// What may be tried again.
    pub(super) budget: Arc<Budget>,
    /// What is counted.
    pub(super) stats: Arc<CalleeStats>,
}

impl Way {
    /// The ways to those who offer a service, counting on from `before`.
    pub(super) fn new(service: &Arc<str>, offers: &Arc<[Offer]>, known: &Known, before: Option<&Way>, now: Instant) -> Way {
        let (settings, retrying) = (&known.settings, known.settings.retrying(service));
        let balance = settings.balance(service, None);
        let rules = Rules::new(&balance, known.zone.as_deref());
        let own = |offer: &Offer| *offer.node.id == *known.own;
        let unwell_here = offers.iter().any(|offer| own(offer) && !offer.service().ready);
        let mut places = Vec::with_capacity(offers.len());
        for offer in offers.iter().filter(|offer| !(own(offer) && retrying.local_first)) {
            let channels: Box<[_]> = match own(offer) {
                true => [Arc::clone(&known.here)].into(),
                false => {
                    offer.node.addresses.iter().filter(|address| usable(address)).map(|address| known.reach.channel(address)).collect()
                }
            };
            if !channels.is_empty() {
                places.push(Arc::new(Place { offer: offer.clone(), channels, at: AtomicUsize::new(0) }));
            }
        }
        let all = Arc::new(Candidates::build(places.clone(), &rules, before.map(|way| &*way.all)));
        // Some of them: with what is seen of all, and by the rules of a method where it has its own.
        let some = |of: &[usize], rules: &Rules, before: Option<&Candidates>| match of.len() == places.len() && rules == all.rules() {
            true => Arc::clone(&all),
            false => Arc::new(Candidates::some_of(&all, of.iter().map(|at| Arc::clone(&places[*at])), rules, before)),
        };
        // Who names no method takes any.
        let takes_any: Vec<usize> = (0..places.len()).filter(|at| places[*at].offer.interface().methods.is_empty()).collect();
        let any = Method {
            safe: false,
            failing: settings.failing(service, ""),
            path: None,
            candidates: some(&takes_any, &rules, before.and_then(|way| Some(&*way.any.as_ref()?.candidates))),
            typed: Box::default(),
        };
        let mut named: HashMap<&str, Named> = HashMap::new();
        for (at, place) in places.iter().enumerate() {
            for method in &place.offer.interface().methods {
                let named = named.entry(&method.name).or_insert_with(|| Named { at: takes_any.clone(), safe: true, types: Vec::new() });
                named.at.push(at);
                named.safe &= method.safe;
                if let Some(fingerprint) = method.fingerprint {
                    named.types.push((fingerprint, at));
                }
            }
        }
        let methods = named.into_iter().map(|(name, mut named)| {
            named.at.sort_unstable();
            let own = settings.balance(service, Some(name));
            let rules = if own == balance { rules.clone() } else { Rules::new(&own, known.zone.as_deref()) };
            let before = before.and_then(|way| way.methods.get(name));
            let candidates = some(&named.at, &rules, before.map(|method| &*method.candidates));
            let typed = named.typed(|fingerprint, of| some(of, &rules, before.map(|method| &**method.of_type(fingerprint))));
            let method = Method {
                // Of those that take any method it is not known.
                safe: named.safe && takes_any.is_empty(),
                failing: settings.failing(service, name),
                path: Some(format!("/{service}/{name}").into()),
                candidates,
                typed,
            };
            (name.into(), Arc::new(method))
        });
        // Where nobody is ready, nobody is found.
        let methods: HashMap<Box<str>, Arc<Method>> = methods.filter(|(_, method)| method.is_served()).collect();
        Way {
            service: Arc::clone(service),
            offers: Arc::clone(offers),
            methods,
            any: any.is_served().then(|| Arc::new(any)),
            unwell_here,
            retrying,
            budget: before.map_or_else(|| Arc::new(Budget::new(retrying, now)), |before| Arc::clone(&before.budget)),
            stats: before.map_or_else(|| known.stats.callee(service), |before| Arc::clone(&before.stats)),
            all,
        }
    }

    /// Whether it was made of these.
    pub(super) fn is_of(&self, offers: &Arc<[Offer]>) -> bool {
        Arc::ptr_eq(&self.offers, offers)
            || self.offers.len() == offers.len()
                && self
                    .offers
                    .iter()
                    .zip(offers.iter())
                    .all(|(a, b)| Arc::ptr_eq(&a.node, &b.node) && std::ptr::eq(a.interface(), b.interface()))
    }

    /// A method of the service, where anybody serves it; `service` is not this one's name for a gateway's.
    pub(super) fn method(&self, service: &str, name: &str, settings: &Calls) -> Option<Arc<Method>> {
        if let Some(method) = self.methods.get(name) {
            return Some(Arc::clone(method));
        }
        let any = self.any.as_ref()?;
        // Nobody could know of it before.
        let failing = if settings.is_same_for_all() { None } else { Some(settings.failing(service, name)) };
        Some(failing.filter(|failing| *failing != any.failing).map_or_else(|| Arc::clone(any), |failing| Arc::new(any.with(failing))))
    }

    /// Why no node takes a call.
    pub(super) fn nobody(&self) -> Status {
        let (service, summary) = (&self.service, self.all.summary());
        if summary.ready > 0 {
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
            _ => format!("{service} is not ready anywhere: of {who}, none takes calls now"),
        };
        Status::new(Code::Unavailable, why).unseen()
    }
}

/// Who serves a method.
struct Named {
    /// The places of their offers.
    at: Vec<usize>,
    /// All say that it is free of side effects.
    safe: bool,
    /// Who has it with which type.
    types: Vec<(u64, usize)>,
}

impl Named {
    /// Those with each type, where there are several.
    fn typed(&mut self, some: impl Fn(u64, &[usize]) -> Arc<Candidates>) -> Box<[(u64, Arc<Candidates>)]> {
        self.types.sort_unstable();
        let by_type = self.types.chunk_by(|a, b| a.0 == b.0);
        let groups = by_type.map(|of| (of[0].0, of.iter().map(|(_, at)| *at).collect::<Vec<_>>()));
        let some = groups.filter(|(_, of)| of.len() < self.at.len()).map(|(fingerprint, of)| (fingerprint, some(fingerprint, &of)));
        some.filter(|(_, candidates)| candidates.summary().ready > 0).collect()
    }
}

/// Whether a node could be reached by this address from here.
fn usable(address: &Address) -> bool {
    match address {
        Address::Tcp { .. } => true,
        // Of another machine, or of one that has gone.
        Address::Unix(path) => path.exists(),
    }
}
