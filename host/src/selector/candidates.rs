//! All that a call may go to, and the choice of one.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::breaker::Pass;
use super::facts::Listed;
use super::gauge::{Call, Gauge};
use super::group::{Found, Group, Look, gives_way};
use super::mix::{mix, place};
use super::moment::Moment;
use super::outliers;
use super::rules::Rules;
use super::target::Target;
use super::tried::Tried;
use super::turns::{Comparison, Tally, Turns};

/// How often the policy is asked for another one where some are left alone or have been tried, before the
/// list is walked; in the own zone, before the others are asked.
const LOOKS: u64 = 8;
const LOOKS_NEAR: u64 = 2;

/// How long nobody walks the list again after all of it was found to be left alone.
const DROUGHT: Duration = Duration::from_millis(50);

/// How much more than its part the ready part of a zone may be given, in hundredths. Source: Envoy's
/// overprovisioning factor.
const OVERPROVISIONED: u128 = 140;

/// All that a call may go to. Made anew when the list changes, and shared by all who choose.
#[derive(Debug)]
pub struct Candidates<T> {
    targets: Vec<Target<T>>,
    rules: Rules,
    /// Who comes first, and who else there is: the own zone and the others, or all and none.
    first: Option<Group>,
    rest: Option<Group>,
    /// The part of calls that go to the rest in any case, of all numbers.
    spill: u64,
    summary: Summary,
    turns: Arc<Turns>,
    comparison: Arc<Comparison>,
    /// Calls in flight, where somebody has to know.
    under_way: Option<Arc<AtomicUsize>>,
    /// Until when nobody walks the list.
    drought: AtomicU64,
}

/// What became of those that were listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All of them.
    pub listed: usize,
    /// Those of the version and the labels that are asked for.
    pub admitted: usize,
    /// Those of them that are ready, and have a weight.
    pub ready: usize,
    /// Those that are chosen from: the ready ones; where none is, all that have a weight, as somebody who is
    /// not well may be better than nobody.
    pub open: usize,
}

/// One that is chosen. What it takes of its target is given back if it is dropped.
#[derive(Debug)]
#[must_use = "a choice that no call is begun with is given back"]
pub struct Choice<'a, T> {
    target: &'a Target<T>,
    under_way: Option<&'a Arc<AtomicUsize>>,
    /// Until the call has begun.
    pass: Option<Pass>,
}

impl<'a, T> Choice<'a, T> {
    /// The one that is chosen.
    pub fn target(&self) -> &'a Target<T> {
        self.target
    }

    /// Begins the call.
    pub fn begin(self) -> Call {
        self.begin_at(Moment::now())
    }

    /// The same, at a moment that is known already.
    pub fn begin_at(mut self, now: Moment) -> Call {
        let pass = self.pass.take().expect("only this takes it, and takes the choice with it");
        Call::begin(&self.target.gauge, self.under_way, pass, now)
    }
}

impl<T> Deref for Choice<'_, T> {
    type Target = Target<T>;

    fn deref(&self) -> &Target<T> {
        self.target
    }
}

impl<T> Drop for Choice<'_, T> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass {
            self.target.gauge.release(pass);
        }
    }
}

impl<T: Listed> Candidates<T> {
    /// Takes a list in. What was seen of targets that `previous` knew, by node and service, stays known;
    /// and turns go on where they were.
    pub fn build(targets: impl IntoIterator<Item = T>, rules: &Rules, previous: Option<&Candidates<T>>) -> Candidates<T> {
        let comparison = previous.map_or_else(|| Arc::new(Comparison::new()), |previous| Arc::clone(&previous.comparison));
        Candidates::of(targets, rules, previous.into_iter().flat_map(Candidates::targets), previous, comparison)
    }

