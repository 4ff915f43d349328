//! How a call fails: one of gRPC's codes and a message for the caller.

use std::error::Error;
use std::fmt;

use crate::handler::Failure;
pub use crate::types::{Code, Status};

/// What the caller is told of an error that was not meant for him.
const UNTOLD: &str = "internal error";

/// The constructors of both kinds of error, one a code: their names and what the codes mean.
macro_rules! constructors {
    ($($(#[$about:meta])* $name:ident $code:ident),* $(,)?) => {
        impl Status {
            $($(#[$about])* pub fn $name(message: impl Into<String>) -> Status {
                Status::new(Code::$code, message)
            })*
        }

        impl Failure {
            $($(#[$about])* pub fn $name(message: impl Into<String>) -> Failure {
                Status::new(Code::$code, message).into()
            })*
        }
    };
}

constructors! {
    /// The caller gave up.
    canceled Canceled,
    /// An error that says nothing of its kind.
    unknown Unknown,
    /// The request is wrong whatever the state of the system.
    invalid_argument InvalidArgument,
    /// The deadline passed before the call was done.
    deadline_exceeded DeadlineExceeded,
    /// What was asked for does not exist.
    not_found NotFound,
    /// What was to be created exists.
    already_exists AlreadyExists,
    /// The caller is known and may not do this.
    permission_denied PermissionDenied,
    /// A quota or a bound is used up.
    resource_exhausted ResourceExhausted,
    /// The system is not in the state that the call needs.
    failed_precondition FailedPrecondition,
    /// The call lost to another one; try the whole sequence again.
    aborted Aborted,
    /// Past the valid range.
    out_of_range OutOfRange,
    /// Not supported.
    unimplemented Unimplemented,
    /// An invariant of the system is broken.
    internal Internal,
    /// Not now; try again.
    unavailable Unavailable,
    /// Data is lost or damaged.
    data_loss DataLoss,
    /// The caller is not known.
    unauthenticated Unauthenticated,
}

impl Status {
    /// A status with a message for the caller.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into() }
    }
}

impl Code {
    /// The code's name as callers see it: `not_found`.
    pub fn name(self) -> &'static str {
        match self {
            Code::Canceled => "canceled",
            Code::Unknown => "unknown",
            Code::InvalidArgument => "invalid_argument",
            Code::DeadlineExceeded => "deadline_exceeded",
            Code::NotFound => "not_found",
            Code::AlreadyExists => "already_exists",
            Code::PermissionDenied => "permission_denied",
            Code::ResourceExhausted => "resource_exhausted",
            Code::FailedPrecondition => "failed_precondition",
            Code::Aborted => "aborted",
            Code::OutOfRange => "out_of_range",
            Code::Unimplemented => "unimplemented",
            Code::Internal => "internal",
            Code::Unavailable => "unavailable",
            Code::DataLoss => "data_loss",
            Code::Unauthenticated => "unauthenticated",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// `?` on any error ends the call with `internal`: the log is told the error, the caller only that
/// there was one, as an error's text may hold what is none of his business.
///
/// This is why a status is itself no [`Error`]: the two conversions would overlap.
impl<E: Error + 'static> From<E> for Status {
    fn from(error: E) -> Status {
        log_cause(Code::Internal, &error);
        Status::internal(UNTOLD)
    }
}

/// Chooses what the caller is told of an error.
pub trait OrStatus<T> {
    /// Ends with `code` and `message` where there is no value. The log is told the error, if there
    /// is one.
    ///
    /// ```
    /// use microhost_sdk::{Code, OrStatus, Status};
    ///
    /// fn quantity(text: &str) -> Result<u32, Status> {
    ///     text.parse::<u32>().or_status(Code::InvalidArgument, "the quantity is not a number")
    /// }
    ///
    /// assert_eq!(quantity("many"), Err(Status::invalid_argument("the quantity is not a number")));
    /// ```
    fn or_status(self, code: Code, message: impl Into<String>) -> Result<T, Status>;
}

impl<T, E: Error + 'static> OrStatus<T> for Result<T, E> {
    fn or_status(self, code: Code, message: impl Into<String>) -> Result<T, Status> {
        self.map_err(|error| {
            log_cause(code, &error);
            Status::new(code, message)
        })
    }
}

impl<T> OrStatus<T> for Option<T> {
    fn or_status(self, code: Code, message: impl Into<String>) -> Result<T, Status> {
        self.ok_or_else(|| Status::new(code, message))
    }
}

/// Logs an error and what it came from.
fn log_cause(code: Code, error: &dyn Error) {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    log_text(code, &text);
}

/// Logs what a caller is told by a code alone. The codes that say that the service is at fault are
/// errors; with the others the caller is, and the service has done its work.
pub(crate) fn log_text(code: Code, text: &str) {
    use crate::log::{Level, write};

    let level = match code {
        Code::Unknown | Code::Internal | Code::DataLoss => Level::Error,
        Code::Unavailable | Code::Unimplemented => Level::Warn,
        _ => Level::Debug,
    };
    write(level, text, &[("code", code.name())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<u32, Status> {
        Ok(text.parse::<u32>()?)
    }

    #[test]
    fn an_error_passed_on_by_a_question_mark_tells_the_caller_nothing() {
        assert_eq!(parse("7"), Ok(7));
        assert_eq!(parse("seven"), Err(Status::internal("internal error")));
    }

    #[test]
    fn nothing_becomes_the_status_that_was_asked_for() {
        let none: Option<u32> = None;
        assert_eq!(none.or_status(Code::NotFound, "no such cart"), Err(Status::not_found("no such cart")));
    }

    #[test]
    fn a_status_reads_as_its_code_and_message() {
        assert_eq!(Status::failed_precondition("the cart is empty").to_string(), "failed_precondition: the cart is empty");
    }
}
