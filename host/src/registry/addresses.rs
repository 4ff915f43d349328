//! The addresses that a node tells, as a host reads them that may be older than the one that wrote them.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::Address;

/// Addresses of one node that are kept at most.
pub const MAX_ADDRESSES: usize = 64;

/// What one of the list may be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Text(String),
    Other(IgnoredAny),
}

/// Reads those that this host knows how to use, in their order. Others are passed over: what a newer host
/// can be reached by besides is no reason not to know of it.
pub fn understood<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let told: Vec<Told> = Vec::deserialize(deserializer)?;
    let known = told.into_iter().filter_map(|told| match told {
        Told::Text(text) => text.parse().ok(),
        Told::Other(IgnoredAny) => None,
    });
    Ok(known.take(MAX_ADDRESSES).collect())
}

#[cfg(test)]
mod tests {
    use crate::registry::Node;

    /// What a newer host may say.
    const NEWER: &str = r#"{"id":"a","addresses":["quic://10.0.0.1:1","http://10.0.0.1:80",{"at":"b"},7,"unix:/a","http://"],
        "machine":"m","mood":"good","revision":3,"services":[]}"#;

    #[test]
    fn addresses_that_are_not_understood_are_passed_over() {
        let node: Node = serde_json::from_str(NEWER).expect("a node");
        let at: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        assert_eq!((at, node.machine.as_deref(), node.revision), (vec!["http://10.0.0.1:80".into(), "unix:/a".into()], Some("m"), 3));
    }

    #[test]
    fn a_node_without_any_address_that_is_understood_is_known() {
        for addresses in ["", r#","addresses":[]"#, r#","addresses":["quic://a:1"]"#] {
            let node: Node = serde_json::from_str(&format!(r#"{{"id":"a"{addresses},"revision":1}}"#)).expect("a node");
            assert!(node.addresses.is_empty() && node.services.is_empty());
        }
    }

    #[test]
    fn a_node_is_written_as_others_read_it() {
        let text =
            r#"{"id":"a","name":"b","addresses":["http://10.0.0.1:80","unix:/a"],"machine":"m","zone":"z","revision":3,"services":[]}"#;
        let node: Node = serde_json::from_str(text).expect("a node");
        assert_eq!(serde_json::to_string(&node).expect("JSON"), text);
    }

    #[test]
    fn a_node_tells_a_bounded_number_of_addresses() {
        let many: Vec<String> = (1..1000).map(|port| format!("http://a:{port}")).collect();
        let text = serde_json::json!({"id": "a", "addresses": many, "revision": 1}).to_string();
        let node: Node = serde_json::from_str(&text).expect("a node");
        assert_eq!(node.addresses.len(), super::MAX_ADDRESSES);
    }
}
