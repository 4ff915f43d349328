//! How a node lies in the bucket: its key, and a value that people can read with `nats kv get` unless it
//! is long, when it is packed.

use std::io::{self, Read};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::registry::{LEASE, MAX_NODE, Node};

/// Says how long a node is known after it was put, in milliseconds.
pub(super) const LEASE_HEADER: &str = "Microhost-Lease";

/// Values from this length on are packed, if that makes them shorter.
const PACKED_FROM: usize = 1 << 10;

/// What a value begins with that is packed by zstd.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The memory that a packed value may ask for to be unpacked, as a power of two.
const MAX_WINDOW: u32 = 23;

/// Bytes of a key at most: servers give up connections whose subjects are beyond some thousands.
pub(super) const MAX_KEY: usize = 512;

/// The longest lease that is believed.
const MAX_LEASE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a value is no node.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("more than {MAX_NODE} bytes")]
    TooLarge,
    #[error("packed by something other than zstd, or damaged: {0}")]
    Packed(#[from] io::Error),
    #[error("no node: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the node {0:?} does not belong under this key")]
    Key(String),
}

/// The key of a node: its id, with `=` and two digits for each byte that keys cannot have.
pub(super) fn key(id: &str) -> String {
    if id.is_empty() {
        return "=".to_owned();
    }
    let mut key = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => key.push(char::from(byte)),
            _ => key.push_str(&format!("={byte:02X}")),
        }
    }
    key
}

/// The value of a node, and how many bytes it has unpacked.
pub(super) fn encode(node: &Node) -> Result<(Bytes, usize), WireError> {
    let json = serde_json::to_vec(node)?;
    let bytes = json.len();
    if bytes < PACKED_FROM {
        return Ok((json.into(), bytes));
    }
    let packed = zstd::bulk::compress(&json, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    Ok((if packed.len() < bytes { packed.into() } else { json.into() }, bytes))
}

/// The node of a value that lies under a key.
pub(super) fn decode(key: &str, value: &[u8]) -> Result<Node, WireError> {
    let unpacked;
    let json = if value.starts_with(&ZSTD_MAGIC) {
        unpacked = unpack(value)?;
        &unpacked
    } else {
        value
    };
    if json.len() > MAX_NODE {
        return Err(WireError::TooLarge);
    }
    let node: Node = serde_json::from_slice(json)?;
    if self::key(&node.id) == key { Ok(node) } else { Err(WireError::Key(node.id)) }
}

fn unpack(value: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(value)?;
    decoder.window_log_max(MAX_WINDOW)?;
    let mut json = Vec::new();
    // One byte more than there may be: so that too long is told from just so.
    decoder.take(MAX_NODE as u64 + 1).read_to_end(&mut json)?;
    Ok(json)
}

/// The headers of a node that is known as long as `lease`.
pub(super) fn headers(lease: Duration) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(LEASE_HEADER, lease.as_millis().to_string().as_str());
    headers
}

/// How long a node is known that came with these headers; the usual time where they do not say.
pub(super) fn lease(headers: Option<&HeaderMap>) -> Duration {
    let told = headers.and_then(|headers| headers.get(LEASE_HEADER)).and_then(|told| told.as_str().parse().ok());
    told.map_or(LEASE, Duration::from_millis).min(MAX_LEASE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Service;

    fn node(id: &str, services: usize) -> Node {
        let service = |number| Service {
            name: format!("service-{number}"),
            version: None,
            weight: 100,
            ready: true,
            labels: Default::default(),
            interfaces: Vec::new(),
        };
        let services = (0..services).map(service).collect();
        Node {
            id: id.into(),
            name: None,
            addresses: Vec::new(),
            machine: None,
            zone: None,
            labels: Default::default(),
            revision: 1,
            services,
        }
    }

    #[test]
    fn a_node_comes_back_as_it_was_written() {
        for node in [node("a", 0), node("b", 1000)] {
            let (value, bytes) = encode(&node).expect("a node can be written");
            assert!(value.len() <= bytes);
            assert_eq!(decode(&node.id, &value).expect("it is a node"), node);
        }
        let (long, bytes) = encode(&node("b", 1000)).expect("a node can be written");
        assert!(long.len() * 10 < bytes, "a long one is packed: {} of {bytes}", long.len());
    }

    #[test]
    fn ids_of_any_kind_have_keys_of_their_own() {
        let ids = ["", "=", "a", "a.b", "a b", "a>*", "ä", "a=2Eb"];
        let keys: std::collections::BTreeSet<String> = ids.iter().map(|id| key(id)).collect();
        assert_eq!(keys.len(), ids.len(), "{keys:?}");
        for key in keys {
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=')), "{key}");
        }
    }

    #[test]
    fn values_that_are_no_nodes_are_refused() {
        let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 1).expect("it can be packed");
        let damaged = [&ZSTD_MAGIC[..], b"nonsense"].concat();
        let other = encode(&node("other", 0)).expect("a node can be written").0;
        for (value, why) in [(&b"nonsense"[..], "no node"), (&damaged, "damaged"), (&bomb, "more than"), (&other, "does not belong")] {
            let error = decode("a", value).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_lease_is_believed_up_to_a_day() {
        assert_eq!(lease(Some(&headers(Duration::from_millis(1500)))), Duration::from_millis(1500));
        assert_eq!(lease(None), LEASE);
        let mut endless = HeaderMap::new();
        endless.insert(LEASE_HEADER, u64::MAX.to_string().as_str());
        assert_eq!(lease(Some(&endless)), MAX_LEASE);
    }
}
