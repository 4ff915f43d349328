//! Messages as they are on the wire: JSON as it is, or protobuf by the descriptors that the host
//! told.

use bytes::Bytes;
use microhost::status::Code;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::de::IgnoredAny;

use super::input::Message;
use super::values::reason;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// How messages are encoded.
#[derive(Clone)]
pub enum Codec {
    /// Proto3 JSON, which the host reads.
    Json,
    /// Protobuf.
    Proto { input: MessageDescriptor, output: MessageDescriptor },
}

impl Codec {
    /// Protobuf for a method of a schema; `None` where it is not in there.
    pub fn proto(schema: &DescriptorPool, service: &str, method: &str) -> Option<Codec> {
        let service = schema.get_service_by_name(service)?;
        let method = service.methods().find(|one| one.name() == method)?;
        Some(Codec::Proto { input: method.input(), output: method.output() })
    }

    /// The name in content types.
    pub fn name(&self) -> &'static str {
        match self {
            Codec::Json => "json",
            Codec::Proto { .. } => "proto",
        }
    }

    /// A message to send.
    pub fn encode(&self, message: Message) -> Outcome<Bytes> {
        match self {
            Codec::Json => Ok(message.json.into()),
            Codec::Proto { input, .. } => {
                let mut json = serde_json::Deserializer::from_str(&message.json);
                let options = DeserializeOptions::new();
                let dynamic = DynamicMessage::deserialize_with_options(input.clone(), &mut json, &options).map_err(|error| {
                    let place = message.origin.place(error.line(), error.column());
                    Failure::new(Exit::Status(Code::InvalidArgument), format!("invalid_argument: the message is no {}", input.full_name()))
                        .note(format!("{place}: {}", reason(&error)))
                })?;
                Ok(dynamic.encode_to_vec().into())
            }
        }
    }

    /// A message that came, as valid JSON.
    pub fn decode(&self, message: Bytes) -> Outcome<String> {
        let strange = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(Exit::Status(Code::Internal), format!("internal: the host sent a message that is no {}", self.expected()))
                .because(error)
        };
        match self {
            Codec::Json => {
                let json = String::from_utf8(message.into()).map_err(|error| strange(&error))?;
                serde_json::from_str::<IgnoredAny>(&json).map_err(|error| strange(&error))?;
                Ok(json)
            }
            Codec::Proto { output, .. } => {
                let message = DynamicMessage::decode(output.clone(), message).map_err(|error| strange(&error))?;
                json(&message).map_err(|error| strange(&error))
            }
        }
    }

    fn expected(&self) -> &str {
        match self {
            Codec::Json => "JSON",
            Codec::Proto { output, .. } => output.full_name(),
        }
    }
}

/// A message as proto3 JSON, with its empty fields, as microhost itself writes it.
pub fn json(message: &DynamicMessage) -> Result<String, serde_json::Error> {
    let mut json = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &SerializeOptions::new().skip_default_fields(false))?;
    // The serializer writes UTF-8 alone.
    Ok(String::from_utf8_lossy(&json).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::input::Origin;
    use crate::call::values::Place;
    use crate::paint::Paint;

    /// A codec for the methods of gRPC's health check, whose descriptors are at hand.
    fn health() -> Codec {
        let schema = DescriptorPool::decode(tonic_health::pb::FILE_DESCRIPTOR_SET).expect("descriptors");
        Codec::proto(&schema, "grpc.health.v1.Health", "Check").expect("a method")
    }

    fn message(json: &str) -> Message {
        Message { json: json.to_owned(), origin: Origin::Stdin(Place { line: 7, column: 3 }) }
    }

    #[test]
    fn json_becomes_protobuf_and_protobuf_json() {
        let sent = health().encode(message(r#"{"service":"a.B"}"#)).ok().expect("it fits");
        assert_eq!(&sent[..], b"\x0a\x03a.B");
        let came = health().decode(Bytes::from_static(b"\x08\x01")).ok().expect("a reply");
        assert_eq!(came, r#"{"status":"SERVING"}"#);
        assert_eq!(health().decode(Bytes::new()).ok().as_deref(), Some(r#"{"status":"UNKNOWN"}"#));
    }

    #[test]
    fn a_message_that_does_not_fit_is_told_with_its_place() {
        let failure = health().encode(message("{\n\"servise\":1}")).expect_err("no such field");
        assert_eq!(failure.exit(), Exit::Status(Code::InvalidArgument));
        let text = failure.text(Paint::none());
        assert!(text.contains("grpc.health.v1.HealthCheckRequest") && text.contains("line 8 column") && text.contains("servise"), "{text}");
    }

    #[test]
    fn what_came_and_is_no_message_is_the_hosts_fault() {
        for (codec, bytes) in [(health(), &b"\x08"[..]), (Codec::Json, b"{"), (Codec::Json, b"\"\xff\"")] {
            let failure = codec.decode(Bytes::from_static(bytes)).expect_err("no message");
            assert_eq!(failure.exit(), Exit::Status(Code::Internal));
        }
    }
}
