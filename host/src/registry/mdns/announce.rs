//! What a host announces: that it is there, where, and that something of it has changed.

use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{ResolvedService, ScopedIp, ServiceInfo, TxtProperties};

use super::networks::Place;
use crate::registry::{Address, LEASE, Node};

/// The type under which hosts announce themselves.
pub const SERVICE: &str = "_microhost._tcp.local.";

/// Bytes of an id at most: it is a label of a DNS name.
const MAX_ID: usize = 63;

/// Addresses of one host that are tried at most.
pub const MAX_ADDRESSES: usize = 8;

/// Bytes at most of an address that is announced as text.
const MAX_URL: usize = 240;

/// The leases that are believed: a shorter one would have its host asked without end, a longer one is
/// kept for nobody.
const LEASES: std::ops::RangeInclusive<Duration> = Duration::from_millis(300)..=Duration::from_secs(3600);

/// What a host says of itself in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The node's id.
    pub id: String,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// The node's revision.
    pub revision: u64,
    /// Rises with each word that differs, over the life of the id: words overtake one another.
    pub word: u64,
    /// How long the host is known without a sign of life.
    pub lease: Duration,
    /// It speaks TLS.
    pub tls: bool,
    /// It is leaving.
    pub bye: bool,
    /// The port of all its addresses.
    pub port: u16,
    /// Where it is to be reached rather than at its own addresses.
    pub at: Option<Address>,
}

/// What was heard of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its own words.
    pub note: Note,
    /// Its addresses.
    pub places: Vec<Place>,
}

/// What is said that no other host can make sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A DNS name has no place for its id.
    #[error("its id is no DNS label: up to 63 small letters, digits and hyphens")]
    Id,
    /// It takes no calls over the network.
    #[error("it has no address that is reached over a network: hosts of this machine find it by --peer unix:PATH")]
    Address,
    /// Its words are not those of a host.
    #[error("its {0} cannot be read")]
    Word(&'static str),
}

impl Note {
    /// What is said of a node, and the addresses to say it with: those of `mine`, this machine's; none
    /// where the machine's own are meant, whichever they are.
    pub fn of(node: &Node, cluster: &str, lease: Duration, mine: &[IpAddr]) -> Result<(Note, Vec<IpAddr>), Unfit> {
        if !is_label(&node.id) {
            return Err(Unfit::Id);
        }
        let tcp = node.addresses.iter().filter_map(|address| match address {
            Address::Tcp { host, port, tls } => Some((address, host.parse::<IpAddr>().ok(), *port, *tls)),
            Address::Unix(_) | Address::Nats(_) => None,
        });
        let tcp: Vec<_> = tcp.collect();
        let own = |ip: &Option<IpAddr>| ip.filter(|ip| mine.contains(ip));
        let first = tcp.first().ok_or(Unfit::Address)?;
        let (.., port, tls) = *tcp.iter().find(|(_, ip, ..)| own(ip).is_some()).unwrap_or(first);
        let ips = tcp.iter().filter(|(.., p, t)| (*p, *t) == (port, tls)).filter_map(|(_, ip, ..)| own(ip)).collect();
        // Only the machine's own addresses can be announced as such.
        let at = (own(&first.1).is_none() && first.0.to_string().len() <= MAX_URL).then(|| first.0.clone());
        let (id, cluster) = (node.id.clone(), cluster.to_owned());
        Ok((Note { id, cluster, revision: node.revision, word: 0, lease, tls, bye: false, port, at }, ips))
    }

    /// The note as mDNS says it.
    pub fn info(&self, ips: &[IpAddr]) -> mdns_sd::Result<ServiceInfo> {
        let mut words = vec![
            ("id", self.id.clone()),
            ("cluster", self.cluster.clone()),
            ("revision", self.revision.to_string()),
            ("word", self.word.to_string()),
            ("lease", self.lease.as_millis().to_string()),
        ];
        words.extend(self.tls.then(|| ("tls", "1".to_owned())));
        words.extend(self.bye.then(|| ("bye", "1".to_owned())));
        words.extend(self.at.as_ref().map(|at| ("at", at.to_string())));
        // A name of its own, so that several hosts of one machine do not share addresses.
        let host = format!("{}.microhost.local.", self.id);
        let mut info = ServiceInfo::new(SERVICE, &self.id, &host, (), self.port, &words[..])?;
        if ips.is_empty() {
            info = info.enable_addr_auto();
        } else {
            let ips: Vec<String> = ips.iter().map(IpAddr::to_string).collect();
            info = ServiceInfo::new(SERVICE, &self.id, &host, ips.join(","), self.port, &words[..])?;
        }
        // The id is random: asking whether somebody else has it would only take time.
        info.set_requires_probe(false);
        Ok(info)
    }
}

/// The name by which mDNS knows the node of this id.
pub fn full_name(id: &str) -> String {
    format!("{id}.{SERVICE}")
}

/// The id of the node that mDNS knows by this name.
pub fn id_of(full_name: &str) -> Option<&str> {
    full_name.strip_suffix(SERVICE)?.strip_suffix('.')
}

