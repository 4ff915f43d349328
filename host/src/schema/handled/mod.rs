//! What a component serves through `microhost:service/handler`: services that begin with a `.proto`
//! file. Their descriptors travel inside the component, so that reflection, JSON and documents need
//! no help of the guest's; without any, the handler is a gateway and takes calls as they come.
//!
//! docs/proto.md tells users how descriptors get in.

use bytes::Bytes;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::FileDescriptorProto;

use super::descriptor::well_known;
use super::{Codec, MethodKind, SchemaError};
use crate::status::{Code, Status};

mod comments;
mod example;
mod json;
mod openapi;
mod sections;
mod text;

#[cfg(test)]
mod tests;

pub use comments::comment;
pub(super) use openapi::{reference, schemas};
pub(super) use sections::Sections;

/// The interface that a handler exports, in any version of it.
const INTERFACE: &str = "microhost:service/handler";

/// A component serves no more methods than this by descriptors.
const MAX_METHODS: usize = 10_000;

/// What the export `microhost:service/handler` serves.
#[derive(Debug)]
pub struct Handled {
    /// The export's name in the component: `microhost:service/handler@0.1.0`.
    pub interface: String,
    /// The services that descriptors describe, in the order in which the component names them; none
    /// where it brings no descriptors: the handler then takes any call as it comes.
    pub services: Vec<HandledService>,
    pool: DescriptorPool,
}

/// A service of a `.proto` file.
#[derive(Debug)]
pub struct HandledService {
    /// The full name: `shop.payments.v1.Payments`.
    pub name: String,
    /// What the file says about it.
    pub docs: Option<String>,
    /// Its methods in the order of the file.
    pub methods: Vec<HandledMethod>,
}

/// A method of a `.proto` file.
#[derive(Debug)]
pub struct HandledMethod {
    /// The name: `Charge`.
    pub name: String,
    /// Which side sends more than one message.
    pub kind: MethodKind,
    /// What the file says about it.
    pub docs: Option<String>,
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
}

