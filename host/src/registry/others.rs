//! What a host tells of others that it knows by their address, so that hosts which name the same one find each
//! other. It is hearsay: whoever hears it asks the host itself, and believes nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Address;
use super::fetch::MAX_ID;

/// Hosts that a host tells of at most, and that are heard of one.
pub const MAX_TOLD: usize = 256;

/// Other hosts, as the page of a host tells of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// Rises with each change.
    pub revision: u64,
    /// The hosts.
    #[serde(default)]
    hosts: Vec<Other>,
}

/// One of them. The address is text: it may be of a kind that only a newer host knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Other {
    id: String,
    address: String,
}

impl Others {
    /// What is told after this, where these are there now; `None` where that is the same.
    pub(super) fn next(&self, hosts: BTreeMap<&str, &Address>) -> Option<Others> {
        let hosts = hosts.into_iter().take(MAX_TOLD);
        let hosts: Vec<Other> = hosts.map(|(id, address)| Other { id: id.to_owned(), address: address.to_string() }).collect();
        (hosts != self.hosts).then(|| Others { revision: self.revision + 1, hosts })
    }

    /// Those that can be asked: their ids and where. Sockets of a machine mean nothing to others.
    pub(super) fn heard(&self) -> impl Iterator<Item = (&str, Address)> {
        self.hosts.iter().take(MAX_TOLD).filter(|other| (1..=MAX_ID).contains(&other.id.len())).filter_map(|other| {
            let address = other.address.parse().ok().filter(|address| matches!(address, Address::Tcp { .. }))?;
            Some((other.id.as_str(), address))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_to_ask_is_passed_over_and_so_is_what_is_beyond_the_bound() {
        let other = |id: &str, address: &str| Other { id: id.into(), address: address.into() };
        let mut hosts =
            vec![other("a", "unix:/a"), other("b", "new:thing"), other("", "http://a:1"), other(&"c".repeat(200), "http://a:1")];
        hosts.extend((1..1000).map(|port| other("d", &format!("http://a:{port}"))));
        assert_eq!(Others { revision: 1, hosts }.heard().count(), MAX_TOLD - 4);
    }

    #[test]
    fn only_what_is_another_has_a_new_revision() {
        let address = "http://a:1".parse().expect("valid");
        let told = Others::default().next(BTreeMap::from([("a", &address)])).expect("it is new");
        assert_eq!((told.revision, told.next(BTreeMap::from([("a", &address)]))), (1, None));
        assert_eq!(told.next(BTreeMap::new()).map(|told| told.revision), Some(2));
    }
}
