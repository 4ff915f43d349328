//! Where others reach this host: what the user says, else what the machine has, now and as it changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use crate::registry::mdns::Networks;
use crate::registry::{MAX_ADDRESSES, machine};
use crate::settings::{Address, Cluster, Subject};

/// Where a host listens, and what its user says of that.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Where others are to reach it, if its user says so.
    advertise: Vec<Address>,
    /// The address of the network, if any.
    bound: Option<SocketAddr>,
    tls: bool,
    /// The sockets of this machine.
    sockets: Vec<PathBuf>,
    networks: Networks,
    /// Where it may be reached by NATS.
    subject: Option<Subject>,
}

impl Listening {
    /// A host that listens at `bound`, by TLS or without, at these sockets, and may at this subject of NATS.
    pub fn new(cluster: &Cluster, bound: Option<SocketAddr>, tls: bool, sockets: Vec<PathBuf>, subject: Option<Subject>) -> Listening {
        // `nats:` is what a user writes, who does not know the subject.
        let own = |address: &Address| match address {
            Address::Nats(_) => subject.clone().map(|subject| Address::Nats(Some(subject))),
            other => Some(other.clone()),
        };
        let advertise = cluster.advertise.iter().filter_map(own).collect();
        Listening { advertise, bound, tls, sockets, networks: Networks::named(&cluster.interfaces), subject }
    }

    /// Whether others are told that it is reached by NATS.
    pub fn is_reached_by_nats(&self) -> bool {
        self.subject.is_some() && (self.advertise.is_empty() || self.advertise.iter().any(|address| matches!(address, Address::Nats(_))))
    }

    /// Whether its addresses may be others at another time: where it listens everywhere.
    pub fn may_change(&self) -> bool {
        self.advertise.is_empty() && self.bound.is_some_and(|bound| bound.ip().is_unspecified())
    }

    /// Whether its user says where others are to reach it.
    pub fn is_advertised(&self, address: &Address) -> bool {
        self.advertise.contains(address)
    }

    /// Where others reach it: what the user says; else the address that it listens at, or, where it listens
    /// everywhere, those of the machine that others may have a way to, and then the subject of NATS. The sockets
    /// come last, as they are for this machine alone: hosts there prefer them by themselves.
    pub fn addresses(&self) -> Vec<Address> {
        let network = match self.bound {
            _ if !self.advertise.is_empty() => self.advertise.clone(),
            None => Vec::new(),
            Some(bound) if !bound.ip().is_unspecified() => vec![self.at(bound, bound.ip())],
            Some(bound) => self.everywhere(bound),
        };
        // Where the machine cannot be told apart from others, sockets would lead them to somebody else.
        let sockets = self.sockets.iter().filter(|_| machine().is_some()).map(|path| Address::Unix(path.clone()));
        let by_nats = self.subject.clone().filter(|_| self.advertise.is_empty()).map(|subject| Address::Nats(Some(subject)));
        let network = network.into_iter().take(MAX_ADDRESSES - usize::from(by_nats.is_some()));
        let mut all: Vec<Address> = network.chain(by_nats).chain(sockets).collect();
        all.truncate(MAX_ADDRESSES);
        all
    }

    fn at(&self, bound: SocketAddr, ip: IpAddr) -> Address {
        Address::Tcp { host: ip.to_string(), port: bound.port(), tls: self.tls }
    }

    fn everywhere(&self, bound: SocketAddr) -> Vec<Address> {
        let mut found: Vec<IpAddr> = self.interfaces().into_iter().filter(|ip| bound.is_ipv6() || ip.is_ipv4()).collect();
        // The fewest surprises first: what has a way out, then the rest.
        let way_out = way_out();
        found.sort_by_key(|ip| (Some(*ip) != way_out, ip.is_ipv6(), *ip));
        found.dedup();
        if found.is_empty() {
            found.push(if bound.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        }
        found.into_iter().map(|ip| self.at(bound, ip)).collect()
    }

    /// The addresses of the machine's interfaces, without those that nobody else can have a way to:
    /// loopback, link-local ones of version 6, which need a scope, and bridges of containers.
    fn interfaces(&self) -> Vec<IpAddr> {
        let Ok(all) = if_addrs::get_if_addrs() else { return Vec::new() };
        let all = all.into_iter().filter(|interface| !interface.is_loopback() && self.networks.reach(interface));
        all.map(|interface| interface.ip()).filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())).collect()
    }
}

