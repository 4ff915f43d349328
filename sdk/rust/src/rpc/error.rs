//! How a call of another service fails.

use std::fmt;

use crate::context::Metadata;
use crate::handler::{Detail, Failure};
use crate::status::{Code, OrStatus, Status, log_text};

/// A call of another service that failed, by that service or before it came there.
///
/// `?` passes it on as it is, in functions that return a [`Status`] or a [`Failure`]; `or_status` tells
/// the caller something else. For that it is no [`std::error::Error`], of which callers are told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The code, the message and the details.
    pub failure: Failure,
    /// Metadata that came with it.
    pub metadata: Metadata,
}

impl Error {
    /// The code.
    pub fn code(&self) -> Code {
        self.failure.code()
    }

    /// What the service says, or the host.
    pub fn message(&self) -> &str {
        self.failure.message()
    }

    /// What is told beyond it.
    pub fn details(&self) -> &[Detail] {
        &self.failure.details
    }

    /// The first detail of this type.
    #[cfg(feature = "proto")]
    pub fn detail<M: prost::Name + Default>(&self) -> Option<M> {
        let detail = self.details().iter().find(|detail| detail.type_name == M::full_name())?;
        M::decode(detail.value.as_slice()).ok()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error { failure, metadata: Metadata::default() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        error.failure
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        error.failure.status
    }
}

impl<T> OrStatus<T> for Result<T, Error> {
    fn or_status(self, code: Code, message: impl Into<String>) -> Result<T, Status> {
        self.map_err(|error| {
            log_text(code, &error.to_string());
            Status::new(code, message)
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}
