//! How the messages of one call are written: bytes as they are, values by the plan of the caller.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::rpc::{Form, Payload, Plan};
use crate::schema::Codec;
use crate::status::{Code, Status};

/// How messages become bytes, and bytes messages.
pub enum Manner {
    /// As they are, in this content type.
    Bytes(&'static str),
    /// Values, as protobuf.
    Values(Arc<dyn Plan>),
}

/// The content types that hosts send one another.
const PROTO: &str = "application/grpc+proto";
const JSON: &str = "application/grpc+json";

impl Manner {
    /// Fails with `unimplemented` for what hosts do not speak among one another.
    pub fn of(form: Form, plan: Option<Arc<dyn Plan>>) -> Result<Manner, Status> {
        match (form, plan) {
            (Form::Encoded(Codec::Proto), _) => Ok(Manner::Bytes(PROTO)),
            (Form::Encoded(Codec::Json), _) => Ok(Manner::Bytes(JSON)),
            (Form::Encoded(codec), _) => Err(Status::new(
                Code::Unimplemented,
                format!("the service is in another host, which takes messages in proto or json, not in {}", codec.name()),
            )),
            (Form::Values(_), Some(plan)) => Ok(Manner::Values(plan)),
            (Form::Values(_), None) => {
                Err(Status::new(Code::Internal, "the service is in another host, and nothing says how to write its arguments"))
            }
        }
    }

    pub fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Manner::Bytes(name) => name,
            Manner::Values(_) => PROTO,
        })
    }

    /// A message on its way out, of at most `limit` bytes.
    pub fn write(&self, message: Payload, limit: usize) -> Result<Bytes, Status> {
        let bytes = match self {
            Manner::Bytes(_) => message.bytes()?,
            Manner::Values(plan) => plan.request(message.value()?, limit)?,
        };
        if bytes.len() > limit {
            return Err(Status::new(
                Code::ResourceExhausted,
                format!("the request is longer than the {limit} bytes that go to another host"),
            ));
        }
        Ok(bytes)
    }

    /// A message on its way in.
    pub fn read(&self, message: Bytes) -> Result<Payload, Status> {
        match self {
            Manner::Bytes(_) => Ok(Payload::Bytes(message)),
            Manner::Values(plan) => plan.reply(&message).map(Payload::Value),
        }
    }

    /// A failure that the other host told, for the caller; `begun` says whether the reply had begun.
    pub fn failed(&self, status: Status, begun: bool) -> Status {
        match self {
            Manner::Bytes(_) => status,
            Manner::Values(plan) => plan.failed(status, begun),
        }
    }
}
