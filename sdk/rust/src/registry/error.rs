//! Why the registry did not do what it was asked.

use std::error;
use std::fmt;

use super::host::wit;

/// Why a service is not told which services there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is not granted; the text says what to write.
    Denied(String),
    /// There is more than the host tells at once, which is so much: watch it, or ask for one service.
    TooMany(u32),
    /// The instance watches as often as it may, which is so often: drop one of the watches.
    TooManyWatches(u32),
}

/// Why a label cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelError {
    /// Empty, too long, or not of letters, digits and `-_./` alone.
    InvalidName(String),
    /// Too long, or with control characters; what stands under this name.
    InvalidValue(String),
    /// The service has as many as it may, which are so many.
    TooMany(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Denied(why) => f.write_str(why),
            Error::TooMany(most) => write!(f, "there is more than the {most} that the host tells at once: watch, or ask for one service"),
            Error::TooManyWatches(most) => write!(f, "an instance has at most {most} watches at once: drop one"),
        }
    }
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelError::InvalidName(name) => {
                write!(f, "{name:?} cannot be the name of a label: use a few letters, digits and -_./")
            }
            LabelError::InvalidValue(name) => write!(f, "the value of the label {name} is too long or has control characters"),
            LabelError::TooMany(most) => write!(f, "a service has at most {most} labels: remove one"),
        }
    }
}

impl error::Error for Error {}

impl error::Error for LabelError {}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Error {
        match error {
            wit::Error::Denied(why) => Error::Denied(why),
            wit::Error::TooMany(most) => Error::TooMany(most),
            wit::Error::TooManyWatches(most) => Error::TooManyWatches(most),
        }
    }
}

impl From<wit::LabelError> for LabelError {
    fn from(error: wit::LabelError) -> LabelError {
        match error {
            wit::LabelError::InvalidName(name) => LabelError::InvalidName(name),
            wit::LabelError::InvalidValue(name) => LabelError::InvalidValue(name),
            wit::LabelError::TooMany(most) => LabelError::TooMany(most),
        }
    }
}
