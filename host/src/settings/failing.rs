//! How calls of services fail well: the table `[calls]`, and one for each service or method that wants
//! it otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::value::some_time;
use super::{Balance, CallGrant, Share};

/// The most times that one call may be tried.
pub const MAX_TRIES: u32 = 10;

/// The most calls a second that may be tried again whatever the share says.
pub const MAX_RETRIES_PER_SECOND: u32 = 100_000;

/// What holds for the calls of one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// How often a call is tried, the first time included.
    pub tries: u32,
    /// How long each try may take; as the time that is left allows where it is none.
    pub try_timeout: Option<Duration>,
    /// When an idempotent call without an answer goes to a second node too; never where it is none.
    pub hedge_after: Option<Duration>,
    /// A second call does no more than the first, whatever caller and callee say.
    pub idempotent: bool,
    /// The longest first pause between two tries where there is one; it doubles each time.
    pub backoff: Duration,
    /// The longest pause between two tries.
    pub max_backoff: Duration,
}

impl Default for Failing {
    fn default() -> Failing {
        Failing {
            tries: 3,
            try_timeout: None,
            hedge_after: None,
            idempotent: false,
            // As Envoy has them ("x-envoy-max-retries": 25 ms, at most 250 ms, full jitter).
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
        }
    }
}

/// What holds for all calls of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrying {
    /// How many calls, of all, may be tried again.
    pub share: Share,
    /// How many may be tried again each second, however few calls there are.
    pub per_second: u32,
    /// A service of this host is called rather than another one.
    pub local_first: bool,
}

impl Default for Retrying {
    fn default() -> Retrying {
        // As Finagle ("RetryBudget") and linkerd have them.
        Retrying { share: Share::percent(20), per_second: 10, local_first: true }
    }
}

/// One table, with what it sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    tries: Option<u32>,
    try_timeout: Option<Duration>,
    hedge_after: Option<Duration>,
    idempotent: Option<bool>,
    backoff: Option<Duration>,
    max_backoff: Option<Duration>,
    retry_share: Option<Share>,
    retries_per_second: Option<u32>,
    local_first: Option<bool>,
    balance: Balance,
}

/// The table `[calls]` with those below it: the nearest to a method counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    all: Row,
    /// By a service's full name, or `service/method`.
    named: BTreeMap<String, Row>,
}

impl Calls {
    /// Whether a service or a method of it has a table of its own.
    pub fn names(&self, service: &str) -> bool {
        if self.named.is_empty() {
            return false;
        }
        let own = |name: &String| name.strip_prefix(service).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.named.range(service.to_owned()..).map(|(name, _)| name).take_while(|name| name.starts_with(service)).any(own)
    }

    /// What holds for a method.
    pub fn failing(&self, service: &str, method: &str) -> Failing {
        let (one, whole) = (self.named.get(&format!("{service}/{method}")), self.named.get(service));
        let rows = || one.into_iter().chain(whole).chain([&self.all]);
        let usual = Failing::default();
        let backoff = rows().find_map(|row| row.backoff).unwrap_or(usual.backoff);
        Failing {
            tries: rows().find_map(|row| row.tries).unwrap_or(usual.tries),
            try_timeout: rows().find_map(|row| row.try_timeout),
            hedge_after: rows().find_map(|row| row.hedge_after),
            idempotent: rows().find_map(|row| row.idempotent).unwrap_or(usual.idempotent),
            backoff,
            max_backoff: rows().find_map(|row| row.max_backoff).unwrap_or(usual.max_backoff).max(backoff),
        }
    }

    /// How calls of a method choose among hosts; of all that have no table of their own, without one.
    pub fn balance(&self, service: &str, method: Option<&str>) -> Balance {
        let one = method.and_then(|method| self.named.get(&format!("{service}/{method}")));
        let rows = one.into_iter().chain(self.named.get(service)).chain([&self.all]);
        rows.fold(Balance::default(), |balance, row| balance.or(&row.balance))
    }

    /// What holds for a service.
    pub fn retrying(&self, service: &str) -> Retrying {
        let rows = || self.named.get(service).into_iter().chain([&self.all]);
        let usual = Retrying::default();
        Retrying {
            share: rows().find_map(|row| row.retry_share).unwrap_or(usual.share),
            per_second: rows().find_map(|row| row.retries_per_second).unwrap_or(usual.per_second),
            local_first: rows().find_map(|row| row.local_first).unwrap_or(usual.local_first),
        }
    }
}

/// The keys of a method's table.
const OF_METHODS: &[&str] = &["tries", "try-timeout", "hedge-after", "idempotent", "backoff", "max-backoff", "balance"];

/// The keys of a service's table, and of the one for all.
const OF_SERVICES: &[&str] = &[
    "tries",
    "try-timeout",
    "hedge-after",
    "idempotent",
    "backoff",
    "max-backoff",
    "balance",
    "retry-share",
    "retries-per-second",
    "local-first",
];

/// Which table is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    All,
    Service,
    Method,
}

impl Table {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Table::All | Table::Service => OF_SERVICES,
            Table::Method => OF_METHODS,
        }
    }
}

