//! What the end of a call says of the target that it went to, in one place.

use crate::status::{Code, Status};

/// What the end of a call says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answers, be it with an error of its own.
    Success,
    /// It is not there, does not answer in time, or its transport breaks: counts against it.
    Failure,
    /// It is there and has too much to do: fewer calls for it for a while, and no breaker.
    Overload,
    /// Nothing: the caller went away.
    Nothing,
}

impl Outcome {
    /// What a result says.
    pub fn of<R>(result: &Result<R, Status>) -> Outcome {
        result.as_ref().map_or_else(Outcome::of_status, |_| Outcome::Success)
    }

    /// What a status says.
    ///
    /// The code `internal` is the transport's where this side knows the cause: that of a failure within
    /// the callee stays with the callee's log, and is no sign that its host is ill.
    pub fn of_status(status: &Status) -> Outcome {
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => Outcome::Failure,
            Code::Internal if status.cause().is_some() => Outcome::Failure,
            Code::ResourceExhausted => Outcome::Overload,
            Code::Canceled => Outcome::Nothing,
            _ => Outcome::Success,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_application_is_no_failure_of_its_host() {
        let of = |code| Outcome::of_status(&Status::new(code, ""));
        for code in Code::all() {
            let wanted = match code {
                Code::Unavailable | Code::DeadlineExceeded => Outcome::Failure,
                Code::ResourceExhausted => Outcome::Overload,
                Code::Canceled => Outcome::Nothing,
                _ => Outcome::Success,
            };
            assert_eq!(of(code), wanted, "{code}");
        }
        let broken = Status::new(Code::Internal, "").because(std::io::Error::other("a frame that is none"));
        assert_eq!(Outcome::of_status(&broken), Outcome::Failure);
        assert_eq!(Outcome::of(&Ok(())), Outcome::Success);
    }
}
