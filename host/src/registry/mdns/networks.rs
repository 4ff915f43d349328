//! Which networks hosts are looked for in, and by which of its addresses a host is best reached.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use if_addrs::{IfAddr, Interface};
use socket2::{Domain, Protocol, Socket, Type};

/// The group that mDNS speaks in (RFC 6762).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// A DNS message that asks nothing: nobody answers it.
const NOTHING: [u8; 12] = [0; 12];

/// How the bridges of container engines and virtual machines, and what hangs on them, are called. Only
/// this machine is behind them: their addresses lead nowhere from elsewhere.
const BRIDGES: [&str; 10] = ["docker", "br-", "virbr", "veth", "cni", "flannel", "cali", "lxc", "lxd", "podman"];

/// Which of the machine's interfaces are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    only: Vec<String>,
    without: Vec<String>,
}

impl Networks {
    /// By the names of interfaces: `eth0`, `eth*` for all that begin so, `!eth1` for all but that one.
    /// Where none is named, or only some that are not to be used, all are that other machines may be
    /// behind, and loopback.
    pub fn named(names: &[impl AsRef<str>]) -> Networks {
        let mut networks = Networks::default();
        for name in names.iter().map(AsRef::as_ref) {
            match name.strip_prefix('!') {
                Some(name) => networks.without.push(name.to_owned()),
                None => networks.only.push(name.to_owned()),
            }
        }
        networks
    }

    /// Whether hosts are looked for on this one. On a tunnel only where it is named: one other machine is
    /// behind it, or the network of a provider, which carries no multicast.
    pub fn take(&self, interface: &Interface) -> bool {
        self.reach(interface) && (!interface.is_p2p() || !self.only.is_empty())
    }

    /// Whether other machines may be behind this one.
    pub fn reach(&self, interface: &Interface) -> bool {
        let among = |names: &[String]| names.iter().any(|name| matches(name, &interface.name));
        if among(&self.without) {
            return false;
        }
        if !self.only.is_empty() {
            return among(&self.only);
        }
        !BRIDGES.iter().any(|bridge| interface.name.starts_with(bridge))
    }

    /// Those of the machine that are used and up.
    pub fn of_this_machine(&self) -> Vec<Interface> {
        let all = if_addrs::get_if_addrs().unwrap_or_default();
        all.into_iter().filter(|interface| self.take(interface)).collect()
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// How far multicast reaches from this machine.
#[derive(Debug)]
pub enum Reach {
    /// Other machines, on the interfaces of these names.
    Network(Vec<String>),
    /// This machine only, for this reason.
    Machine(String),
    /// Nobody, for this reason.
    Nobody(String),
}

/// Tries to speak to the group on each interface. What becomes of it in the network nobody can tell.
pub fn reach(interfaces: &[Interface], port: u16) -> Reach {
    let (mut networks, mut loopback, mut refused) = (Vec::new(), false, Vec::new());
    for interface in interfaces {
        let IpAddr::V4(ip) = interface.ip() else {
            // Whoever speaks version 6 alone is heard by it; whether it works cannot be tried without noise.
            if !interface.is_loopback() {
                networks.push(interface.name.clone());
            }
            continue;
        };
        match speak(ip, port) {
            Ok(()) if interface.is_loopback() => loopback = true,
            Ok(()) => networks.push(interface.name.clone()),
            Err(error) => refused.push(format!("{} ({ip}): {error}", interface.name)),
        }
    }
    networks.sort_unstable();
    networks.dedup();
    let why = if refused.is_empty() { "there is no network to use".to_owned() } else { refused.join(", ") };
    match (networks.is_empty(), loopback) {
        (false, _) => Reach::Network(networks),
        (true, true) => Reach::Machine(why),
        (true, false) => Reach::Nobody(why),
    }
}

fn speak(ip: Ipv4Addr, port: u16) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.join_multicast_v4(&GROUP, &ip)?;
    socket.set_multicast_if_v4(&ip)?;
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    socket.send_to(&NOTHING, &SocketAddrV4::new(GROUP, port).into()).map(drop)
}

/// Whether this process runs in a container, whose network often carries no multicast.
pub fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|file| std::path::Path::new(file).exists())
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// An address of a host, and the interface on which it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub ip: IpAddr,
    /// The name of the interface.
    pub interface: String,
    /// It is a loopback interface: heard from this machine alone.
    pub loopback: bool,
}

impl Place {
    /// The address as connections are opened to it.
    pub fn host(&self) -> String {
        match self.ip {
            // The same address may be on each network.
            IpAddr::V6(ip) if ip.is_unicast_link_local() => format!("{ip}%{}", self.interface),
            ip => ip.to_string(),
        }
    }
}

