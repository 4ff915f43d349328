//! Proto3 JSON to protobuf and back, by descriptors.
//!
//! The rules are protobuf's own ("ProtoJSON Format"), with the freedoms that it leaves used as for
//! typed services: fields of their default value are written. Unknown fields are skipped, as a
//! service that begins with a `.proto` file expects of callers that are newer than it.

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};

use super::too_large;
use crate::schema::MAX_VALUES;
use crate::status::{Code, Status};

/// The longest error, in bytes: it may quote what the caller sent.
const MAX_ERROR: usize = 400;

/// A message in JSON as protobuf.
pub(super) fn read(descriptor: &MessageDescriptor, body: &[u8]) -> Result<Bytes, Status> {
    if crowded(body) {
        return Err(Status::new(Code::ResourceExhausted, format!("the message holds more than {MAX_VALUES} values")));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let read = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut json, &options);
    match read.and_then(|message| json.end().map(|()| message)) {
        Ok(message) => Ok(message.encode_to_vec().into()),
        Err(error) => Err(Status::new(Code::InvalidArgument, explained(descriptor, body, &error))),
    }
}

/// Whether so many values may be in a text that making them would cost more than it should. Each but
/// the first follows one of these characters, so that most texts are told by a look at their bytes.
fn crowded(body: &[u8]) -> bool {
    body.len() > MAX_VALUES && body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{' | b':')).count() > MAX_VALUES
}

/// The error with the path that leads to it. The message is read once more for that, so that a good
/// one pays nothing for paths.
fn explained(descriptor: &MessageDescriptor, body: &[u8], error: &serde_json::Error) -> String {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = DynamicMessage::deserialize_with_options(descriptor.clone(), tracked, &options);
    let path = track.path();
    let mut text = match read {
        Err(_) if path.iter().next().is_some() => format!("{path}: {error}"),
        _ => error.to_string(),
    };
    if text.len() > MAX_ERROR {
        text.truncate(text.floor_char_boundary(MAX_ERROR));
        text.push('…');
    }
    text
}

/// A message in protobuf as JSON.
pub(super) fn write(descriptor: &MessageDescriptor, body: &[u8], limit: usize) -> Result<Bytes, Status> {
    let broken = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Status::new(Code::Internal, format!("the service's reply is no valid {}", descriptor.full_name())).because(cause)
    };
    let message = DynamicMessage::decode(descriptor.clone(), body).map_err(|error| broken(error.into()))?;
    let mut bounded = Bounded { bytes: Vec::with_capacity(body.len().saturating_mul(2).min(limit)), limit, full: false };
    let options = SerializeOptions::new().skip_default_fields(false);
    let written = message.serialize_with_options(&mut serde_json::Serializer::new(&mut bounded), &options);
    match written {
        Ok(()) => Ok(bounded.bytes.into()),
        Err(_) if bounded.full => Err(too_large("reply", limit)),
        Err(error) => Err(broken(error.into())),
    }
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > self.limit - self.bytes.len() {
            self.full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
