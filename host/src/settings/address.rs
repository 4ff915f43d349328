//! Where a node takes calls.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a node takes calls, as a URL: `http://10.0.0.5:8080`, `https://…`, or `unix:/run/a.sock`.
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
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a host: {why}; write http://HOST:PORT, https://HOST:PORT or unix:/PATH")]
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
        for text in ["http://10.0.0.5:8080", "https://a.example:443", "http://[fe80::1]:9", "unix:/run/a.sock"] {
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
}
