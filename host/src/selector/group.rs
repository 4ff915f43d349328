//! Targets that have the same claim to a call, and who of them gets it. What depends on the list alone is
//! worked out when it changes, so that a choice among many costs what it costs among few.

use std::sync::Arc;

use super::aperture::{Part, Ring};
use super::breaker::Pass;
use super::facts::Listed;
use super::gauge::{Gauge, Standing};
use super::mix::part_of;
use super::moment::Moment;
use super::rules::Rules;
use super::shares::Shares;
use super::target::Target;
use super::tried::Tried;
use super::turns::{Tally, Turn};
use super::wheel::Wheel;
use crate::settings::Policy;

/// Targets that are looked at for the one with the fewest calls.
const LOOKS_FOR_LEAST: u64 = 8;

/// Which of a turn's numbers draw the first one of a part, and the one whose load is taken in: the others are for those
/// that it is compared with.
const FIRST: u64 = 100;
const MET: u64 = 101;

/// Calls in flight that a target of a key may have in any case, and its part of all, in halves of what is
/// due to its weight. Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded
/// loads" (2016).
const LEAST_BOUND: u64 = 8;
const BOUND_HALVES: u64 = 3;

/// Targets with the same claim to a call; one at least.
#[derive(Debug)]
pub(super) struct Group {
    /// Their places in the list.
    members: Vec<u32>,
    shares: Shares,
    /// Their weights together.
    weight: u64,
    classes: Option<Classes>,
    wheel: Option<Arc<Wheel>>,
    /// Where they are very many, and a part of them is enough.
    ring: Option<Ring>,
}

/// With how many others one that is drawn is compared, and by what.
#[derive(Clone, Copy)]
struct Contest {
    others: u64,
    is_better: fn(&Gauge, &Gauge, Moment) -> bool,
}

impl Contest {
    /// `None` where whoever is drawn is chosen.
    fn of(policy: Policy) -> Option<Contest> {
        match policy {
            Policy::RoundRobin | Policy::Random => None,
            Policy::TwoChoices => Some(Contest { others: 1, is_better: Gauge::is_lighter }),
            Policy::LeastInFlight => Some(Contest { others: LOOKS_FOR_LEAST - 1, is_better: Gauge::is_freer }),
        }
    }
}

/// Members by weight. Among those of the same weight calls may move from one to the other, and the weights
/// hold all the same.
#[derive(Debug)]
struct Classes {
    members: Vec<u32>,
    /// For each member: its place in `members`, and where its class begins and ends there.
    places: Vec<(u32, u32, u32)>,
}

/// What a choice is made by.
pub(super) struct Look<'a, T> {
    pub(super) targets: &'a [Target<T>],
    pub(super) tried: &'a Tried,
    pub(super) now: Moment,
    /// Takes those that are left alone, too.
    pub(super) forced: bool,
    pub(super) policy: Policy,
    /// The place of the call's key, where it has one.
    pub(super) key: Option<u64>,
    /// Calls in flight, at all targets together.
    pub(super) under_way: usize,
}

/// A target's place in the list, and by what right it is taken.
pub(super) type Found = (u32, Pass);

impl<T: Listed> Look<'_, T> {
    fn gauge(&self, place: u32) -> &Gauge {
        &self.targets[place as usize].gauge
    }

    fn standing(&self, place: u32) -> Option<Standing> {
        let target = &self.targets[place as usize];
        if self.tried.has(target) {
            return None;
        }
        let standing = if self.forced { Standing::Good } else { target.gauge.standing(self.now) };
        matches!(standing, Standing::Good | Standing::Probed).then_some(standing)
    }

    /// Takes one that has not been tried.
    pub(super) fn take(&self, place: u32) -> Option<Found> {
        self.standing(place)?;
        self.take_even_tried(place)
    }

    pub(super) fn take_even_tried(&self, place: u32) -> Option<Found> {
        let pass = self.gauge(place).pass(self.now);
        Some((place, if self.forced { pass.unwrap_or(Pass::Forced) } else { pass? }))
    }
}

