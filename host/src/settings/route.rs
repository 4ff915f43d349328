//! Where a service answers plain HTTP: a prefix of the path, by whole segments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// The host's own paths; no service has a route there.
const RESERVED: &str = "/_microhost";

/// A prefix of paths: `/` is every path, `/api` is `/api` itself and all below it, not `/apis`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRoute(Box<str>);

impl HttpRoute {
    /// Whether a path is under the route.
    pub fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(self.prefix()) {
            Some(rest) => rest.starts_with('/') || (rest.is_empty() && !path.is_empty()),
            None => false,
        }
    }

    /// The route as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the slash of the root, so that what follows a prefix begins with one.
    fn prefix(&self) -> &str {
        if &*self.0 == "/" { "" } else { &self.0 }
    }
}

impl Default for HttpRoute {
    fn default() -> HttpRoute {
        HttpRoute("/".into())
    }
}

impl fmt::Display for HttpRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HttpRoute {
    type Err = String;

    fn from_str(text: &str) -> Result<HttpRoute, String> {
        let path = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
        if !path.starts_with('/') {
            return Err(format!("a route begins with a slash, such as \"/api\", got {text:?}"));
        }
        // Compared with paths as clients send them, byte by byte.
        if text.contains("//") || path.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#' | b'*' | b'{' | b'}')) {
            return Err(format!("a route is a plain path, such as \"/api\", without patterns, spaces or a query, got {text:?}"));
        }
        let route = HttpRoute(path.into());
        if HttpRoute(RESERVED.into()).covers(path) {
            return Err(format!("{RESERVED} is the host's own; choose another route than {text:?}"));
        }
        Ok(route)
    }
}

impl<'de> Deserialize<'de> for HttpRoute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HttpRoute, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> HttpRoute {
        text.parse().expect("a route")
    }

    #[test]
    fn a_route_covers_whole_segments() {
        for path in ["/api", "/api/", "/api/a/b"] {
            assert!(route("/api").covers(path) && route("/api/").covers(path) && route("/").covers(path), "{path}");
        }
        for path in ["/", "/apis", "/ap", "/x/api", "", "*"] {
            assert!(!route("/api").covers(path), "{path}");
        }
        assert!(route("/").covers("/") && !route("/").covers("*") && !route("/").covers(""));
    }

    #[test]
    fn what_is_no_path_or_the_hosts_own_is_refused() {
        for text in ["", "api", "/a b", "/a?b", "/{id}", "/a/*", "//", "/a//b", "/_microhost", "/_microhost/x"] {
            assert!(text.parse::<HttpRoute>().is_err(), "{text:?}");
        }
        assert_eq!(route("/_microhosts").as_str(), "/_microhosts");
    }
}
