//! A target that fails too seldom for its breaker, and yet far more often than the others, is left alone:
//! what is wrong is with it and not with the calls.
//!
//! Source: Envoy's outlier detection by success rate, which gRPC's A50 took over. They compare with the
//! mean and deviation of all, which takes at least five targets to tell one apart; this compares each with
//! the mean of the others, which does so from three on.

use super::facts::Listed;
use super::gauge::Standing;
use super::moment::Moment;
use super::rules::OutlierRules;
use super::target::Target;

/// Targets with enough calls that it takes to say who is worse than the others.
const FEWEST: usize = 3;

/// Compares targets, and leaves those alone that are far worse than the others.
pub(super) fn eject<'a, T: Listed + 'a>(targets: impl Iterator<Item = &'a Target<T>>, now: Moment, rules: &OutlierRules) {
    let (mut all, mut ejected, mut good) = (0, 0, 0);
    let mut compared = Vec::new();
    for target in targets {
        all += 1;
        match target.gauge.standing(now) {
            Standing::Ejected => ejected += 1,
            Standing::Good => {
                good += 1;
                compared.extend(target.gauge.success_rate(now, rules.calls).map(|rate| (target, rate)));
            }
            Standing::Probed | Standing::Open => {}
        }
    }
    if compared.len() < FEWEST {
        return;
    }
    compared.sort_by(|one, other| one.1.total_cmp(&other.1));
    for (at, (target, rate)) in compared.iter().enumerate() {
        let others = &compared[at + 1..];
        // Those that are worse have been left alone before.
        if others.is_empty() || good < 2 {
            return;
        }
        let mean = others.iter().map(|(_, rate)| rate).sum::<f64>() / others.len() as f64;
        let below = ((mean - rate).max(0.0) * 1e6) as u64;
        let too_many = ejected > 0 && rules.most.is_exceeded(ejected + 1, all);
        if rules.most == crate::settings::Share::NONE || too_many || !rules.worse_by.is_exceeded(below, 1_000_000) {
            return;
        }
        let pause = target.gauge.eject(now, rules);
        (ejected, good) = (ejected + 1, good - 1);
        let facts = target.value.facts();
        tracing::warn!(
            node = facts.node,
            service = facts.service,
            "fails far more often than the other hosts ({:.0}% of calls succeed, {:.0}% of theirs): left alone for {pause:?}",
            rate * 100.0,
            mean * 100.0,
        );
    }
}
