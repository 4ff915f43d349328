//! Where a node takes calls.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::HostName;

/// Where a node takes calls, as a URL: `http://10.0.0.5:8080`, `https://…`, `unix:/run/a.sock`, or
/// `nats:SUBJECT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A host and its port, in plain text or by TLS.
    Tcp {
        /// A name, or an IP address; one of version 6 without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Speaks TLS.
        tls: bool,
    },
    /// A socket of the same machine.
    Unix(PathBuf),
    /// A subject of the NATS server by which both hosts find one another. None in settings alone, where it
    /// is that of the host itself.
    Nats(Option<Subject>),
}

/// The subject at which a host takes connections: `microhost.CLUSTER.host.ID`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(String);

/// Bytes of a subject at most.
const MAX_SUBJECT: usize = 255;

impl Subject {
    /// That of the host with this id, of letters, digits, `-` and `_`, in a cluster.
    pub fn of_host(cluster: &HostName, id: &str) -> Subject {
        Subject(format!("microhost.{cluster}.host.{id}"))
    }

    /// Whether it is of a host of this cluster.
    pub fn is_of(&self, cluster: &HostName) -> bool {
        self.0.split('.').nth(1) == Some(cluster.as_str())
    }

    /// Only what a host may listen at: a connection to it is asked for with the rights of whoever reads this,
    /// and not with those of whoever wrote it.
    fn read(text: &str) -> Option<Subject> {
        let plain = |token: &str| !token.is_empty() && token.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        let tokens: Vec<&str> = text.splitn(5, '.').collect();
        let subject = matches!(tokens[..], ["microhost", cluster, "host", id] if plain(cluster) && plain(id));
        (subject && text.len() <= MAX_SUBJECT).then(|| Subject(text.to_owned()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a host: {why}; write http://HOST:PORT, https://HOST:PORT, unix:/PATH or nats:")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let wrong = |why| AddressError { text: text.to_owned(), why };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() { Ok(Address::Unix(path.to_owned())) } else { Err(wrong("the path is not absolute")) };
        }
        if let Some(subject) = text.strip_prefix("nats:") {
            let read = || Subject::read(subject).ok_or_else(|| wrong("it is no subject of a host, which is microhost.CLUSTER.host.ID"));
            return Ok(Address::Nats(if subject.is_empty() { None } else { Some(read()?) }));
        }
        let url = url::Url::parse(text).map_err(|_| wrong("it is no URL"))?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("its scheme is unknown")),
        };
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some()
        {
            return Err(wrong("there is more than a host and a port"));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) => name.to_owned(),
            Some(url::Host::Ipv4(address)) => address.to_string(),
            Some(url::Host::Ipv6(address)) => address.to_string(),
            None => return Err(wrong("it has no host")),
        };
        let port = url.port_or_known_default().ok_or_else(|| wrong("it has no port"))?;
        if port == 0 { Err(wrong("port 0 is nobody's")) } else { Ok(Address::Tcp { host, port, tls }) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                match host.contains(':') {
                    true => write!(f, "{scheme}://[{host}]:{port}"),
                    false => write!(f, "{scheme}://{host}:{port}"),
                }
            }
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Nats(None) => f.write_str("nats:"),
            Address::Nats(Some(subject)) => write!(f, "nats:{subject}"),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Address, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_alike() {
        for text in [
            "http://10.0.0.5:8080",
            "https://a.example:443",
            "http://[fe80::1]:9",
            "unix:/run/a.sock",
            "nats:",
            "nats:microhost.a-b.host.0f_1",
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
        assert_eq!("http://a".parse::<Address>().expect("the usual port").to_string(), "http://a:80");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for text in ["", "a:80", "ftp://a:1", "http://a:1/path", "http://u:p@a:1", "unix:a", "http://a:0", "http://"] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains("unix:/PATH"), "{error}");
        }
    }

    #[test]
    fn nobody_is_sent_to_a_subject_that_is_no_host_s() {
        let long = format!("nats:microhost.a.host.{}", "b".repeat(MAX_SUBJECT));
        for text in
            ["nats:$JS.API.INFO", "nats:microhost.a.host.*", "nats:microhost.a.host.b.c", "nats:microhost.a.host.", "nats:a b", &long]
        {
            text.parse::<Address>().expect_err(text);
        }
        let cluster = |name: &str| name.parse::<HostName>().expect("a name");
        let subject = Subject::of_host(&cluster("a"), "b");
        assert_eq!(format!("nats:{subject}").parse(), Ok(Address::Nats(Some(subject.clone()))));
        assert!(subject.is_of(&cluster("a")) && !subject.is_of(&cluster("b")));
    }
}
