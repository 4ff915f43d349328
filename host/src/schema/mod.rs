//! The schema of a component: what it exports as services, and how their messages are written in
//! protobuf and JSON. Plans for encoding are made once, at load.

use bytes::Bytes;

use crate::status::Status;

mod value;

pub use value::Value;

/// How the bytes of a message are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Protobuf's binary encoding.
    Proto,
    /// Proto3 JSON.
    Json,
}

impl Codec {
    /// The codec's name in content types: `proto`, `json`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Proto => "proto",
            Codec::Json => "json",
        }
    }
}

/// A component that has no readable schema.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub String);

/// What a component exports as services, and what it imports.
#[derive(Debug)]
pub struct Schema {
    /// The services, in the order of the component's exports.
    pub services: Vec<Service>,
    /// Exported functions that cannot be served, with the reason; the rest is served all the same.
    pub refused: Vec<Refused>,
}

/// An exported interface as a service.
#[derive(Debug)]
pub struct Service {
    /// The export's name in the component: `example:greeter/greet@0.1.0`.
    pub interface: String,
    /// The service's full name: `example.greeter.Greet`.
    pub name: String,
    /// Its methods in the order of the interface.
    pub methods: Vec<Method>,
}

/// An exported function as a method, with the plans of its messages.
#[derive(Debug)]
pub struct Method {
    /// The function's name in the interface: `say-hello`.
    pub function: String,
    /// The method's name: `SayHello`.
    pub name: String,
}

/// An exported function that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The export and the function: `example:greeter/greet@0.1.0#hello`.
    pub function: String,
    /// What cannot be carried, and why.
    pub why: String,
}

impl Schema {
    /// Reads the schema of a component's binary.
    pub fn of(component: &[u8]) -> Result<Schema, SchemaError> {
        let _ = component;
        todo!()
    }

    /// The WIT package of the component alone, which [`Schema::of`] reads as it reads a component.
    pub fn package(&self) -> &[u8] {
        todo!()
    }

    /// The protobuf files of all services and of what they import, dependencies first.
    pub fn descriptors(&self) -> prost_types::FileDescriptorSet {
        todo!()
    }
}

impl Method {
    /// Reads a request message: one value for each parameter of the function.
    ///
    /// Fails with `invalid_argument` and a message for the caller that names the path of the wrong
    /// field, or with `resource_exhausted` where the values would outgrow their bound.
    pub fn decode(&self, codec: Codec, body: &[u8]) -> Result<Vec<Value>, Status> {
        let _ = (codec, body);
        todo!()
    }

    /// Writes the reply message for what the function returned; `None` where it returns nothing.
    ///
    /// The error case of a `result` becomes a status. A message over `limit` bytes fails with
    /// `resource_exhausted`.
    pub fn encode(&self, codec: Codec, result: Option<Value>, limit: usize) -> Result<Bytes, Status> {
        let _ = (codec, result, limit);
        todo!()
    }
}
