//! Who may read what a host tells of itself: this machine, and whoever has the token.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};

/// What proxies say of whom they ask for. It is believed only to somebody's disadvantage.
const FORWARDED: [HeaderName; 3] =
    [HeaderName::from_static("forwarded"), HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// The rule of access, with the token if one is set.
pub struct Access {
    /// Only the digest: comparing digests takes the same time wherever the tokens differ.
    digest: Option<blake3::Hash>,
}

/// Why a peer may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A token is set, and the request has none or another.
    Token,
    /// No token is set, and the peer is another machine.
    Elsewhere,
}

impl Refused {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Refused::Token => StatusCode::UNAUTHORIZED,
            Refused::Elsewhere => StatusCode::FORBIDDEN,
        }
    }

    /// What the caller is told.
    pub fn what_to_do(self) -> &'static str {
        match self {
            Refused::Token => "send the host's admin token: authorization: Bearer TOKEN",
            Refused::Elsewhere => {
                "only for requests from the host's own machine; to allow others, set admin-token under [listen] and send it as a bearer token"
            }
        }
    }
}

impl Access {
    /// The rule for a host with this token, or with none.
    pub fn new(token: Option<&str>) -> Access {
        Access { digest: token.map(|token| blake3::hash(token.as_bytes())) }
    }

    /// Whether a peer may read. This machine may, unless it says that it asks for another: whoever
    /// comes through a proxy here is not from here.
    pub fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Refused> {
        if peer.to_canonical().is_loopback() && !FORWARDED.iter().any(|name| headers.contains_key(name)) {
            return Ok(());
        }
        let Some(digest) = &self.digest else { return Err(Refused::Elsewhere) };
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())).ok_or(Refused::Token)?;
        // `Hash` compares in constant time.
        if blake3::hash(given) == *digest { Ok(()) } else { Err(Refused::Token) }
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn with(authorization: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(authorization))])
    }

    #[test]
    fn this_machine_may_always_read() {
        for here in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())] {
            assert_eq!(Access::new(None).check(here, &HeaderMap::new()), Ok(()));
            assert_eq!(Access::new(Some("s3cret")).check(here, &HeaderMap::new()), Ok(()));
        }
    }

    #[test]
    fn others_are_refused_where_no_token_is_set_whatever_they_send() {
        assert_eq!(Access::new(None).check(ELSEWHERE, &with("Bearer ")), Err(Refused::Elsewhere));
    }

    #[test]
    fn others_need_the_very_token() {
        let access = Access::new(Some("s3cret"));
        assert_eq!(access.check(ELSEWHERE, &with("Bearer s3cret")), Ok(()));
        assert_eq!(access.check(ELSEWHERE, &with("bearer s3cret")), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer", "Basic s3cret", ""] {
            assert_eq!(access.check(ELSEWHERE, &with(wrong)), Err(Refused::Token), "{wrong:?}");
        }
        assert_eq!(access.check(ELSEWHERE, &HeaderMap::new()), Err(Refused::Token));
    }

    #[test]
    fn a_forwarded_address_makes_nobody_local_and_a_proxy_s_clients_remote() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", http::HeaderValue::from_static("127.0.0.1"));
        for peer in [ELSEWHERE, IpAddr::V4(Ipv4Addr::LOCALHOST)] {
            assert_eq!(Access::new(None).check(peer, &headers), Err(Refused::Elsewhere));
        }
    }
}
