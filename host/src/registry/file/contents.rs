//! What a file says of hosts, read as strictly as the settings are.

use std::collections::{BTreeMap, HashSet};

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::registry::{Address, Interface, MAX_NODES, Node, Service, USUAL_WEIGHT};
use crate::settings;

/// Hosts that tell of themselves, and others that do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// Hosts that can be asked for what they serve.
    pub(super) peers: Vec<Address>,
    /// Hosts that cannot. Their revision is left to whoever compares them with what was told before.
    pub(super) nodes: Vec<Node>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    peers: Vec<Address>,
    node: Vec<Spanned<Listed>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { addresses = [\"http://10.0.0.7:8080\"] }")]
struct Listed {
    id: Option<String>,
    name: Option<String>,
    #[serde(deserialize_with = "some")]
    addresses: Vec<Address>,
    zone: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    service: Vec<Offered>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { name = \"payments\" }")]
struct Offered {
    name: String,
    version: Option<String>,
    #[serde(default = "usual_weight")]
    weight: u32,
    #[serde(default = "ready")]
    ready: bool,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "interfaces")]
    interfaces: Vec<String>,
}

fn usual_weight() -> u32 {
    USUAL_WEIGHT
}

/// Nobody asks such a host whether it is.
fn ready() -> bool {
    true
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let addresses = Vec::deserialize(deserializer)?;
    if addresses.is_empty() { Err(D::Error::custom("a host needs an address, such as \"http://10.0.0.7:8080\"")) } else { Ok(addresses) }
}

fn interfaces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = Vec::deserialize(deserializer)?;
    let is_name = |name: &str| name.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    match names.iter().find(|name| !is_name(name) && *name != "*") {
        Some(name) => Err(D::Error::custom(format!("{name:?} is no service as callers name it, such as \"shop.payments.Payment\""))),
        None => Ok(names),
    }
}

impl Contents {
    /// Reads a file. What is wrong is told with its line.
    pub(super) fn read(text: &str) -> Result<Contents, String> {
        let file: File = settings::strictly(text)?;
        if file.node.len() > MAX_NODES {
            return Err(format!("there are more than {MAX_NODES} nodes"));
        }
        let mut ids = HashSet::new();
        let mut nodes = Vec::with_capacity(file.node.len());
        for listed in file.node {
            let line = text[..listed.span().start].matches('\n').count() + 1;
            let node = listed.into_inner().node();
            if !ids.insert(node.id.clone()) {
                return Err(format!("line {line}: another node has the id {:?}; give one of them an id of its own", node.id));
            }
            nodes.push(node);
        }
        Ok(Contents { peers: file.peers, nodes })
    }
}

impl Listed {
    fn node(self) -> Node {
        let Listed { id, name, addresses, zone, labels, service } = self;
        // The same at each start, so that a file that is read again tells of the same host.
        let id = id.unwrap_or_else(|| format!("file:{}", addresses[0]));
        Node {
            id,
            name,
            addresses,
            machine: None,
            zone,
            labels,
            revision: 0,
            services: service.into_iter().map(Offered::service).collect(),
        }
    }
}

impl Offered {
    fn service(self) -> Service {
        let Offered { name, version, weight, ready, labels, interfaces } = self;
        let interfaces = interfaces.into_iter().map(|name| Interface { name, wit: None, methods: Vec::new() }).collect();
        Service { name, version, weight, ready, labels, interfaces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read() {
        let contents = Contents::read(
            r#"
            peers = ["http://10.0.0.5:8080"]
            [[node]]
            addresses = ["http://10.0.0.7:8080", "unix:/run/old.sock"]
            zone = "a"
            [[node.service]]
            name = "payments"
            version = "1.2.0"
            interfaces = ["shop.payments.Payment"]
            [[node]]
            id = "gateway"
            name = "old"
            labels = { disk = "ssd" }
            addresses = ["https://old.example"]
            service = [{ name = "all", weight = 5, ready = false, labels = { track = "canary" }, interfaces = ["*"] }]
            "#,
        )
        .expect("a good file");
        assert_eq!(contents.peers, ["http://10.0.0.5:8080".parse().expect("an address")]);
        let [old, gateway] = &contents.nodes[..] else { panic!("{contents:?}") };
        assert_eq!((old.id.as_str(), old.zone.as_deref(), old.addresses.len()), ("file:http://10.0.0.7:8080", Some("a"), 2));
        assert_eq!((old.services[0].weight, old.services[0].ready), (USUAL_WEIGHT, true));
        assert_eq!(old.services[0].interfaces[0].name, "shop.payments.Payment");
        assert_eq!((gateway.id.as_str(), gateway.name.as_deref(), gateway.labels["disk"].as_str()), ("gateway", Some("old"), "ssd"));
        assert_eq!((gateway.services[0].weight, gateway.services[0].ready), (5, false));
        assert_eq!(Contents::read("").expect("an empty file"), Contents::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_to_write() {
        for (text, line, why) in [
            ("peers = [\"10.0.0.5:8080\"]", 1, "write http://HOST:PORT"),
            ("\npeer = []", 2, "did you mean `peers`?"),
            ("peers = \"http://a\"", 1, "write a list"),
            ("\n[[node]]\naddresses = []", 3, "a host needs an address"),
            ("[[node]]\nname = \"a\"", 1, "missing field `addresses`"),
            ("[[node]]\naddresses = [\"http://a\"]\nzoen = \"a\"", 3, "did you mean `zone`?"),
            ("[[node]]\naddresses = [\"http://a\"]\n[[node]]\naddresses = [\"http://a\"]", 3, "an id of its own"),
            ("[[node]]\naddresses = [\"http://a\"]\n[[node.service]]\nname = \"s\"\ninterfaces = [\"a/b\"]", 5, "shop.payments.Payment"),
            ("[[node]\n", 1, "TOML"),
        ] {
            let error = Contents::read(text).expect_err(text);
            assert!(error.contains(&format!("line {line}")) && error.contains(why), "{text}: {error}");
        }
    }
}
