//! Why a call did not come about, for the guest and for the log.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;

use wasmtime_wasi_http::Error;

use super::rules::Place;

/// A connection that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name stands for nothing, or nobody answers for it.
    #[error("the name cannot be looked up: {0}")]
    Name(io::Error),
    /// No address of the host may be reached by the grant.
    #[error("{host} stands for {address}, {}: the grant \"{grant}\" does not reach it. {}", place_name(*.place), how(*.place, .host, *.address, *.port))]
    Prohibited {
        /// The name.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// The port.
        port: u16,
        /// What kind of place that is.
        place: Place,
        /// The grant.
        grant: String,
    },
    /// Nobody takes connections there.
    #[error("no connection: {0}")]
    Refused(io::Error),
    /// It took too long.
    #[error("no connection in time")]
    Late,
    /// As many connections as the service may have are open.
    #[error("the service has as many connections as it may have: {0}")]
    Full(&'static str),
    /// The service has as many connections to all hosts as its limit allows.
    #[error("{0}")]
    Limit(String),
    /// TLS was not agreed on.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// This machine has no authorities to trust.
    #[error("{0}")]
    Trust(String),
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::Public => "a public address",
        Place::Loopback => "this machine",
        Place::Private => "an address of a private network",
        Place::Special(what) => what,
    }
}

/// What to write so that it is granted.
fn how(place: Place, host: &str, address: IpAddr, port: u16) -> String {
    let literal = match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    };
    match place {
        Place::Private => format!("To grant that, write \"{host}:{port}@private\", or the address \"{literal}\""),
        _ => format!("To grant that, write the address too: \"{literal}\""),
    }
}

impl ConnectError {
    /// What the guest is told.
    fn code(&self) -> Error {
        match self {
            ConnectError::Name(_) => Error::DnsError { rcode: None, info_code: None },
            ConnectError::Prohibited { .. } => Error::DestinationIpProhibited,
            ConnectError::Refused(error) => match error.kind() {
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
                io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                _ => Error::ConnectionRefused,
            },
            ConnectError::Late => Error::ConnectionTimeout,
            ConnectError::Full(_) | ConnectError::Limit(_) => Error::ConnectionLimitReached,
            ConnectError::Tls(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
                Some(rustls::Error::AlertReceived(alert)) => {
                    Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
                }
                _ => Error::TlsProtocolError,
            },
            ConnectError::Trust(_) => Error::ConfigurationError,
        }
    }

    /// Whether it is for whoever runs the service to know: a setting decides it.
    pub fn is_of_settings(&self) -> bool {
        matches!(self, ConnectError::Prohibited { .. } | ConnectError::Full(_) | ConnectError::Limit(_) | ConnectError::Trust(_))
    }
}

/// The first error of this type among the causes.
pub fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What the guest is told of a call that failed.
pub fn code(error: &(dyn StdError + 'static)) -> Error {
    if let Some(error) = cause::<ConnectError>(error) {
        return error.code();
    }
    match cause::<hyper::Error>(error) {
        Some(error) if error.is_timeout() => Error::HttpResponseTimeout,
        Some(error) if error.is_parse_too_large() => Error::HttpResponseHeaderSectionSize(None),
        Some(error) if error.is_parse() => Error::HttpProtocolError,
        Some(error) if error.is_incomplete_message() => Error::HttpResponseIncomplete,
        // The guest's own: it knows.
        Some(error) if error.is_user() => Error::InternalError(Some("the request's body ended with an error".to_owned())),
        Some(error) if error.is_canceled() || error.is_closed() => Error::ConnectionTerminated,
        Some(error) if cause::<io::Error>(error).is_some() => Error::ConnectionTerminated,
        Some(_) => Error::HttpProtocolError,
        None => Error::InternalError(None),
    }
}
