//! Where a host listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// One place to listen at: `127.0.0.1:8080`, `[::]:8080` or `unix:/run/shop.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address of the network and a port.
    Tcp(SocketAddr),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err("unix: needs a path, such as unix:/run/shop.sock".to_owned())
            } else {
                Ok(Place::Unix(path.into()))
            };
        }
        text.parse().map(Place::Tcp).map_err(|_| {
            "expected an IP address and a port, such as 127.0.0.1:8080 or [::]:8080, or a socket, such as unix:/run/shop.sock".to_owned()
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where a host listens: at one address of the network at most, and at any number of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The address and port.
    pub tcp: Option<SocketAddr>,
    /// The sockets of this machine.
    pub unix: Vec<PathBuf>,
}

impl Places {
    /// All of these. Fails where there is none, or more than one address of the network.
    pub fn of(places: impl IntoIterator<Item = Place>) -> Result<Places, String> {
        let mut all = Places { tcp: None, unix: Vec::new() };
        for place in places {
            match (place, all.tcp) {
                (Place::Tcp(second), Some(first)) => {
                    return Err(format!(
                        "a host listens at one address of the network, beside sockets of its machine: choose {first} or {second}, or one that stands for all, such as 0.0.0.0:8080"
                    ));
                }
                (Place::Tcp(address), None) => all.tcp = Some(address),
                (Place::Unix(path), _) if all.unix.contains(&path) => {
                    return Err(format!("unix:{} is named twice", path.display()));
                }
                (Place::Unix(path), _) => all.unix.push(path),
            }
        }
        if all.tcp.is_none() && all.unix.is_empty() {
            return Err("a host listens somewhere: name an address such as 127.0.0.1:8080".to_owned());
        }
        Ok(all)
    }

    /// The same, with its paths relative to this folder.
    #[must_use]
    pub fn at(mut self, base: &Path) -> Places {
        for path in &mut self.unix {
            *path = base.join(&path);
        }
        self
    }
}

impl From<SocketAddr> for Places {
    fn from(address: SocketAddr) -> Places {
        Places { tcp: Some(address), unix: Vec::new() }
    }
}

/// What the settings may say: one place, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an address such as \"127.0.0.1:8080\" or \"unix:/run/shop.sock\", or a list of them")]
enum Said {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Places, D::Error> {
        let said = match Said::deserialize(deserializer)? {
            Said::One(text) => vec![text],
            Said::Several(texts) => texts,
        };
        let places: Result<Vec<Place>, String> =
            said.iter().map(|text| text.parse().map_err(|why| format!("{text:?} is nowhere to listen at: {why}"))).collect();
        places.and_then(Places::of).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &str) -> Result<Places, String> {
        #[derive(Deserialize)]
        struct Table {
            address: Places,
        }
        toml::from_str::<Table>(&format!("address = {said}")).map(|table| table.address).map_err(|error| error.to_string())
    }

    #[test]
    fn one_address_of_the_network_and_any_number_of_sockets_may_be_named() {
        let tcp: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(read("\"127.0.0.1:8080\""), Ok(tcp.into()));
        assert_eq!(read("\"unix:a.sock\""), Ok(Places { tcp: None, unix: vec!["a.sock".into()] }));
        let all = Places { tcp: Some(tcp), unix: vec!["/a".into(), "/b".into()] };
        assert_eq!(read("[\"unix:/a\", \"127.0.0.1:8080\", \"unix:///b\"]"), Ok(all));
    }

    #[test]
    fn what_is_nowhere_is_refused_with_what_to_write() {
        for (said, why) in [
            ("\"8080\"", "such as 127.0.0.1:8080"),
            ("\"unix:\"", "unix:/run/shop.sock"),
            ("[]", "somewhere"),
            ("7", "or a list of them"),
            ("[\"127.0.0.1:1\", \"127.0.0.1:2\"]", "choose 127.0.0.1:1 or 127.0.0.1:2"),
            ("[\"unix:/a\", \"unix:/a\"]", "twice"),
        ] {
            let error = read(said).expect_err(said);
            assert!(error.contains(why), "{said}: {error}");
        }
    }

    #[test]
    fn paths_are_relative_to_where_they_were_written() {
        let places = Places { tcp: None, unix: vec!["run/a.sock".into(), "/b".into()] };
        assert_eq!(places.at(Path::new("/srv")).unix, [PathBuf::from("/srv/run/a.sock"), "/b".into()]);
    }
}
