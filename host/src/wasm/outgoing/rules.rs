//! Which addresses a service may reach by a grant.
//!
//! A name says nothing of where it leads: whoever owns it may let it stand for this machine, for one
//! of its neighbours, or for the service that hands out a cloud machine's credentials. So a grant by
//! name is for public addresses, unless it says more; a grant of an address is for that address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::settings::{GrantedHost, HttpGrant};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere on the internet.
    Public,
    /// This machine.
    Loopback,
    /// A network that is somebody's own: RFC 1918, RFC 6598, unique local.
    Private,
    /// Where nobody is to be called by name; what it is.
    Special(&'static str),
}

/// The ports of a grant that names none: those of `http` and `https`.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// The one name that stands for this machine wherever it is written (RFC 6761, section 6.3).
const LOCALHOST: &str = "localhost";

/// Where clouds hand out the credentials of a machine, and what it was started with, other than within
/// the link-local addresses.
const METADATA: [IpAddr; 5] = [
    // AWS and GCP by IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Alibaba, Azure and Oracle.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// What kind of place an address is. What an IPv6 address carries within it decides where there is
/// something: it is where packets end.
pub fn place(address: IpAddr) -> Place {
    if METADATA.contains(&address) {
        return Place::Special("a metadata service");
    }
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => place(IpAddr::V4(inner)),
            None => place_v6(address),
        },
    }
}

/// The IPv4 address within an IPv6 one: mapped and compatible (RFC 4291, section 2.5.5), NAT64
/// (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        // The two that are no address of IPv4.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
            Some(low(a, b))
        }
        _ => None,
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    match address.octets() {
        [0, ..] => Place::Special("an unspecified address"),
        [127, ..] => Place::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Place::Private,
        [169, 254, 169, 254] => Place::Special("a metadata service"),
        [169, 254, ..] => Place::Special("a link-local address"),
        [224..=239, ..] => Place::Special("a multicast address"),
        [255, 255, 255, 255] => Place::Special("the broadcast address"),
        [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Place::Special("a reserved address"),
        _ => Place::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Place::Special("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Loopback,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Place::Private,
        [0xfe80..=0xfebf, ..] => Place::Special("a link-local address"),
        [0xff00..=0xffff, ..] => Place::Special("a multicast address"),
        // Teredo, ORCHID and others of the protocols' own, and those of documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Place::Special("a reserved address"),
        [0x2000..=0x3fff, ..] => Place::Public,
        _ => Place::Special("a reserved address"),
    }
}

/// The grant by which a service may call a host at a port, if there is one.
pub fn find(grants: &[HttpGrant], host: &GrantedHost, port: u16) -> Option<usize> {
    grants.iter().position(|grant| grant.host == *host && at_port(grant, port))
}

fn at_port(grant: &HttpGrant, port: u16) -> bool {
    grant.port.map_or(DEFAULT_PORTS.contains(&port), |granted| granted == port)
}

/// Whether a service that may call a host by `grant`, one of its `grants`, may reach this address for it.
pub fn allows(grants: &[HttpGrant], grant: &HttpGrant, address: IpAddr, port: u16) -> bool {
    // What is granted as it is may be reached whichever name leads there.
    let granted = |host: &dyn Fn(&GrantedHost) -> bool| grants.iter().any(|grant| host(&grant.host) && at_port(grant, port));
    if granted(&|host| *host == GrantedHost::Address(address.to_canonical())) {
        return true;
    }
    match place(address) {
        Place::Public => true,
        Place::Loopback => granted(&|host| matches!(host, GrantedHost::Name(name) if **name == *LOCALHOST)),
        Place::Private => grant.private,
        Place::Special(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(texts: &[&str]) -> Vec<HttpGrant> {
        texts.iter().map(|text| text.parse().expect("a grant")).collect()
    }

    /// Whether the first of the grants allows the address.
    fn allowed(texts: &[&str], address: &str, port: u16) -> bool {
        let grants = grants(texts);
        allows(&grants, &grants[0], address.parse().expect("an address"), port)
    }

    #[test]
    fn hosts_are_granted_with_their_ports() {
        let grants = grants(&["api.example.com", "127.0.0.1:9000"]);
        let found = |host: &str, port: u16| find(&grants, &GrantedHost::parse(host).expect("a host"), port);
        assert_eq!([found("API.example.com", 443), found("api.example.com.", 80), found("127.0.0.1", 9000)], [Some(0), Some(0), Some(1)]);
        assert_eq!([found("example.com", 443), found("api.example.com", 8443), found("127.0.0.1", 80)], [None; 3]);
    }

    const HIDDEN: &[&str] = &[
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "fec0::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2002:c0a8:101::1",
        "2001::1",
        "2001:db8::1",
        "4000::1",
    ];

    #[test]
    fn a_name_reaches_public_addresses_alone() {
        for address in
            ["93.184.216.34", "1.1.1.1", "172.32.0.1", "172.15.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"]
        {
            assert!(allowed(&["api.example.com"], address, 443), "{address}");
        }
        for address in HIDDEN {
            assert!(!allowed(&["api.example.com"], address, 443), "{address}");
        }
    }

    #[test]
    fn private_networks_are_granted_with_the_name_and_nothing_else_is() {
        let inside = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"];
        for address in inside {
            assert!(allowed(&["intranet.example.com@private"], address, 80), "{address}");
        }
        for address in ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "224.0.0.1"] {
            assert!(!allowed(&["intranet.example.com@private"], address, 80), "{address}");
        }
        assert!(allowed(&["intranet.example.com@private"], "1.1.1.1", 80));
    }

    #[test]
    fn a_granted_address_is_reached_whatever_it_is_and_no_other() {
        for address in HIDDEN {
            let text = if address.contains(':') { format!("[{address}]") } else { (*address).to_owned() };
            assert!(allowed(&[&text], address, 80), "{address}");
        }
        assert!(!allowed(&["10.0.0.1"], "10.0.0.2", 80));
        assert!(allowed(&["10.0.0.1"], "::ffff:10.0.0.1", 80), "the same address in other words");
        assert!(allowed(&["db.example.com:8080", "10.0.0.1:8080"], "10.0.0.1", 8080), "by name and address");
        assert!(!allowed(&["db.example.com:8080", "10.0.0.1:9090"], "10.0.0.1", 8080), "another port");
        assert!(!allowed(&["db.example.com:8080", "10.0.0.1"], "10.0.0.1", 8080), "without a port it is for 80 and 443");
    }

    #[test]
    fn localhost_is_this_machine_and_no_private_network() {
        assert!(allowed(&["localhost:9000"], "127.0.0.1", 9000) && allowed(&["localhost:9000"], "::1", 9000));
        assert!(!allowed(&["localhost:9000"], "10.0.0.1", 9000) && !allowed(&["localhost:9000"], "169.254.169.254", 9000));
        assert!(!allowed(&["dev.example.com:9001", "localhost:9000"], "127.0.0.1", 9001));
    }
}