/// Whether an export of this name is the handler.
pub(super) fn is_handler(export: &str) -> bool {
    export.strip_prefix(INTERFACE).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

impl Handled {
    /// What the handler exported as `interface` serves, by the sections of its component.
    pub(super) fn of(interface: String, sections: &Sections) -> Result<Handled, SchemaError> {
        let wrong = |why: String| SchemaError(format!("the descriptors of its handler cannot be used: {why}"));
        let pool = DescriptorPool::decode(sections.descriptors.as_slice()).map_err(|error| wrong(error.to_string()))?;
        let named = sections.names().map_err(&wrong)?;
        let mut services = Vec::new();
        match named.is_empty() {
            true => services.extend(pool.services()),
            false => {
                for name in named {
                    let found = pool.get_service_by_name(name);
                    services.push(found.ok_or_else(|| wrong(format!("they do not hold the service {name:?}, which it says it serves")))?);
                }
            }
        }
        if services.iter().map(|service| service.methods().len()).sum::<usize>() > MAX_METHODS {
            return Err(wrong(format!("they hold more than {MAX_METHODS} methods")));
        }
        let services = services.iter().map(HandledService::of).collect();
        Ok(Handled { interface, services, pool })
    }

    /// The files of its descriptors, dependencies first, without comments.
    pub(super) fn files(&self) -> impl Iterator<Item = FileDescriptorProto> {
        self.pool.files().map(|file| {
            let own = || FileDescriptorProto { source_code_info: None, ..file.file_descriptor_proto().clone() };
            well_known(file.name()).unwrap_or_else(own)
        })
    }

    /// The `.proto` files of its descriptors: name and text, dependencies first, without protobuf's own.
    pub(super) fn proto(&self) -> impl Iterator<Item = (String, String)> {
        let files = self.pool.files().filter(|file| well_known(file.name()).is_none());
        files.map(|file| (file.name().to_owned(), text::file(&file)))
    }

    /// The messages of its services and what they refer to, by full name, with their fields: number,
    /// name in protobuf, name in JSON, type.
    pub fn messages(&self) -> Vec<HandledMessage> {
        let mut found = Vec::new();
        for method in self.services.iter().flat_map(|service| &service.methods) {
            HandledMessage::add(&method.input, &mut found);
            HandledMessage::add(&method.output, &mut found);
        }
        found
    }

    /// Whether it brings no descriptors, and so takes whatever call is given to it, in any codec.
    pub fn takes_anything(&self) -> bool {
        self.services.is_empty()
    }
}

impl HandledService {
    fn of(service: &prost_reflect::ServiceDescriptor) -> HandledService {
        let method = |method: prost_reflect::MethodDescriptor| HandledMethod {
            name: method.name().to_owned(),
            kind: MethodKind::of(method.is_client_streaming(), method.is_server_streaming()),
            docs: comment(&service.parent_file(), method.path()),
            input: method.input(),
            output: method.output(),
        };
        let docs = comment(&service.parent_file(), service.path());
        HandledService { name: service.full_name().to_owned(), docs, methods: service.methods().map(method).collect() }
    }
}

impl HandledMethod {
    /// The full name of the request message.
    pub fn input(&self) -> &str {
        self.input.full_name()
    }

    /// The full name of the reply message.
    pub fn output(&self) -> &str {
        self.output.full_name()
    }

    /// A request in JSON that the method accepts, for a user to begin with: `{"name":"text"}`.
    pub fn example(&self) -> String {
        example::message(&self.input).to_string()
    }

    /// A message of the caller's, in `codec`, as the guest takes it: in protobuf. What is protobuf
    /// already is neither read nor copied.
    ///
    /// Fails with `invalid_argument` and a message for the caller that names the path of the wrong
    /// field, or with `resource_exhausted` where the message outgrows `limit` bytes or
    /// [`MAX_VALUES`](super::MAX_VALUES).
    pub fn request(&self, codec: Codec, body: Bytes, limit: usize) -> Result<Bytes, Status> {
        let body = match codec {
            Codec::Proto => body,
            Codec::Json => json::read(&self.input, &body)?,
            other => return Err(untranslated(other)),
        };
        if body.len() > limit { Err(too_large("request", limit)) } else { Ok(body) }
    }

    /// A message of the guest's, in protobuf, as the caller takes it: in `codec`. The same holds as
    /// for [`HandledMethod::request`], but that a wrong message is the guest's fault: `internal`.
    pub fn reply(&self, codec: Codec, body: Bytes, limit: usize) -> Result<Bytes, Status> {
        match codec {
            Codec::Proto if body.len() > limit => Err(too_large("reply", limit)),
            Codec::Proto => Ok(body),
            Codec::Json => json::write(&self.output, &body, limit),
            other => Err(untranslated(other)),
        }
    }
}

/// A message of a handler's services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledMessage {
    /// The full name.
    pub name: String,
    /// The fields: number, name in protobuf, name in JSON, type as protobuf writes it.
    pub fields: Vec<(u32, String, String, String)>,
}

impl HandledMessage {
    fn add(message: &MessageDescriptor, found: &mut Vec<HandledMessage>) {
        if message.package_name() == "google.protobuf" || found.iter().any(|known| known.name == message.full_name()) {
            return;
        }
        let place = found.len();
        found.push(HandledMessage { name: message.full_name().to_owned(), fields: Vec::new() });
        for field in message.fields() {
            let row = (field.number(), field.name().to_owned(), field.json_name().to_owned(), text::field_type(&field));
            found[place].fields.push(row);
            let kind = match field.kind() {
                prost_reflect::Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
                kind => kind,
            };
            if let prost_reflect::Kind::Message(inner) = kind {
                HandledMessage::add(&inner, found);
            }
        }
    }
}

/// A codec that descriptors are not translated to: its form is known for WIT's types.
fn untranslated(codec: Codec) -> Status {
    let name = codec.name();
    Status::new(
        Code::Unimplemented,
        format!("the service begins with a .proto file and takes json and proto; {name} is for services typed in WIT"),
    )
}

fn too_large(what: &str, limit: usize) -> Status {
    Status::new(Code::ResourceExhausted, format!("the {what} is over {limit} bytes; ask for less of it, or raise the limit"))
}