impl Heard {
    /// Makes sense of what mDNS has heard.
    pub fn read(service: &ResolvedService, is_loopback: impl Fn(&str) -> bool) -> Result<Heard, Unfit> {
        let words = &service.txt_properties;
        let id = word(words, "id").filter(|id| is_label(id) && id_of(&service.fullname) == Some(id)).ok_or(Unfit::Id)?;
        let lease = number(words, "lease")?.map_or(LEASE, Duration::from_millis);
        let at = match word(words, "at").map(str::parse::<Address>) {
            None => None,
            Some(Ok(at @ Address::Tcp { .. })) => Some(at),
            // A path would be of this machine, not of theirs.
            Some(_) => return Err(Unfit::Word("at")),
        };
        if service.port == 0 {
            return Err(Unfit::Address);
        }
        let note = Note {
            id: id.to_owned(),
            cluster: word(words, "cluster").ok_or(Unfit::Word("cluster"))?.to_owned(),
            revision: number(words, "revision")?.ok_or(Unfit::Word("revision"))?,
            word: number(words, "word")?.ok_or(Unfit::Word("word"))?,
            lease: lease.clamp(*LEASES.start(), *LEASES.end()),
            tls: word(words, "tls").is_some(),
            bye: word(words, "bye").is_some(),
            port: service.port,
            at,
        };
        let places = service.addresses.iter().flat_map(|ip| {
            let on: Vec<&str> = match ip {
                ScopedIp::V4(ip) => ip.interface_ids().iter().map(|interface| interface.name.as_str()).collect(),
                ScopedIp::V6(ip) => vec![ip.scope_id().name.as_str()],
                _ => Vec::new(),
            };
            on.into_iter()
                .map(|name| Place { ip: ip.to_ip_addr(), interface: name.to_owned(), loopback: is_loopback(name) })
                .collect::<Vec<_>>()
        });
        let mut places: Vec<Place> = places.collect();
        // In some order that is always the same, so that the same words are known to be the same.
        places.sort_by(|one, other| (one.ip, &one.interface).cmp(&(other.ip, &other.interface)));
        Ok(Heard { note, places })
    }
}

fn is_label(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn word<'a>(words: &'a TxtProperties, key: &str) -> Option<&'a str> {
    words.get(key).and_then(|word| std::str::from_utf8(word.val()?).ok())
}

fn number(words: &TxtProperties, key: &'static str) -> Result<Option<u64>, Unfit> {
    word(words, key).map(|text| text.parse().map_err(|_| Unfit::Word(key))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::mdns::tests::node;

    const MINE: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1))];

    fn note(addresses: &[&str]) -> Result<(Note, Vec<IpAddr>), Unfit> {
        let mut node = node("a", 3);
        node.addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Note::of(&node, "default", LEASE, &MINE)
    }

    fn heard(note: &Note, change: impl FnOnce(&mut Vec<(String, String)>)) -> Result<Heard, Unfit> {
        let info = note.info(&MINE).expect("it can be said");
        let mut words: Vec<_> = info.get_properties().iter().map(|word| (word.key().to_owned(), word.val_str().to_owned())).collect();
        change(&mut words);
        let changed = ServiceInfo::new(SERVICE, &note.id, "a.local.", "10.0.0.1", note.port, &words[..]).expect("it can be said");
        Heard::read(&changed.as_resolved_service(), |_| false)
    }

    #[test]
    fn what_is_said_is_heard() {
        let (said, ips) = note(&["https://10.0.0.1:81", "http://10.0.0.9:1", "unix:/a"]).expect("a host");
        assert_eq!((ips.as_slice(), said.port, said.tls, said.at.clone()), (&MINE[..], 81, true, None));
        assert_eq!(heard(&said, |_| {}).expect("a host").note, said);
    }

    #[test]
    fn an_address_that_is_not_the_machines_is_said_in_words() {
        let (said, ips) = note(&["https://shop.example:443"]).expect("a host");
        assert_eq!((ips.len(), said.port, said.at.as_ref().map(Address::to_string)), (0, 443, Some("https://shop.example:443".into())));
        assert_eq!(heard(&said, |_| {}).expect("a host").note, said);
        let (said, ips) = note(&["http://203.0.113.7:80", "http://10.0.0.1:8080"]).expect("a host");
        assert_eq!((ips.len(), said.port), (1, 8080));
    }

    #[test]
    fn what_nobody_could_reach_is_not_said() {
        assert_eq!(note(&["unix:/a"]), Err(Unfit::Address));
        assert_eq!(Note::of(&node("A.b", 1), "default", LEASE, &[]), Err(Unfit::Id));
    }

    #[test]
    fn garbage_is_not_understood() {
        let (said, _) = note(&["http://10.0.0.1:80"]).expect("a host");
        let set = |key: &'static str, to: &'static str| {
            heard(&said, |words| words.iter_mut().filter(|(word, _)| word == key).for_each(|(_, value)| to.clone_into(value)))
        };
        assert_eq!(set("id", "b"), Err(Unfit::Id));
        assert_eq!(set("revision", "-1"), Err(Unfit::Word("revision")));
        assert_eq!(set("word", "99999999999999999999999"), Err(Unfit::Word("word")));
        assert_eq!(set("lease", "0").expect("a lease that is bounded").note.lease, *LEASES.start());
        assert_eq!(heard(&said, |words| words.push(("at".into(), "unix:/run/a".into()))), Err(Unfit::Word("at")));
        assert_eq!(heard(&said, Vec::clear), Err(Unfit::Id));
    }
}