/// A key: one of the table's own, or the name of what another table is for.
enum Key {
    Own(&'static str),
    Named(String),
}

impl<'de> DeserializeSeed<'de> for Table {
    type Value = Calls;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Calls, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table {
    type Value = Calls;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table such as { tries = 3, try-timeout = \"1s\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Calls, A::Error> {
        let mut calls = Calls::default();
        while let Some(key) = map.next_key_seed(Keys(self))? {
            let row = &mut calls.all;
            match key {
                Key::Own("tries") => row.tries = Some(map.next_value::<Tries>()?.0),
                Key::Own("try-timeout") => row.try_timeout = Some(map.next_value::<Time>()?.0),
                Key::Own("hedge-after") => row.hedge_after = Some(map.next_value::<Time>()?.0),
                Key::Own("idempotent") => row.idempotent = Some(map.next_value()?),
                Key::Own("backoff") => row.backoff = Some(map.next_value::<Time>()?.0),
                Key::Own("max-backoff") => row.max_backoff = Some(map.next_value::<Time>()?.0),
                Key::Own("retry-share") => row.retry_share = Some(map.next_value()?),
                Key::Own("retries-per-second") => row.retries_per_second = Some(map.next_value::<Rate>()?.0),
                Key::Own("local-first") => row.local_first = Some(map.next_value()?),
                Key::Own("balance") => row.balance = map.next_value()?,
                Key::Own(_) => unreachable!("every key of a table is read"),
                Key::Named(name) => {
                    let table = if name.contains('/') { Table::Method } else { Table::Service };
                    calls.named.insert(name, map.next_value_seed(table)?.all);
                }
            }
        }
        Ok(calls)
    }
}

/// Reads the keys of a table.
struct Keys(Table);

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Keys {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        let Keys(table) = self;
        if let Some(own) = table.keys().iter().find(|own| **own == key) {
            return Ok(Key::Own(own));
        }
        // No key has a dot, a slash or a capital, and hardly a service has none.
        let is_name = key.contains(['.', '/', ':']) || key.starts_with(|first: char| first.is_ascii_uppercase());
        if table != Table::All || !is_name {
            return Err(E::unknown_field(key, table.keys()));
        }
        key.parse::<CallGrant>().map_err(E::custom)?;
        Ok(Key::Named(key.to_owned()))
    }
}

/// How often a call is tried.
struct Tries(u32);

impl<'de> Deserialize<'de> for Tries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tries, D::Error> {
        match u32::deserialize(deserializer)? {
            tries if (1..=MAX_TRIES).contains(&tries) => Ok(Tries(tries)),
            tries => Err(D::Error::custom(format!("expected from 1, which is never again, to {MAX_TRIES} tries, got {tries}"))),
        }
    }
}

/// Calls a second.
struct Rate(u32);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        match u32::deserialize(deserializer)? {
            rate if rate <= MAX_RETRIES_PER_SECOND => Ok(Rate(rate)),
            rate => Err(D::Error::custom(format!("expected at most {MAX_RETRIES_PER_SECOND}, got {rate}"))),
        }
    }
}

/// A time that is longer than none.
struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        some_time(deserializer).map(Time)
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Calls, D::Error> {
        Table::All.deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Policy;

    fn calls(text: &str) -> Calls {
        toml::from_str(text).expect(text)
    }

    #[test]
    fn without_a_word_everything_is_as_usual() {
        assert_eq!(calls("").failing("a.B", "C"), Failing::default());
        assert_eq!(calls("").retrying("a.B"), Retrying::default());
    }

    #[test]
    fn the_table_that_is_nearest_to_a_method_counts() {
        let calls = calls(
            "tries = 2\nretry-share = \"10%\"\ntry-timeout = \"1s\"\n\
             [\"a.B\"]\ntries = 4\nlocal-first = false\n\
             [\"a.B/C\"]\ntries = 5\nidempotent = true\nhedge-after = \"50ms\"\n",
        );
        let of = |service, method| calls.failing(service, method);
        assert_eq!([of("a.B", "C").tries, of("a.B", "D").tries, of("a.C", "C").tries], [5, 4, 2]);
        assert_eq!(of("a.B", "C").try_timeout, Some(Duration::from_secs(1)));
        assert_eq!((of("a.B", "C").hedge_after, of("a.B", "D").hedge_after), (Some(Duration::from_millis(50)), None));
        assert!(of("a.B", "C").idempotent && !of("a.B", "D").idempotent);
        assert_eq!(calls.retrying("a.B"), Retrying { share: Share::percent(10), per_second: 10, local_first: false });
    }

    #[test]
    fn how_a_host_is_chosen_is_said_for_all_and_for_one() {
        let calls = calls(
            "balance = { policy = \"random\", prefer-zone = false }\n\
             [\"a.B/C\".balance]\npolicy = \"round-robin\"\nhash-by = \"user\"\n",
        );
        let one = calls.balance("a.B", Some("C"));
        assert_eq!((one.policy, one.prefer_zone, one.hash_by.as_deref()), (Some(Policy::RoundRobin), Some(false), Some("user")));
        assert_eq!(
            (calls.balance("a.B", None), calls.balance("a.B", None).policy),
            (calls.balance("x.Y", Some("Z")), Some(Policy::Random))
        );
    }

    #[test]
    fn a_pause_is_never_longer_than_the_longest() {
        assert_eq!(calls("backoff = \"1s\"").failing("a.B", "C").max_backoff, Duration::from_secs(1));
    }
}