/// The address that this machine has towards others. Nothing is sent for it.
fn way_out() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Of the block for documentation (RFC 5737): it is routed as any other address outside is.
    socket.connect(("203.0.113.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(cluster: &str, bound: Option<&str>, sockets: &[&str]) -> Listening {
        let bound = bound.map(|bound| bound.parse().expect("an address"));
        Listening::new(&toml::from_str(cluster).expect("settings"), bound, false, sockets.iter().map(PathBuf::from).collect(), None)
    }

    fn told(listening: &Listening) -> Vec<String> {
        listening.addresses().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_address_is_told_as_it_is_and_what_the_user_says_before_all() {
        let one = listening("", Some("10.0.0.1:80"), &[]);
        assert_eq!((told(&one), one.may_change()), (vec!["http://10.0.0.1:80".to_owned()], false));
        let said = listening("advertise = [\"http://shop.example:80\"]", Some("0.0.0.0:80"), &[]);
        assert_eq!((told(&said), said.may_change()), (vec!["http://shop.example:80".to_owned()], false));
        assert!(said.is_advertised(&said.addresses()[0]) && !one.is_advertised(&one.addresses()[0]));
    }

    #[test]
    fn a_host_that_listens_everywhere_tells_no_address_that_stands_for_all() {
        for bound in ["0.0.0.0:80", "[::]:80"] {
            let all = listening("", Some(bound), &[]);
            let told = told(&all);
            assert!(all.may_change() && !told.is_empty(), "{told:?}");
            assert!(!told.iter().any(|url| url.contains("0.0.0.0") || url.contains("[::]")), "{told:?}");
        }
        let nowhere = listening("interfaces = [\"none0\"]", Some("0.0.0.0:80"), &[]);
        assert_eq!(told(&nowhere), ["http://127.0.0.1:80"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sockets_come_after_the_addresses_of_the_network_and_may_be_all_there_is() {
        assert_eq!(told(&listening("", Some("10.0.0.1:80"), &["/a", "/b"])), ["http://10.0.0.1:80", "unix:/a", "unix:/b"]);
        assert_eq!(told(&listening("", None, &["/a"])), ["unix:/a"]);
    }

    #[test]
    fn a_host_tells_that_it_is_reached_by_nats_last_unless_the_user_says_where_it_is() {
        const BY_NATS: &str = "nats:microhost.a.host.b";
        let subject = Subject::of_host(&"a".parse().expect("a name"), "b");
        for (cluster, expected) in [
            ("", &["http://10.0.0.1:80", BY_NATS][..]),
            ("advertise = [\"http://10.0.0.5:80\"]", &["http://10.0.0.5:80"]),
            ("advertise = [\"nats:\"]", &[BY_NATS]),
            ("advertise = [\"nats:\", \"http://10.0.0.5:80\"]", &[BY_NATS, "http://10.0.0.5:80"]),
        ] {
            let cluster = toml::from_str(cluster).expect("settings");
            let bound = Some("10.0.0.1:80".parse().expect("an address"));
            let of = Listening::new(&cluster, bound, false, Vec::new(), Some(subject.clone()));
            let expected: Vec<String> = expected.iter().map(|url| (*url).to_owned()).collect();
            assert_eq!((told(&of), of.is_reached_by_nats()), (expected.clone(), expected.iter().any(|url| url == BY_NATS)));
        }
    }
}