/// The most promising first, and without what leads nowhere: an address such as 127.0.0.1 that came over
/// a network would lead to this machine.
pub fn ordered(mut places: Vec<Place>, mine: &[Interface]) -> Vec<Place> {
    places.retain(|place| !place.ip.is_unspecified() && !place.ip.is_multicast() && (place.loopback || !place.ip.is_loopback()));
    places.sort_by_key(|place| (rank(place.ip, mine), place.ip));
    places.dedup_by(|one, other| one.host() == other.host());
    places
}

fn rank(ip: IpAddr, mine: &[Interface]) -> u8 {
    let here = ip.is_loopback() || mine.iter().any(|interface| interface.ip() == ip);
    let near = mine.iter().any(|interface| same_network(&interface.addr, ip));
    match ip {
        _ if here => 0,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 5,
        IpAddr::V4(_) if near => 1,
        IpAddr::V6(_) if near => 2,
        IpAddr::V4(_) => 3,
        IpAddr::V6(_) => 4,
    }
}

fn same_network(interface: &IfAddr, ip: IpAddr) -> bool {
    match (interface, ip) {
        (IfAddr::V4(mine), IpAddr::V4(ip)) => mine.ip.to_bits() & mine.netmask.to_bits() == ip.to_bits() & mine.netmask.to_bits(),
        (IfAddr::V6(mine), IpAddr::V6(ip)) => mine.ip.to_bits() & mine.netmask.to_bits() == ip.to_bits() & mine.netmask.to_bits(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr};

    use super::*;

    fn interface(name: &str, ip: [u8; 4], is_p2p: bool) -> Interface {
        let addr = Ifv4Addr { ip: ip.into(), netmask: [255, 255, 255, 0].into(), prefixlen: 24, broadcast: None };
        Interface { name: name.into(), addr: IfAddr::V4(addr), index: Some(1), oper_status: IfOperStatus::Up, is_p2p }
    }

    fn place(ip: &str, loopback: bool) -> Place {
        Place { ip: ip.parse().expect("an address"), interface: "eth0".into(), loopback }
    }

    #[test]
    fn networks_that_only_this_machine_is_on_are_not_used_unless_named() {
        let usual = Networks::default();
        let names = [("lo", true), ("eth0", true), ("wlan0", true), ("docker0", false), ("br-4f1c", false), ("veth12", false)];
        for (name, used) in names {
            assert_eq!(usual.take(&interface(name, [10, 0, 0, 1], false)), used, "{name}");
        }
        let tunnel = interface("tun0", [10, 0, 0, 1], true);
        assert!(!usual.take(&tunnel) && usual.reach(&tunnel) && Networks::named(&["tun*"]).take(&tunnel));
        assert!(Networks::named(&["docker0"]).take(&interface("docker0", [10, 0, 0, 1], false)));
    }

    #[test]
    fn interfaces_are_named_or_excluded() {
        let takes = |names: &[&str], name| Networks::named(names).take(&interface(name, [10, 0, 0, 1], false));
        assert!(takes(&["eth*"], "eth1") && !takes(&["eth*"], "wlan0"));
        assert!(takes(&["eth*", "!eth1"], "eth0") && !takes(&["eth*", "!eth1"], "eth1"));
        assert!(takes(&["!eth1"], "wlan0") && !takes(&["!eth1"], "eth1"));
    }

    #[test]
    fn the_nearest_address_comes_first() {
        let mine = [interface("eth0", [10, 0, 0, 1], false)];
        let all = ["fe80::1", "192.168.1.1", "10.0.0.7", "10.0.0.1", "2001:db8::1"].map(|ip| place(ip, false));
        let order: Vec<String> = ordered(all.to_vec(), &mine).iter().map(Place::host).collect();
        assert_eq!(order, ["10.0.0.1", "10.0.0.7", "192.168.1.1", "2001:db8::1", "fe80::1%eth0"]);
    }

    #[test]
    fn loopback_is_believed_over_loopback_alone() {
        let all = vec![place("127.0.0.1", false), place("0.0.0.0", false), place("224.0.0.1", false)];
        assert_eq!(ordered(all, &[]), []);
        assert_eq!(ordered(vec![place("127.0.0.1", true)], &[]).len(), 1);
    }

    #[test]
    fn multicast_reaches_at_least_this_machine() {
        let reach = reach(&Networks::named(&["lo"]).of_this_machine(), 5353);
        assert!(matches!(reach, Reach::Machine(_)), "{reach:?}");
    }

    #[test]
    fn without_interfaces_nobody_is_reached() {
        assert!(matches!(reach(&[], 5353), Reach::Nobody(why) if why.contains("no network")));
    }
}
