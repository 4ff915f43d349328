//! The servers of a NATS cluster as a URL names them. What it says of who we are is kept apart, so that it
//! gets into no log.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

/// The port of a server that is named without one.
const USUAL_PORT: u16 = 4222;

/// Servers of one NATS cluster: `nats://HOST`, `tls://USER:PASSWORD@HOST:4222`, or several with commas
/// between: `nats://a,b,c`.
///
/// It is shown without user, password and token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Servers {
    /// URLs of nothing but scheme, host and port.
    addresses: Vec<String>,
    login: Option<Login>,
}

/// Who we are to the servers.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Login {
    /// A name and its password.
    Password(String, String),
    /// A token alone.
    Token(String),
}

/// Text that names no servers. It does not repeat the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no URL of NATS: {0}; write nats://HOST:4222, tls://USER:PASSWORD@HOST:4222, or several with commas between")]
pub struct ServersError(String);

impl Servers {
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }
}

impl FromStr for Servers {
    type Err = ServersError;

    fn from_str(text: &str) -> Result<Servers, ServersError> {
        let mut servers = Servers { addresses: Vec::new(), login: None };
        let mut scheme = None;
        for part in text.split(',').map(str::trim) {
            // Those after the first may leave the scheme away.
            let url = match (part.split_once("://"), scheme) {
                (Some((own, _)), _) => {
                    scheme = Some(own);
                    Url::parse(part)
                }
                (None, Some(scheme)) => Url::parse(&format!("{scheme}://{part}")),
                (None, None) => return Err(ServersError("it begins with neither nats:// nor tls://".to_owned())),
            };
            servers.add(&url.map_err(|error| ServersError(error.to_string()))?)?;
        }
        Ok(servers)
    }
}

impl Servers {
    fn add(&mut self, url: &Url) -> Result<(), ServersError> {
        let wrong = |why: &str| Err(ServersError(why.to_owned()));
        if !matches!(url.scheme(), "nats" | "tls") {
            return wrong("its scheme is neither nats nor tls");
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return wrong("it has no host") };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return wrong("there is more than a host and a port");
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (token, None) => Some(Login::Token(decoded(token))),
            (user, Some(password)) => Some(Login::Password(decoded(user), decoded(password))),
        };
        // NATS has one login for all servers of a client.
        if self.login.is_some() && login.is_some() && self.login != login {
            return wrong("its servers have different users");
        }
        self.login = self.login.take().or(login);
        self.addresses.push(format!("{}://{host}:{}", url.scheme(), url.port().unwrap_or(USUAL_PORT)));
        Ok(())
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addresses.join(","))
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Servers {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn servers_are_read_as_people_write_them() {
        for (text, shown) in [
            ("nats://a", "nats://a:4222"),
            ("tls://a:1", "tls://a:1"),
            ("nats://a,b:2,c/", "nats://a:4222,nats://b:2,nats://c:4222"),
            ("nats://[::1]:5, tls://b", "nats://[::1]:5,tls://b:4222"),
        ] {
            assert_eq!(read(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn who_we_are_is_never_shown() {
        for text in ["nats://ann:s%40cret@a", "nats://s%40cret@a", "nats://ann:s%40cret@a,ann:s%40cret@b"] {
            let servers = read(text);
            assert!(!format!("{servers} {servers:?}").contains("cret"), "{servers:?}");
        }
        assert!(read("nats://ann:s%40cret@a").login() == Some(&Login::Password("ann".into(), "s@cret".into())));
        assert!(read("nats://s%40cret@a").login() == Some(&Login::Token("s@cret".into())));
    }

    #[test]
    fn what_names_no_servers_is_refused_without_being_repeated() {
        for text in [
            "",
            "nats:",
            "ann:cret@a",
            "nats://",
            "http://ann:cret@a",
            "nats://ann:cret@",
            "nats://ann:cret@a/x",
            "nats://ann:cret@a?b",
            "nats://ann:cret@a,bob:cret@b",
            "nats://ann:cret@a:99999",
        ] {
            let error = text.parse::<Servers>().expect_err(text).to_string();
            assert!(error.contains("write nats://HOST") && !error.contains("cret"), "{text}: {error}");
        }
    }
}
