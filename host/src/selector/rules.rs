//! How targets are chosen, with nothing left unsaid: what the user writes, and defaults that need no
//! thought for the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::Facts;
use super::stand::Stand;
use crate::settings::{Balance, BreakerSettings, OutlierSettings, Policy, Share};

/// Targets that are called in any case, where there are more: enough that no few of them decide how a caller
/// fares, and few enough that their connections are warm.
const SUBSET: usize = 64;

/// How targets are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub(super) policy: Policy,
    pub(super) hash_by: Option<String>,
    /// The own zone, where it comes first.
    pub(super) zone: Option<String>,
    pub(super) version: Option<semver::VersionReq>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) breaker: BreakerRules,
    pub(super) outliers: OutlierRules,
    /// Targets that are called in any case, where there are more.
    pub(super) subset: usize,
    /// Where this host stands among those who call the same.
    pub(super) stand: Stand,
}

/// When a target that fails is left alone; see [`BreakerSettings`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BreakerRules {
    pub(super) failures: u32,
    pub(super) share: Share,
    pub(super) calls: u32,
    pub(super) pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) probes: u32,
}

/// When a target that is worse than the others is left alone; see [`OutlierSettings`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OutlierRules {
    pub(super) most: Share,
    pub(super) calls: u32,
    pub(super) worse_by: Share,
    pub(super) pause: Duration,
    pub(super) longest_pause: Duration,
}

impl Rules {
    /// The rules that the user has set, for a host of this zone.
    pub fn new(balance: &Balance, zone: Option<&str>) -> Rules {
        Rules {
            policy: balance.policy.unwrap_or_default(),
            hash_by: balance.hash_by.clone(),
            zone: zone.filter(|_| balance.prefer_zone.unwrap_or(true)).map(str::to_owned),
            version: balance.version.clone(),
            labels: balance.labels.clone().unwrap_or_default(),
            breaker: BreakerRules::of(&balance.breaker),
            outliers: OutlierRules::of(&balance.outliers),
            subset: balance.subset.map_or(SUBSET, |subset| subset as usize),
            stand: Stand::default(),
        }
    }

    /// The same, for a host that stands there among those who call the same.
    #[must_use]
    pub fn seen_from(self, stand: Stand) -> Rules {
        Rules { stand, ..self }
    }

    /// The metadata whose value is the key of a call, where there is one.
    pub fn hash_by(&self) -> Option<&str> {
        self.hash_by.as_deref()
    }

    /// Whether a target is of those that are asked for, be it ready or not.
    pub fn admit(&self, facts: &Facts<'_>) -> bool {
        let version =
            |wanted: &semver::VersionReq| facts.version.and_then(|text| text.parse().ok()).is_some_and(|found| wanted.matches(&found));
        self.version.as_ref().is_none_or(version) && self.labels.iter().all(|(name, value)| facts.label(name) == Some(value))
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::new(&Balance::default(), None)
    }
}

impl BreakerRules {
    /// Failures in a row as Envoy's outlier detection has them, pauses between those of Linkerd.
    pub(super) fn of(settings: &BreakerSettings) -> BreakerRules {
        let pause = settings.pause.unwrap_or(Duration::from_secs(1));
        BreakerRules {
            failures: settings.failures.unwrap_or(5),
            share: settings.share.unwrap_or(Share::percent(50)),
            calls: settings.calls.unwrap_or(20),
            pause,
            longest_pause: settings.longest_pause.unwrap_or(Duration::from_secs(30)).max(pause),
            probes: settings.probes.unwrap_or(3),
        }
    }
}

impl OutlierRules {
    /// As Envoy's outlier detection by success rate, and gRPC's A50.
    fn of(settings: &OutlierSettings) -> OutlierRules {
        let pause = settings.pause.unwrap_or(Duration::from_secs(30));
        OutlierRules {
            most: settings.most.unwrap_or(Share::percent(10)),
            calls: settings.calls.unwrap_or(100),
            worse_by: settings.worse_by.unwrap_or(Share::percent(10)),
            pause,
            longest_pause: settings.longest_pause.unwrap_or(Duration::from_secs(300)).max(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::new(&toml::from_str(text).expect(text), Some("a"))
    }

    #[test]
    fn a_version_is_admitted_by_semver_and_one_that_is_none_is_not() {
        let rules = rules("version = \">=1.2, <3\"");
        let admitted = |version| rules.admit(&Facts { version, ..Facts::default() });
        assert!(admitted(Some("1.2.0")) && admitted(Some("2.9.9")));
        assert!(!admitted(Some("1.1.9")) && !admitted(Some("3.0.0")) && !admitted(Some("2026-11-23")) && !admitted(None));
    }

    #[test]
    fn a_label_of_the_service_goes_over_that_of_its_host() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (service, host): (BTreeMap<_, _>, BTreeMap<_, _>) = (map(&[("track", "canary")]), map(&[("track", "stable"), ("disk", "ssd")]));
        let facts = Facts { labels: [&service, &host], ..Facts::default() };
        assert!(rules("labels = { track = \"canary\", disk = \"ssd\" }").admit(&facts));
        assert!(!rules("labels = { track = \"stable\" }").admit(&facts) && !rules("labels = { gpu = \"yes\" }").admit(&facts));
    }

    #[test]
    fn the_own_zone_comes_first_unless_it_is_said_otherwise() {
        assert_eq!((rules("").zone.as_deref(), rules("prefer-zone = false").zone), (Some("a"), None));
    }

    #[test]
    fn the_longest_pause_is_no_shorter_than_the_first() {
        assert_eq!(rules("breaker = { pause = \"1m\" }").breaker.longest_pause, Duration::from_secs(60));
    }
}
