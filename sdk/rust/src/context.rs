//! The call that the running code serves.
//!
//! Several calls may run in one instance at once; each sees its own. Outside of any call, as in a
//! service's own tests, there is no deadline and all else is empty.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[cfg(target_family = "wasm")]
use crate::bindings::microhost::service::context as host;
use crate::bindings::microhost::service::context as host_types;
use crate::bindings::microhost::service::context::{Entry, MetadataError as HostError};

/// Who calls. Put on by the host; a caller cannot forge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Where the connection came from; none for a call from within this host, and for one that came by a NATS server.
    pub peer: Option<Peer>,
    /// The service of this host that calls, by its name in the settings; none for a call from outside.
    pub service: Option<String>,
}

/// Where a connection came from, as the host's system tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// An address of the network.
    Network(SocketAddr),
    /// By a Unix socket: the user and the process of the host's own machine, `unix:uid=1000,pid=42`.
    Socket(String),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Network(address) => address.fmt(f),
            Peer::Socket(whose) => f.write_str(whose),
        }
    }
}

impl From<String> for Peer {
    fn from(text: String) -> Peer {
        text.parse().map_or(Peer::Socket(text), Peer::Network)
    }
}

/// Metadata of a call or a reply: names in lower case, each with one or more values.
///
/// A name that ends in `-bin` carries bytes, any other one printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(String, Vec<u8>)>);

impl Metadata {
    /// The first value of this name that is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).find_map(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of this name as bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Every value of this name.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All names and values in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<N: Into<String>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Metadata {
        Metadata(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Why metadata cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// Not a lower-case header name, or one that a protocol reserves.
    InvalidName(String),
    /// Not printable ASCII, under a name that does not end in `-bin`.
    InvalidValue(String),
    /// More than the host sends with one reply.
    TooMuch,
    /// The reply has begun: its headers are sent already.
    TooLate,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::InvalidName(name) => {
                write!(f, "{name:?} cannot be a name of metadata: use a lower-case header name that no protocol reserves")
            }
            MetadataError::InvalidValue(name) => {
                write!(f, "the value of {name:?} is not printable ASCII: end the name in `-bin` to send bytes")
            }
            MetadataError::TooMuch => f.write_str("more metadata than the host sends with one reply"),
            MetadataError::TooLate => f.write_str("the reply has begun, and its headers are sent"),
        }
    }
}

impl std::error::Error for MetadataError {}

impl From<HostError> for MetadataError {
    fn from(error: HostError) -> MetadataError {
        match error {
            HostError::InvalidName(name) => MetadataError::InvalidName(name),
            HostError::InvalidValue(name) => MetadataError::InvalidValue(name),
            HostError::TooMuch => MetadataError::TooMuch,
            HostError::TooLate => MetadataError::TooLate,
        }
    }
}

/// What is asked of the host where there is none.
#[cfg(not(target_family = "wasm"))]
mod host {
    use super::{Entry, HostError};
    use crate::bindings::microhost::service::context::Caller;

    pub fn service() -> String {
        String::new()
    }

    pub fn method() -> String {
        String::new()
    }

    pub fn get_caller() -> Caller {
        Caller { peer: None, service: None }
    }

    pub fn time_left() -> Option<u64> {
        None
    }

    pub fn metadata() -> Vec<Entry> {
        Vec::new()
    }

    pub fn add_header(_: &Entry) -> Result<(), HostError> {
        Ok(())
    }

    pub fn add_trailer(_: &Entry) -> Result<(), HostError> {
        Ok(())
    }
}

impl From<host_types::Caller> for Caller {
    fn from(caller: host_types::Caller) -> Caller {
        Caller { peer: caller.peer.map(Peer::from), service: caller.service }
    }
}

impl From<Vec<Entry>> for Metadata {
    fn from(entries: Vec<Entry>) -> Metadata {
        entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
    }
}

/// The full name of the service that is called: `example.greeter.Greet`.
pub fn service() -> String {
    host::service()
}

/// The name of the method that is called: `Hello`.
pub fn method() -> String {
    host::method()
}

/// Who calls.
pub fn caller() -> Caller {
    host::get_caller().into()
}

/// The time left until the call's deadline, zero when it has passed; none where there is no
/// deadline.
pub fn time_left() -> Option<Duration> {
    host::time_left().map(Duration::from_nanos)
}

/// When the caller stops waiting; none where there is no deadline.
pub fn deadline() -> Option<Instant> {
    time_left().and_then(|left| Instant::now().checked_add(left))
}

/// The metadata that came with the call, without the protocols' own headers.
pub fn metadata() -> Metadata {
    host::metadata().into()
}

/// Adds metadata that is sent before the reply.
pub fn add_header(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<(), MetadataError> {
    Ok(host::add_header(&Entry { name: name.into(), value: value.into() })?)
}

/// Adds metadata that is sent after the reply.
pub fn add_trailer(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<(), MetadataError> {
    Ok(host::add_trailer(&Entry { name: name.into(), value: value.into() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_any_call_the_context_is_empty() {
        assert_eq!((caller(), time_left(), deadline()), (Caller::default(), None, None));
        assert!(metadata().is_empty() && service().is_empty() && method().is_empty());
        assert_eq!(add_header("x-kept", "no"), Ok(()));
    }

    #[test]
    fn metadata_is_found_by_name_in_any_case_and_in_order() {
        let metadata: Metadata = [("x-a", "1"), ("x-b", "2"), ("x-a", "3")].into_iter().collect();
        assert_eq!(metadata.get("X-A"), Some("1"));
        assert_eq!(metadata.get_all("x-a").collect::<Vec<_>>(), [b"1", b"3"]);
        assert_eq!((metadata.get("x-c"), metadata.len()), (None, 3));
    }
}