impl Group {
    /// Of these places of the list; `None` if there are none.
    pub(super) fn new<T: Listed>(members: Vec<u32>, targets: &[Target<T>], rules: &Rules, previous: Option<&Group>) -> Option<Group> {
        if members.is_empty() {
            return None;
        }
        let target = |place: &u32| &targets[*place as usize];
        let weights: Vec<u32> = members.iter().map(|place| target(place).weight).collect();
        let wheel = rules.hash_by.as_ref().map(|_| {
            let made_of: Vec<_> = members.iter().map(|place| (target(place).identity(), target(place).weight)).collect();
            let known = previous.and_then(|group| group.wheel.as_ref()).filter(|wheel| wheel.is_of(&made_of));
            known.cloned().unwrap_or_else(|| Arc::new(Wheel::new(made_of)))
        });
        let weight = weights.iter().map(|weight| u64::from(*weight)).sum();
        // Where none is compared with another one, shares are promised for each of them.
        let ring = Contest::of(rules.policy).and_then(|_| Ring::new(&members, targets, rules.subset, rules.stand));
        Some(Group { shares: Shares::new(&weights), classes: Classes::new(&members, &weights), members, weight, wheel, ring })
    }

    pub(super) fn members(&self) -> &[u32] {
        &self.members
    }

