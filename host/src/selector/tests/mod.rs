//! Claims about choices as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Candidates, Facts, Listed, Moment, Outcome, Rules, Tried};

mod failing;
mod keyed;
mod many;
mod shares;
mod zones;

/// A host of the test's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    pub(super) id: String,
    pub(super) weight: u32,
    pub(super) ready: bool,
    pub(super) zone: &'static str,
    pub(super) version: &'static str,
}

impl Listed for Host {
    fn facts(&self) -> Facts<'_> {
        Facts {
            node: &self.id,
            service: "s",
            weight: self.weight,
            ready: self.ready,
            zone: Some(self.zone),
            version: Some(self.version),
            ..Facts::default()
        }
    }
}

pub(super) fn host(id: impl ToString, weight: u32) -> Host {
    Host { id: id.to_string(), weight, ready: true, zone: "a", version: "1.0.0" }
}

pub(super) fn hosts(count: usize) -> Vec<Host> {
    (0..count).map(|id| host(id, 100)).collect()
}

pub(super) fn rules(text: &str) -> Rules {
    Rules::new(&toml::from_str(text).expect(text), Some("a"))
}

pub(super) fn build(hosts: &[Host], text: &str) -> Candidates<Host> {
    Candidates::build(hosts.iter().cloned(), &rules(text), None)
}

/// Every policy, as it is written.
pub(super) const POLICIES: [&str; 4] =
    ["policy = \"two-choices\"", "policy = \"round-robin\"", "policy = \"random\"", "policy = \"least-in-flight\""];

/// Who gets so many calls, one after the other, a millisecond long each.
pub(super) fn counted(candidates: &Candidates<Host>, calls: usize, mut now: Moment) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        let choice = candidates.choose_at(None, &Tried::default(), now).expect("one is ready");
        *counts.entry(choice.value.id.clone()).or_default() += 1;
        let call = choice.begin_at(now);
        now = now + Duration::from_millis(1);
        call.finish_at(Outcome::Success, now);
    }
    counts
}

/// Whom the next call goes to, which does not end before this does.
pub(super) fn next(candidates: &Candidates<Host>, now: Moment) -> String {
    candidates.choose_at(None, &Tried::default(), now).expect("one is ready").value.id.clone()
}

/// Makes one target fail so often that it is left alone.
pub(super) fn break_target(candidates: &Candidates<Host>, id: &str, now: Moment) {
    let target = candidates.targets().iter().find(|target| target.value.id == id).expect("it is listed");
    let pass = target.gauge.pass(now).expect("it is not left alone yet");
    for _ in 0..5 {
        super::gauge::Call::begin(&target.gauge, None, pass, now).finish_at(Outcome::Failure, now);
    }
    assert_eq!(target.gauge.standing(now), super::Standing::Open);
}
