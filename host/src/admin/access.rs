//! Who may read what a host tells of itself: this machine, and whoever has the token. And who may use
//! the admin API over the listener: whoever has the token, and nobody else.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
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
    /// It comes from this machine, on behalf of a page of the web.
    Page,
    /// Only a token opens this, and none is set.
    Closed,
}

impl Refused {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Refused::Token => StatusCode::UNAUTHORIZED,
            Refused::Elsewhere | Refused::Page | Refused::Closed => StatusCode::FORBIDDEN,
        }
    }

    /// What the caller is told.
    pub fn what_to_do(self) -> &'static str {
        match self {
            Refused::Token => "send the host's admin token: authorization: Bearer TOKEN",
            Refused::Elsewhere => {
                "only for requests from the host's own machine; to allow others, set admin-token under [listen] and send it as a bearer token"
            }
            Refused::Page => {
                "pages of the web may not read this: ask for the host by localhost or its address and without an Origin, or set admin-token under [listen] and send it as a bearer token"
            }
            Refused::Closed => {
                "the admin API is reached by the host's Unix socket; to reach it here, set admin-token under [listen] and send it as a bearer token"
            }
        }
    }
}

impl Access {
    /// The rule for a host with this token, or with none.
    pub fn new(token: Option<&str>) -> Access {
        Access { digest: token.map(|token| blake3::hash(token.as_bytes())) }
    }

    /// Whether a peer may read, by the request's head. This machine may, unless it says that it asks for
    /// another: whoever comes through a proxy here is not from here, and neither is a page of the web
    /// that a browser here shows.
    pub fn check(&self, peer: IpAddr, head: &Parts) -> Result<(), Refused> {
        let is_here = peer.to_canonical().is_loopback() && !FORWARDED.iter().any(|name| head.headers.contains_key(name));
        if is_here && !is_page(head) {
            return Ok(());
        }
        self.token(&head.headers).map_err(|refused| match refused {
            Refused::Closed if is_here => Refused::Page,
            Refused::Closed => Refused::Elsewhere,
            other => other,
        })
    }

    /// Whether a request may read what is told to other hosts. Any host may; a page of the web, in the
    /// browser of somebody who can reach this host, may not.
    pub fn host(&self, head: &Parts) -> Result<(), Refused> {
        if is_foreign(head) { self.token(&head.headers).map_err(|_| Refused::Page) } else { Ok(()) }
    }

    /// Whether a request has the token: what the admin API asks of everyone, as another user of this
    /// machine, or a program that a page talked into it, comes from here too.
    pub fn token(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(digest) = &self.digest else { return Err(Refused::Closed) };
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())).ok_or(Refused::Token)?;
        // `Hash` compares in constant time.
        if blake3::hash(given) == *digest { Ok(()) } else { Err(Refused::Token) }
    }
}

/// Whether a request may come from a page of the web. Browsers put an `Origin` or `Sec-Fetch-Site` on
/// what a page asks of another site; and a page that had its own name lead to this machine (DNS
/// rebinding) asks for that name.
fn is_page(head: &Parts) -> bool {
    let host = head.uri.host().map(str::to_owned).or_else(|| {
        let authority: Authority = head.headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        Some(authority.host().to_owned())
    });
    is_foreign(head) || !host.is_some_and(|host| is_of_this_machine(&host))
}

/// Whether a browser says that a page of another site asks.
fn is_foreign(head: &Parts) -> bool {
    let of_another = |site: &http::HeaderValue| !matches!(site.as_bytes(), b"none" | b"same-origin");
    head.headers.contains_key(ORIGIN) || head.headers.get("sec-fetch-site").is_some_and(of_another)
}

/// Whether a name in a request can only mean this machine, or is an address, which no page can have
/// lead elsewhere.
fn is_of_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    bare.parse::<IpAddr>().is_ok() || last.eq_ignore_ascii_case("localhost")
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

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn request(headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(http::Request::get("/"), |request, (name, value)| request.header(*name, *value));
        request.body(()).expect("a valid request").into_parts().0
    }

    fn with(authorization: &str) -> Parts {
        request(&[("host", "127.0.0.1:8080"), ("authorization", authorization)])
    }

    #[test]
    fn this_machine_may_always_read() {
        for here in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())] {
            for host in ["127.0.0.1:8080", "localhost", "[::1]:8080", "a.localhost:80", "10.0.0.7"] {
                for token in [None, Some("s3cret")] {
                    assert_eq!(Access::new(token).check(here, &request(&[("host", host)])), Ok(()), "{host}");
                }
            }
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
        assert_eq!(access.check(ELSEWHERE, &request(&[])), Err(Refused::Token));
    }

    #[test]
    fn a_forwarded_address_makes_nobody_local_and_a_proxy_s_clients_remote() {
        let forwarded = request(&[("host", "127.0.0.1"), ("x-forwarded-for", "127.0.0.1")]);
        for peer in [ELSEWHERE, HERE] {
            assert_eq!(Access::new(None).check(peer, &forwarded), Err(Refused::Elsewhere));
        }
    }

    #[test]
    fn a_page_of_the_web_in_a_browser_here_is_not_from_here() {
        for headers in [
            &[("host", "127.0.0.1:8080"), ("origin", "https://evil.example")][..],
            &[("host", "127.0.0.1:8080"), ("origin", "null")],
            &[("host", "127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
            &[("host", "rebound.evil.example:8080")],
            &[("host", "localhost.evil.example")],
            &[("host", "127.0.0.1.evil.example")],
            &[],
        ] {
            assert_eq!(Access::new(None).check(HERE, &request(headers)), Err(Refused::Page), "{headers:?}");
            assert_eq!(Access::new(Some("s3cret")).check(HERE, &request(headers)), Err(Refused::Token), "{headers:?}");
        }
        let of_http2 = http::Request::get("http://rebound.evil.example/").body(()).expect("valid").into_parts().0;
        assert_eq!(Access::new(None).check(HERE, &of_http2), Err(Refused::Page));
    }

    #[test]
    fn other_hosts_may_ask_without_a_token_and_pages_of_the_web_may_not() {
        let access = Access::new(Some("s3cret"));
        assert_eq!(access.host(&request(&[("host", "payments.internal:8080")])), Ok(()));
        for page in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            assert_eq!(access.host(&request(&[("host", "10.0.0.7"), page])), Err(Refused::Page));
            assert_eq!(access.host(&request(&[("authorization", "Bearer s3cret"), page])), Ok(()));
        }
    }

    #[test]
    fn the_api_opens_by_the_token_alone() {
        assert_eq!(Access::new(None).token(&with("Bearer s3cret").headers), Err(Refused::Closed));
        let access = Access::new(Some("s3cret"));
        assert_eq!(access.token(&with("Bearer s3cret").headers), Ok(()));
        assert_eq!(access.token(&request(&[("host", "localhost")]).headers), Err(Refused::Token));
    }
}