    /// All members once, the first of them by chance.
    pub(super) fn rotated(&self, tally: &Tally) -> impl Iterator<Item = u32> + use<'_> {
        let (before, from) = self.members.split_at(part_of(self.members.len() as u64, tally.next().chance(0)) as usize);
        from.iter().chain(before).copied()
    }

    /// Chooses by the policy, and asks again so often where one is left alone or has been tried.
    pub(super) fn choose<T: Listed>(&self, look: &Look<'_, T>, tally: &Tally, looks: u64) -> Option<Found> {
        if let (Some(wheel), Some(key)) = (&self.wheel, look.key) {
            return self.keyed(look, wheel, key, looks);
        }
        let drawn = |looks: u64| (0..looks).find_map(|_| self.drawn(look, tally.next()));
        // Where a part of them does not do, any of them may.
        match self.ring.as_ref().filter(|_| look.tried.count() == 0) {
            None => drawn(looks),
            Some(ring) => (0..looks.div_ceil(2)).find_map(|_| self.near(look, ring, tally)).or_else(|| drawn(looks / 2)),
        }
    }

    /// Anyone, whatever it has been tried.
    pub(super) fn any<T: Listed>(&self, look: &Look<'_, T>, tally: &Tally) -> Option<Found> {
        look.take_even_tried(self.members[self.draw(look.policy, tally.next())])
    }

    /// A good one, drawn by weight, to be compared with one of another group.
    pub(super) fn other<T: Listed>(&self, look: &Look<'_, T>, tally: &Tally, turn: Turn) -> Option<u32> {
        let place = match &self.ring {
            None => self.members[self.shares.at(part_of(self.shares.total(), turn.spread()))],
            Some(ring) => {
                let part = ring.part(&tally.apertures, turn.spread());
                part.at(part_of(part.len() as u64, turn.chance(FIRST)) as usize)
            }
        };
        (look.standing(place) == Some(Standing::Good)).then_some(place)
    }

    fn draw(&self, policy: Policy, turn: Turn) -> usize {
        match policy {
            Policy::RoundRobin => self.shares.turn(turn.number),
            Policy::Random => self.shares.at(part_of(self.shares.total(), turn.even_chance())),
            Policy::TwoChoices | Policy::LeastInFlight => self.shares.at(part_of(self.shares.total(), turn.spread())),
        }
    }

    fn drawn<T: Listed>(&self, look: &Look<'_, T>, turn: Turn) -> Option<Found> {
        let member = self.draw(look.policy, turn);
        let chosen = match Contest::of(look.policy) {
            None => Some(self.members[member]),
            Some(contest) => {
                let (class, own) = self.class(member);
                self.best(look, turn, Part::all(class), own, contest)
            }
        };
        look.take(chosen?)
    }

    /// Chooses one of the part that the calling lane calls.
    fn near<T: Listed>(&self, look: &Look<'_, T>, ring: &Ring, tally: &Tally) -> Option<Found> {
        let turn = tally.next();
        let part = ring.part(&tally.apertures, turn.spread());
        let by_chance = |which| part_of(part.len() as u64, turn.chance(which)) as usize;
        let met = part.at(by_chance(MET));
        if look.standing(met) == Some(Standing::Good) {
            ring.met(&tally.apertures, look.gauge(met).in_flight());
        }
        look.take(self.best(look, turn, part, by_chance(FIRST), Contest::of(look.policy)?)?)
    }

    /// The best of one that was drawn and some others of its kind.
    fn best<T: Listed>(&self, look: &Look<'_, T>, turn: Turn, kind: Part<'_>, own: usize, contest: Contest) -> Option<u32> {
        let first = kind.at(own);
        let good = match look.standing(first) {
            // By its load it would hardly ever be: what it failed with was slow.
            Some(Standing::Probed) => return Some(first),
            standing => standing.map(|_| first),
        };
        let more = kind.len() as u64 - 1;
        if more == 0 {
            return self.unless_far_worse(look, turn, good);
        }
        let mut best = good;
        for which in 0..contest.others.min(more) {
            let step = if more <= contest.others { which } else { part_of(more, turn.chance(which)) };
            let other = kind.at((own + 1 + step as usize) % kind.len());
            if look.standing(other) == Some(Standing::Good)
                && best.is_none_or(|best| (contest.is_better)(look.gauge(other), look.gauge(best), look.now))
            {
                best = Some(other);
            }
        }
        best
    }

    /// One that has no other of its weight, unless it is far worse than another one.
    fn unless_far_worse<T: Listed>(&self, look: &Look<'_, T>, turn: Turn, own: Option<u32>) -> Option<u32> {
        let other = self.members[self.shares.at(part_of(self.shares.total(), turn.chance(0)))];
        match own {
            Some(own) if other == own || look.standing(other) != Some(Standing::Good) || !gives_way(look, own, other) => Some(own),
            _ => Some(other),
        }
    }

    fn class(&self, member: usize) -> (&[u32], usize) {
        match &self.classes {
            None => (&self.members, member),
            Some(classes) => {
                let (place, from, to) = classes.places[member];
                (&classes.members[from as usize..to as usize], (place - from) as usize)
            }
        }
    }

    fn keyed<T: Listed>(&self, look: &Look<'_, T>, wheel: &Wheel, key: u64, looks: u64) -> Option<Found> {
        let mut full = None;
        for attempt in 0..looks {
            let place = self.members[wheel.at(key, attempt)];
            if look.standing(place).is_none() {
                continue;
            }
            let target = &look.targets[place as usize];
            let due = BOUND_HALVES * (look.under_way as u64 + 1) * u64::from(target.weight) / (2 * self.weight);
            if target.gauge.in_flight() < due.max(LEAST_BOUND) {
                // A probe may have gone to someone else meanwhile.
                if let Some(found) = look.take(place) {
                    return Some(found);
                }
            }
            full.get_or_insert(place);
        }
        look.take(full?)
    }
}

/// Whether a call that is `own`'s had better go to `other`.
pub(super) fn gives_way<T: Listed>(look: &Look<'_, T>, own: u32, other: u32) -> bool {
    let (own, other) = (&look.targets[own as usize], &look.targets[other as usize]);
    own.gauge.gives_way(own.weight, &other.gauge, other.weight, look.now)
}

impl Classes {
    /// `None` where all have the same weight.
    fn new(members: &[u32], weights: &[u32]) -> Option<Classes> {
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return None;
        }
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|member| weights[*member]);
        let mut places = vec![(0, 0, 0); members.len()];
        let mut from = 0;
        for class in order.chunk_by(|a, b| weights[*a] == weights[*b]) {
            let to = from + class.len();
            for (at, member) in class.iter().enumerate() {
                places[*member] = ((from + at) as u32, from as u32, to as u32);
            }
            from = to;
        }
        Some(Classes { members: order.iter().map(|member| members[*member]).collect(), places })
    }
}
