//! How a call of a handler fails: a status, with messages that say more.

use std::error::Error;
use std::fmt;

use crate::status::{Code, Status};

/// More on a failure: a message of protobuf, whichever codec the call has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The full name of the message: `google.rpc.RetryInfo`.
    pub type_name: String,
    /// The message in protobuf's binary encoding.
    pub value: Vec<u8>,
}

/// How a call fails: a code and a message for the caller, and details if there are any.
///
/// `?` makes one of a [`Status`], and of any error as it makes a status: the log is told the error,
/// the caller only that there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code, and what the caller is told.
    pub status: Status,
    /// What a program is told beyond it.
    pub details: Vec<Detail>,
}

impl Failure {
    /// A failure with a message for the caller.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Status::new(code, message).into()
    }

    /// Adds a detail that is encoded already.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Failure {
        self.details.push(detail);
        self
    }

    /// Adds a message as a detail.
    ///
    /// ```
    /// use microhost_sdk::handler::Failure;
    /// use microhost_sdk::proto::types::Duration;
    ///
    /// let failure = Failure::unavailable("the bank is closed").with_detail(&Duration { seconds: 60, nanos: 0 });
    /// assert_eq!(failure.details[0].type_name, "google.protobuf.Duration");
    /// ```
    #[cfg(feature = "proto")]
    #[must_use]
    pub fn with_detail<M: prost::Name>(self, message: &M) -> Failure {
        self.with(Detail { type_name: M::full_name(), value: message.encode_to_vec() })
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.status.code
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.status.message
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Failure { status, details: Vec::new() }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Status::from(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> Result<u32, Failure> {
        let number: u32 = text.parse()?;
        if number == 0 { Err(Status::out_of_range("zero"))? } else { Ok(number) }
    }

    #[test]
    fn a_question_mark_takes_statuses_as_they_are_and_hides_other_errors() {
        assert_eq!(fails("7"), Ok(7));
        assert_eq!(fails("0"), Err(Failure::out_of_range("zero")));
        assert_eq!(fails("x"), Err(Failure::internal("internal error")));
    }
}
