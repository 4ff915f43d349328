//! How a call ends when it does not succeed: gRPC's codes, one table for every protocol.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// The sixteen error codes of gRPC, and `Ok`.
///
/// Source: gRPC "Status codes and their use in gRPC", and the Connect protocol's "Error codes".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// The call succeeded.
    Ok = 0,
    /// The caller gave up.
    Canceled = 1,
    /// An error that says nothing of its kind.
    Unknown = 2,
    /// The request is wrong whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the call was done.
    DeadlineExceeded = 4,
    /// What was asked for does not exist.
    NotFound = 5,
    /// What was to be created exists.
    AlreadyExists = 6,
    /// The caller is known and may not do this.
    PermissionDenied = 7,
    /// A quota or a bound is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9,
    /// The call lost to another one; try the whole sequence again.
    Aborted = 10,
    /// Past the valid range.
    OutOfRange = 11,
    /// No such method, or not supported.
    Unimplemented = 12,
    /// An invariant of the system is broken.
    Internal = 13,
    /// Not now; try again.
    Unavailable = 14,
    /// Data is lost or damaged.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// Number, name in Connect and in settings, HTTP status of a Connect unary error.
const TABLE: [(Code, &str, u16); 17] = [
    (Code::Ok, "ok", 200),
    (Code::Canceled, "canceled", 499),
    (Code::Unknown, "unknown", 500),
    (Code::InvalidArgument, "invalid_argument", 400),
    (Code::DeadlineExceeded, "deadline_exceeded", 504),
    (Code::NotFound, "not_found", 404),
    (Code::AlreadyExists, "already_exists", 409),
    (Code::PermissionDenied, "permission_denied", 403),
    (Code::ResourceExhausted, "resource_exhausted", 429),
    (Code::FailedPrecondition, "failed_precondition", 400),
    (Code::Aborted, "aborted", 409),
    (Code::OutOfRange, "out_of_range", 400),
    (Code::Unimplemented, "unimplemented", 501),
    (Code::Internal, "internal", 500),
    (Code::Unavailable, "unavailable", 503),
    (Code::DataLoss, "data_loss", 500),
    (Code::Unauthenticated, "unauthenticated", 401),
];

impl Code {
    /// Every code, in the order of its number.
    pub fn all() -> impl Iterator<Item = Code> {
        TABLE.iter().map(|row| row.0)
    }

    /// The code's number, as `grpc-status` carries it.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number; `None` above 16.
    pub fn from_number(number: u8) -> Option<Code> {
        TABLE.get(usize::from(number)).map(|row| row.0)
    }

    /// The code's name in snake case, as Connect spells it: `not_found`.
    pub fn name(self) -> &'static str {
        TABLE[usize::from(self.number())].1
    }

    /// The code of this name, in snake or kebab case; `cancelled` is known too.
    pub fn from_name(name: &str) -> Option<Code> {
        if name == "cancelled" {
            return Some(Code::Canceled);
        }
        let same =
            |known: &str| known.len() == name.len() && known.bytes().zip(name.bytes()).all(|(k, n)| k == n || (k == b'_' && n == b'-'));
        TABLE.iter().find(|row| same(row.1)).map(|row| row.0)
    }

    /// The HTTP status of a Connect unary reply with this code.
    pub fn http(self) -> StatusCode {
        StatusCode::from_u16(TABLE[usize::from(self.number())].2).expect("the table holds valid statuses")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One error detail: a protobuf message and its full name, what `google.protobuf.Any` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The message's full name, `shop.payments.Declined`, without a type URL's prefix.
    pub type_name: Cow<'static, str>,
    /// The message in protobuf's binary encoding.
    pub value: Bytes,
    /// The same as JSON text for Connect's `debug` field, where it is known.
    pub debug: Option<String>,
}

/// Why a call failed: what the caller is told, and apart from it what the log is told.
pub struct Status(Box<Inner>);

struct Inner {
    code: Code,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    metadata: HeaderMap,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    value: Option<Box<dyn Any + Send + Sync>>,
    unseen: bool,
}

impl Status {
    /// A status with a message for the caller.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Status {
        Status(Box::new(Inner {
            code,
            message: message.into(),
            details: Vec::new(),
            metadata: HeaderMap::new(),
            cause: None,
            value: None,
            unseen: false,
        }))
    }

    /// Tells the caller first what it is that failed.
    #[must_use]
    pub fn about(mut self, what: &str) -> Status {
        self.0.message = format!("{what}: {}", self.0.message).into();
        self
    }

    /// Adds an error detail for the caller.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Status {
        self.0.details.push(detail);
        self
    }

    /// Keeps the error as the service's own type has it, for a caller in the same host.
    #[must_use]
    pub fn with_value<T: Any + Send + Sync>(mut self, value: T) -> Status {
        self.0.value = Some(Box::new(value));
        self
    }

    /// The error as the service's own type has it, where it is of this host and of this type.
    pub fn take_value<T: Any + Send + Sync>(&mut self) -> Option<T> {
        self.0.value.take()?.downcast().ok().map(|value| *value)
    }

    /// Notes that no handler has seen the call: it may be tried elsewhere, whatever it does.
    #[must_use]
    pub fn unseen(mut self) -> Status {
        self.0.unseen = true;
        self
    }

    /// Takes that back: the status of one call becomes that of the call that it was made for.
    #[must_use]
    pub fn seen(mut self) -> Status {
        self.0.unseen = false;
        self
    }

    /// Whether it is known that no handler has seen the call.
    pub fn is_unseen(&self) -> bool {
        self.0.unseen
    }

    /// Sets the metadata sent with the error, as headers or trailers by the protocol.
    #[must_use]
    pub fn with_metadata(mut self, metadata: HeaderMap) -> Status {
        self.0.metadata = metadata;
        self
    }

    /// Keeps the cause for the log. The caller never sees it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Status {
        self.0.cause = Some(cause.into());
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The error details for the caller.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// The metadata that goes with the error.
    pub fn metadata(&self) -> &HeaderMap {
        &self.0.metadata
    }

    /// What only the log is told.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.0.cause.as_deref()
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())?;
        match self.cause() {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number_and_its_names() {
        for code in Code::all() {
            assert_eq!(Code::from_number(code.number()), Some(code));
            assert_eq!(Code::from_name(code.name()), Some(code));
            assert_eq!(Code::from_name(&code.name().replace('_', "-")), Some(code));
        }
        assert_eq!(Code::from_number(17), None);
        assert_eq!(Code::from_name("not"), None);
    }
}
