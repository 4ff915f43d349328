//! Hosts that a service may call by HTTP, as the user writes them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// What a name has behind it where it may also stand for a private address.
const PRIVATE: &str = "private";

/// The longest name that DNS has (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// A host that a service may call: `api.example.com`, `127.0.0.1:9000`, `[::1]:9000`,
/// `intranet.example.com@private`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// The host.
    pub host: GrantedHost,
    /// The port; without, the ones of the schemes: 80 for `http`, 443 for `https`.
    pub port: Option<u16>,
    /// The name may stand for addresses of private networks too.
    pub private: bool,
}

/// A host by name or by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantedHost {
    /// In lower case, without a dot at the end.
    Name(Box<str>),
    /// An IPv4 address that is written as an IPv6 one is kept as IPv4.
    Address(IpAddr),
}

impl GrantedHost {
    /// Reads a host as it stands in a URL: an IPv6 address in brackets.
    pub fn parse(text: &str) -> Option<GrantedHost> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(GrantedHost::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let whole = name.split('.').all(|label| !label.is_empty());
        (whole && name.len() <= MAX_NAME && name.bytes().all(plain)).then(|| GrantedHost::Name(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for GrantedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrantedHost::Name(name) => f.write_str(name),
            GrantedHost::Address(IpAddr::V4(address)) => address.fmt(f),
            GrantedHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.private { write!(f, "@{PRIVATE}") } else { Ok(()) }
    }
}

impl FromStr for HttpGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<HttpGrant, String> {
        let expected =
            || format!("expected a host such as api.example.com, api.example.com:8443, 127.0.0.1:9000 or [::1]:9000, got {text:?}");
        if text.contains("://") || text.contains('/') {
            return Err(format!("{text:?} is a URL; a grant is for a host: {}", expected()));
        }
        let (at, private) = match text.split_once('@') {
            Some((at, PRIVATE)) => (at, true),
            Some((_, other)) => return Err(format!("expected @{PRIVATE} or nothing behind the host, got @{other}")),
            None => (text, false),
        };
        // An IPv6 address without brackets has colons of its own, and no port.
        let (host, port) = match at.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (at, None),
        };
        let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(expected)).transpose()?;
        let host = GrantedHost::parse(host).ok_or_else(expected)?;
        if private && matches!(host, GrantedHost::Address(_)) {
            return Err(format!("an address is granted as it is, whatever network it is of: leave @{PRIVATE} out of {text:?}"));
        }
        Ok(HttpGrant { host, port, private })
    }
}

impl<'de> Deserialize<'de> for HttpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HttpGrant, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_and_written_alike() {
        for text in [
            "api.example.com",
            "api.example.com:8443",
            "127.0.0.1",
            "127.0.0.1:9000",
            "[::1]",
            "[::1]:9000",
            "localhost:80",
            "intranet.example.com@private",
            "intranet.example.com:8080@private",
        ] {
            assert_eq!(text.parse::<HttpGrant>().expect(text).to_string(), text);
        }
        let same = |a: &str, b: &str| assert_eq!(a.parse::<HttpGrant>(), b.parse::<HttpGrant>());
        same("API.Example.com.", "api.example.com");
        same("::1", "[::1]");
        same("[::ffff:10.0.0.1]:80", "10.0.0.1:80");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "https://api.example.com",
            "api.example.com/x",
            "a b",
            "a:b",
            "a:0",
            "a:70000",
            "*",
            "*.example.com",
            "a..b",
            "a@public",
            "10.0.0.1@private",
            "user@host",
            "[::1",
        ] {
            assert!(text.parse::<HttpGrant>().is_err(), "{text:?}");
        }
    }
}