    /// Takes in a list of some of those of `whole`, or of all by other rules: what is seen of one is seen
    /// of it in both lists, and each takes turns of its own, which go on from `previous`, this list before.
    pub fn some_of(
        whole: &Candidates<T>,
        targets: impl IntoIterator<Item = T>,
        rules: &Rules,
        previous: Option<&Candidates<T>>,
    ) -> Candidates<T> {
        // It may have been the whole list.
        let previous = previous.filter(|previous| !Arc::ptr_eq(&previous.turns, &whole.turns));
        let seen = previous.into_iter().flat_map(Candidates::targets).chain(&whole.targets);
        Candidates::of(targets, rules, seen, previous, Arc::clone(&whole.comparison))
    }

    fn of<'a>(
        targets: impl IntoIterator<Item = T>,
        rules: &Rules,
        seen: impl Iterator<Item = &'a Target<T>>,
        previous: Option<&Candidates<T>>,
        comparison: Arc<Comparison>,
    ) -> Candidates<T>
    where
        T: 'a,
    {
        let known: HashMap<(&str, &str), &Arc<Gauge>> = seen
            .filter(|target| target.gauge.is_of(&rules.breaker))
            .map(|target| (target.value.facts(), &target.gauge))
            .map(|(facts, gauge)| ((facts.node, facts.service), gauge))
            .collect();
        let gauge = |value: &T| {
            let facts = value.facts();
            known.get(&(facts.node, facts.service)).map_or_else(|| Arc::new(Gauge::new(rules.breaker)), |gauge| Arc::clone(gauge))
        };
        let targets: Vec<Target<T>> = targets
            .into_iter()
            .map(|value| {
                let gauge = gauge(&value);
                Target::new(value, gauge)
            })
            .collect();
        let mut summary = Summary { listed: targets.len(), ..Summary::default() };
        let (mut near, mut far) = (Vec::new(), Vec::new());
        // The own zone's weight, and that of what is ready of it.
        let (mut zone, mut ready) = (0_u64, 0_u64);
        let may_take = |target: &Target<T>| target.weight > 0 && rules.admit(&target.value.facts());
        let some_are_ready = targets.iter().any(|target| target.value.facts().ready && may_take(target));
        for (at, target) in targets.iter().enumerate() {
            let facts = target.value.facts();
            if !rules.admit(&facts) {
                continue;
            }
            summary.admitted += 1;
            let is_near = rules.zone.as_deref().is_none_or(|own| facts.zone == Some(own));
            if is_near {
                zone += u64::from(target.weight);
            }
            if target.weight == 0 || some_are_ready && !facts.ready {
                continue;
            }
            summary.open += 1;
            summary.ready += usize::from(facts.ready);
            if is_near {
                ready += u64::from(target.weight);
            }
            if is_near { &mut near } else { &mut far }.push(at as u32);
        }
        let (first, rest) = if near.is_empty() { (far, near) } else { (near, far) };
        let group = |members, before: fn(&Candidates<T>) -> Option<&Group>| Group::new(members, &targets, rules, previous.and_then(before));
        let (first, rest) = (group(first, |before| before.first.as_ref()), group(rest, |before| before.rest.as_ref()));
        let kept = u128::from(ready) * OVERPROVISIONED * u128::from(u64::MAX) / (u128::from(zone.max(1)) * 100);
        let spill = if rest.is_some() { u64::MAX - u64::try_from(kept).unwrap_or(u64::MAX) } else { 0 };
        let under_way = previous.and_then(|previous| previous.under_way.clone()).unwrap_or_default();
        Candidates {
            targets,
            first,
            rest,
            spill,
            summary,
            turns: previous.map_or_else(|| Arc::new(Turns::new()), |previous| Arc::clone(&previous.turns)),
            comparison,
            under_way: rules.hash_by.is_some().then_some(under_way),
            drought: AtomicU64::new(0),
            rules: rules.clone(),
        }
    }

    /// Chooses one for a call whose key, by [`Rules::hash_by`], is `key`: of those that have not been tried
    /// and are not left alone, the one that the rules say; else one that has been tried; else one that is
    /// left alone, since somebody may be better than nobody. `None` only if none has a weight.
    pub fn choose(&self, key: Option<&str>, tried: &Tried) -> Option<Choice<'_, T>> {
        self.choose_at(key, tried, Moment::now())
    }

    /// The same, at a moment that is known already.
    pub fn choose_at(&self, key: Option<&str>, tried: &Tried, now: Moment) -> Option<Choice<'_, T>> {
        if self.comparison.is_due(now) {
            outliers::eject(self.chosen_from(), now, &self.rules.outliers);
        }
        let (place, pass) = self.find(key, tried, now)?;
        Some(Choice { target: &self.targets[place as usize], under_way: self.under_way.as_ref(), pass: Some(pass) })
    }

    /// All that were listed, whether they are chosen from or not.
    pub fn targets(&self) -> &[Target<T>] {
        &self.targets
    }

    /// What became of them.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The rules that they are chosen by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    fn chosen_from(&self) -> impl Iterator<Item = &Target<T>> {
        let groups = self.first.iter().chain(&self.rest);
        groups.flat_map(|group| group.members()).map(|place| &self.targets[*place as usize])
    }

    fn find(&self, key: Option<&str>, tried: &Tried, now: Moment) -> Option<Found> {
        let first = (self.first.as_ref()?, &self.turns.first);
        let mut look = Look {
            targets: &self.targets,
            tried,
            now,
            forced: false,
            policy: self.rules.policy,
            key: key.filter(|_| self.under_way.is_some()).map(|key| place(&[key])),
            under_way: self.under_way.as_ref().map_or(0, |count| count.load(Relaxed)),
        };
        let Some(rest) = self.rest.as_ref().map(|rest| (rest, &self.turns.rest)) else {
            return first.0.choose(&look, first.1, LOOKS).or_else(|| self.find_any(&mut look, &[first]));
        };
        let point = || look.key.map_or_else(|| self.turns.spilled.next().spread(), mix);
        if self.spill > 0 && point() < self.spill {
            return rest.0.choose(&look, rest.1, LOOKS).or_else(|| self.find_any(&mut look, &[rest, first]));
        }
        match first.0.choose(&look, first.1, LOOKS_NEAR) {
            Some((near, Pass::Free)) if look.key.is_none() => {
                let far = rest.0.other(&look, rest.1, self.turns.aside.next()).filter(|far| gives_way(&look, near, *far));
                far.and_then(|far| look.take(far)).or(Some((near, Pass::Free)))
            }
            Some(found) => Some(found),
            None => rest.0.choose(&look, rest.1, LOOKS).or_else(|| self.find_any(&mut look, &[first, rest])),
        }
    }

    /// Once asking the policy was in vain.
    fn find_any(&self, look: &mut Look<'_, T>, groups: &[(&Group, &Tally)]) -> Option<Found> {
        if look.now.0 >= self.drought.load(Relaxed) {
            match walk(look, groups) {
                Some(found) => return Some(found),
                None => self.drought.store((look.now + DROUGHT).0, Relaxed),
            }
        }
        look.forced = true;
        let by_policy = groups.iter().find_map(|(group, tally)| group.choose(look, tally, LOOKS));
        by_policy.or_else(|| walk(look, groups)).or_else(|| groups.iter().find_map(|(group, tally)| group.any(look, tally)))
    }
}

/// The first one that has not been tried, else the first one that has, from anywhere in the list.
fn walk<T: Listed>(look: &Look<'_, T>, groups: &[(&Group, &Tally)]) -> Option<Found> {
    let mut places = groups.iter().flat_map(|(group, tally)| group.rotated(tally));
    let untried = places.find_map(|place| look.take(place));
    let mut again = groups.iter().flat_map(|(group, tally)| group.rotated(tally));
    untried.or_else(|| again.find_map(|place| look.take_even_tried(place)))
}
