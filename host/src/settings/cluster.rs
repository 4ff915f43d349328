//! How a host finds others, and they it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{Address, HostName, value};
use crate::connections::{Servers, ServersError};

/// How long a host is known without a sign of life, unless the settings say otherwise; it gives three
/// signs in that time.
pub const LEASE: Duration = Duration::from_secs(15);

/// How a host finds others, and they it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table such as { registry = [\"nats://127.0.0.1:4222\"], zone = \"a\" }"
)]
pub struct Cluster {
    /// What tells of other hosts; nothing does where it is empty.
    pub registry: Vec<Backend>,
    /// Hosts that are known by their address, and asked for what they serve.
    pub peers: Vec<Address>,
    /// Where others reach this host; worked out from where it listens unless set.
    pub advertise: Vec<Address>,
    /// The machine's interfaces by which hosts find and reach one another, by name: `eth0`, `eth*`, `!eth1`;
    /// all that others may be behind where none is named.
    pub interfaces: Vec<String>,
    /// Which hosts belong together: those of another name are not seen.
    pub name: HostName,
    /// Where the host stands: a data centre, a rack.
    #[serde(deserialize_with = "value::text")]
    pub zone: Option<String>,
    /// What else it says of itself, for whoever chooses among hosts.
    pub labels: BTreeMap<String, String>,
    /// How long the host is known to others without a sign of life.
    #[serde(deserialize_with = "lease")]
    pub lease: Duration,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            registry: vec![Backend::Mdns],
            peers: Vec::new(),
            advertise: Vec::new(),
            interfaces: Vec::new(),
            name: HostName::usual(),
            zone: None,
            labels: BTreeMap::new(),
            lease: LEASE,
        }
    }
}

impl Cluster {
    /// Whether nothing tells of other hosts.
    pub fn is_alone(&self) -> bool {
        self.registry.is_empty() && self.peers.is_empty()
    }

    /// The same, with its paths relative to this folder.
    #[must_use]
    pub fn at(mut self, base: &Path) -> Cluster {
        for backend in &mut self.registry {
            if let Backend::File(path) = backend {
                *path = base.join(&path);
            }
        }
        self
    }
}

/// A shorter lease would be lost whenever a machine is busy; a longer one says nothing any more.
const LEASES: std::ops::RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(3600);

fn lease<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let lease = value::duration(deserializer)?;
    if LEASES.contains(&lease) { Ok(lease) } else { Err(serde::de::Error::custom("must be from 3 s to 1 h")) }
}

/// What tells of other hosts, by its URL: `mdns:`, `nats://HOST:PORT`, `file:hosts.toml`.
#[derive(Clone, PartialEq, Eq)]
pub enum Backend {
    /// Multicast DNS: the hosts of a network ask one another.
    Mdns,
    /// NATS with JetStream.
    Nats(Servers),
    /// A file that lists hosts.
    File(PathBuf),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Mdns => f.write_str("mdns:"),
            Backend::Nats(servers) => servers.fmt(f),
            Backend::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "mdns" if rest.is_empty() => Ok(Backend::Mdns),
            "nats" | "tls" => text.parse().map(Backend::Nats).map_err(|error: ServersError| error.to_string()),
            "file" if !rest.is_empty() => Ok(Backend::File(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)))),
            _ => Err(format!("{scheme:?} names no registry: write mdns:, nats://HOST:PORT or file:PATH")),
        }
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Backend, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How many calls a service gets beside the same one of other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Weight(pub u32);

impl Default for Weight {
    fn default() -> Weight {
        Weight(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_by_its_url() {
        for text in ["mdns:", "nats://127.0.0.1:4222", "nats://a:1,nats://b:2", "file:hosts.toml"] {
            assert_eq!(text.parse::<Backend>().expect(text).to_string(), text);
        }
        assert_eq!("mdns".parse(), Ok(Backend::Mdns));
        for text in ["", "consul://a", "nats:", "file:", "mdns:x"] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let backend: Backend = "nats://me:secret@a:1".parse().expect("a URL");
        assert_eq!((backend.to_string(), format!("{backend:?}")), ("nats://a:1".to_owned(), "nats://a:1".to_owned()));
    }
}
