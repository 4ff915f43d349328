//! What a message is on its way: bytes from and to a wire, or a value between two guests of one host,
//! which nobody has to encode.

use bytes::Bytes;

use super::Run;
use crate::schema::{Codec, Fingerprint, Value};
use crate::status::{Code, Status};

/// How the messages of a call are written. All of one call are written alike, those of the reply too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As bytes in this codec.
    Encoded(Codec),
    /// As values: the caller has this type for the function, and only a function of the same type takes
    /// the call.
    Values(Fingerprint),
}

impl Form {
    /// The codec; fails with `unimplemented` for values, which only typed functions take.
    pub fn codec(self) -> Result<Codec, Status> {
        match self {
            Form::Encoded(codec) => Ok(codec),
            Form::Values(_) => Err(foreign()),
        }
    }
}

/// One message; or in streams between an edge and a guest, several small ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Encoded, not compressed, without any envelope.
    Bytes(Bytes),
    /// All arguments of a function as one record, its whole result (an empty record where it has none),
    /// or one element of a stream.
    Value(Value),
    /// Several encoded messages of a stream: from an edge, and to one. Whoever calls through a
    /// [`super::Channel`] gets them one by one.
    Run(Run),
}

impl Payload {
    /// The bytes; fails with `unimplemented` for a value, which only typed functions take.
    pub fn bytes(self) -> Result<Bytes, Status> {
        match self {
            Payload::Bytes(bytes) => Ok(bytes),
            Payload::Value(_) => Err(foreign()),
            Payload::Run(_) => Err(Status::new(Code::Internal, "several messages came where one was expected")),
        }
    }

    /// The value; fails with `internal` for bytes: whoever sends values is answered with values.
    pub fn value(self) -> Result<Value, Status> {
        match self {
            Payload::Value(value) => Ok(value),
            Payload::Bytes(_) | Payload::Run(_) => Err(Status::new(Code::Internal, "a call of values was answered with bytes")),
        }
    }

    /// What it counts for where messages wait, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Payload::Bytes(bytes) => bytes.len(),
            Payload::Value(value) => value.size(),
            Payload::Run(run) => run.bytes().len(),
        }
    }

    /// How many messages it is.
    pub fn count(&self) -> usize {
        match self {
            Payload::Bytes(_) | Payload::Value(_) => 1,
            Payload::Run(run) => run.messages(),
        }
    }

    /// Its messages one by one.
    pub fn each(self) -> impl Iterator<Item = Payload> {
        let (run, one) = match self {
            Payload::Run(run) => (Some(run), None),
            one => (None, Some(one)),
        };
        one.into_iter().chain(run.into_iter().flatten().map(Payload::Bytes))
    }
}

impl Default for Payload {
    fn default() -> Payload {
        Payload::Bytes(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Payload {
        Payload::Bytes(bytes.into())
    }
}

fn foreign() -> Status {
    Status::new(Code::Unimplemented, "the endpoint takes encoded messages, and the caller has a typed import; call it by name")
}
