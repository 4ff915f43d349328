//! How a call chooses among the hosts that offer its callee, as the user writes it.
//!
//! Every key may be left out: what is said for one service or method goes over what is said for all
//! ([`Balance::or`]), and that over what `selector::Rules` knows by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Share;
use super::value::{some, some_time};

/// Who is chosen where several could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The better of two that are drawn by weight, by latency and calls in flight.
    #[default]
    TwoChoices,
    /// One after the other, each as often as its weight says.
    RoundRobin,
    /// By chance, each as often as its weight says.
    Random,
    /// The one with the fewest calls in flight of several that are drawn by weight.
    LeastInFlight,
}

/// How a call chooses among the hosts that offer its callee. What is `None` is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { policy = \"round-robin\" }")]
pub struct Balance {
    /// Who is chosen.
    pub policy: Option<Policy>,
    /// The metadata whose value decides: equal values go to the same host. Calls without it go by the policy.
    #[serde(deserialize_with = "metadata")]
    pub hash_by: Option<String>,
    /// Whether hosts of the own zone come first.
    pub prefer_zone: Option<bool>,
    /// The versions that may be chosen, by semver: `^1.2`.
    #[serde(deserialize_with = "versions")]
    pub version: Option<semver::VersionReq>,
    /// The labels that a service or its host must have to be chosen.
    pub labels: Option<BTreeMap<String, String>>,
    /// The fewest hosts that calls go to, where more offer the callee. For policies by load.
    #[serde(deserialize_with = "given")]
    pub subset: Option<u32>,
    /// When a host that fails is left alone.
    pub breaker: BreakerSettings,
    /// When a host that is worse than the others is left alone.
    pub outliers: OutlierSettings,
}

/// When a host that fails is left alone, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { failures = 5, pause = \"1s\" }")]
pub struct BreakerSettings {
    /// Failures in a row that open it; 0 for none.
    pub failures: Option<u32>,
    /// The share of failures among the last calls above which it opens; 100% for never.
    pub share: Option<Share>,
    /// The calls of the last ten seconds below which their share says nothing.
    #[serde(deserialize_with = "given")]
    pub calls: Option<u32>,
    /// How long it stays open at first.
    #[serde(deserialize_with = "given_time")]
    pub pause: Option<Duration>,
    /// How long it stays open at most, once it has opened again and again.
    #[serde(deserialize_with = "given_time")]
    pub longest_pause: Option<Duration>,
    /// Calls at once that may try whether the host is back; as many have to succeed.
    #[serde(deserialize_with = "given")]
    pub probes: Option<u32>,
}

/// When a host that succeeds far less often than the others is left alone, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { most = \"10%\", pause = \"30s\" }")]
pub struct OutlierSettings {
    /// The share of hosts that may be left alone at once, and one in any case; 0% for none.
    pub most: Option<Share>,
    /// The calls of the last ten seconds below which a host is not compared.
    #[serde(deserialize_with = "given")]
    pub calls: Option<u32>,
    /// How far its rate of success has to be below that of the others.
    pub worse_by: Option<Share>,
    /// How long it is left alone at first.
    #[serde(deserialize_with = "given_time")]
    pub pause: Option<Duration>,
    /// How long it is left alone at most, once that has happened again and again.
    #[serde(deserialize_with = "given_time")]
    pub longest_pause: Option<Duration>,
}

impl Balance {
    /// What is said here, and for the rest what `general` says.
    #[must_use]
    pub fn or(self, general: &Balance) -> Balance {
        let (breaker, outliers) = (&general.breaker, &general.outliers);
        Balance {
            policy: self.policy.or(general.policy),
            hash_by: self.hash_by.or_else(|| general.hash_by.clone()),
            prefer_zone: self.prefer_zone.or(general.prefer_zone),
            version: self.version.or_else(|| general.version.clone()),
            labels: self.labels.or_else(|| general.labels.clone()),
            subset: self.subset.or(general.subset),
            breaker: BreakerSettings {
                failures: self.breaker.failures.or(breaker.failures),
                share: self.breaker.share.or(breaker.share),
                calls: self.breaker.calls.or(breaker.calls),
                pause: self.breaker.pause.or(breaker.pause),
                longest_pause: self.breaker.longest_pause.or(breaker.longest_pause),
                probes: self.breaker.probes.or(breaker.probes),
            },
            outliers: OutlierSettings {
                most: self.outliers.most.or(outliers.most),
                calls: self.outliers.calls.or(outliers.calls),
                worse_by: self.outliers.worse_by.or(outliers.worse_by),
                pause: self.outliers.pause.or(outliers.pause),
                longest_pause: self.outliers.longest_pause.or(outliers.longest_pause),
            },
        }
    }
}

/// A number that is more than zero, where one is given.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    some(deserializer).map(Some)
}

/// A time that is longer than none, where one is given.
fn given_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    some_time(deserializer).map(Some)
}

/// The name of metadata, as it comes over HTTP: in small letters.
fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match http::HeaderName::try_from(&name) {
        Ok(name) => Ok(Some(name.as_str().to_owned())),
        Err(_) => Err(D::Error::custom(format!("expected the name of metadata such as \"user-id\", got {name:?}"))),
    }
}

fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<semver::VersionReq>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |error| D::Error::custom(format!("expected versions such as \"^1.2\" or \">=1.2, <3\", got {text:?}: {error}"));
    text.parse().map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Balance, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_said_for_one_service_goes_over_what_is_said_for_all() {
        let general = read("policy = \"random\"\nbreaker = { failures = 9, pause = \"2s\" }\nlabels = { a = \"b\" }").expect("valid");
        let one = read("policy = \"round-robin\"\nhash-by = \"User-Id\"\nbreaker = { failures = 0 }").expect("valid").or(&general);
        assert_eq!((one.policy, one.hash_by.as_deref()), (Some(Policy::RoundRobin), Some("user-id")));
        assert_eq!((one.breaker.failures, one.breaker.pause), (Some(0), Some(Duration::from_secs(2))));
        assert_eq!((one.labels, one.outliers), (general.labels, OutlierSettings::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for (line, words) in [
            ("policy = \"fastest\"", "expected one of `two-choices`, `round-robin`"),
            ("hash-by = \"user id\"", "the name of metadata"),
            ("hash_by = \"user\"", "unknown field"),
            ("version = \"new\"", "versions such as"),
            ("breaker = { pause = \"0s\" }", "more than zero"),
            ("breaker = { probes = 0 }", "more than zero"),
            ("breaker = { share = \"200%\" }", "from 0% to 100%"),
            ("outliers = { most = 10 }", "expected a string"),
            ("outliers = { time = \"1s\" }", "unknown field"),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.contains(words) && error.contains("line 1"), "{line}: {error}");
        }
    }
}
