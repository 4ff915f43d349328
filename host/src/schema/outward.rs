//! A method from its caller's side: arguments become bytes, and bytes what the function returned. The
//! plans are those of the callee's side, used the other way round.

use bytes::Bytes;

use super::fault::Fault;
use super::flow::Passing;
use super::{Codec, Method, Value};
use crate::status::{Code, Status};

impl Method {
    /// Writes a request message in protobuf: for all arguments as one record, or for one element of the
    /// stream that the function takes.
    ///
    /// Fails with `resource_exhausted` where it has more than `limit` bytes.
    pub fn write_request(&self, value: Value, limit: usize) -> Result<Bytes, Status> {
        let value = match value {
            Value::Record(mut arguments) if self.plan.takes == Passing::Values && !self.plan.spread => {
                arguments.pop().ok_or_else(|| Fault::mismatch().into_status())?
            }
            value => value,
        };
        let request = self.types.message(self.plan.request);
        Codec::Proto.encode(&self.types, request, &value, limit).map(Bytes::from).map_err(Fault::into_status)
    }

    /// Reads a reply message in protobuf: as the whole result of a call that went well (an empty record
    /// where there is none), or as one element of the stream that the function returns.
    ///
    /// Fails with `internal` where it is none, and with `resource_exhausted` where its values would
    /// outgrow [`super::MAX_VALUES`].
    pub fn read_reply(&self, message: &[u8]) -> Result<Value, Status> {
        let reply = self.types.message(self.plan.reply);
        let value = Codec::Proto.decode(&self.types, reply, message).map_err(|fault| unreadable(self, fault))?;
        if self.plan.returns != Passing::Values || !self.plan.fallible {
            return Ok(value);
        }
        // WIT has no record without fields: a message without any stands for no value.
        let nothing = reply.fields.is_empty();
        Ok(Value::Variant(0, (!nothing).then(|| Box::new(value))))
    }

    /// What the function returned where a call failed with this status, if the status tells: the error of
    /// its own that is attached.
    pub fn read_failure(&self, status: &Status) -> Option<Value> {
        if !self.plan.fallible {
            return None;
        }
        let error = self.plan.failure.read(&self.types, status)?;
        Some(Value::Variant(1, Some(Box::new(error))))
    }

    /// What the future beside the stream resolved to where the stream ended with this status, if the
    /// status tells.
    pub fn read_ending(&self, status: &Status) -> Option<Value> {
        let error = self.plan.ending.as_ref()?.read(&self.types, status)?;
        Some(Value::Variant(1, Some(Box::new(error))))
    }
}

fn unreadable(method: &Method, fault: Fault) -> Status {
    let status = fault.into_status();
    if status.code() == Code::ResourceExhausted {
        return status;
    }
    let why = format!("the reply is no {}: {}", method.output(), status.message());
    Status::new(Code::Internal, why)
}
