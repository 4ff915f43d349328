//! Where others reach this host: what the user says, else what the machine has, now and as it changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use crate::registry::mdns::Networks;
use crate::registry::{MAX_ADDRESSES, machine};
use crate::settings::{Address, Cluster};

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
}

impl Listening {
    /// A host that listens at `bound`, by TLS or without, and at these sockets.
    pub fn new(cluster: &Cluster, bound: Option<SocketAddr>, tls: bool, sockets: Vec<PathBuf>) -> Listening {
        Listening { advertise: cluster.advertise.clone(), bound, tls, sockets, networks: Networks::named(&cluster.interfaces) }
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
    /// everywhere, those of the machine that others may have a way to. The sockets come last, as they are
    /// for this machine alone: hosts there prefer them by themselves.
    pub fn addresses(&self) -> Vec<Address> {
        let network = match self.bound {
            _ if !self.advertise.is_empty() => self.advertise.clone(),
            None => Vec::new(),
            Some(bound) if !bound.ip().is_unspecified() => vec![self.at(bound, bound.ip())],
            Some(bound) => self.everywhere(bound),
        };
        // Where the machine cannot be told apart from others, sockets would lead them to somebody else.
        let sockets = self.sockets.iter().filter(|_| machine().is_some()).map(|path| Address::Unix(path.clone()));
        let mut all: Vec<Address> = network.into_iter().take(MAX_ADDRESSES).chain(sockets).collect();
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
        Listening::new(&toml::from_str(cluster).expect("settings"), bound, false, sockets.iter().map(PathBuf::from).collect())
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
}
