//! The schema of a component: what it exports as services, and how their messages are written in
//! protobuf, JSON and the codecs like it. Plans for encoding are made once, at load.
//!
//! docs/mapping.md tells users which WIT becomes what, and why.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::status::{Code, Status};

mod absent;
mod bson;
mod build;
mod cbor;
mod codec;
mod descriptor;
mod document;
mod example;
mod failure;
mod fault;
mod files;
mod flow;
mod handled;
mod json;
mod model;
mod msgpack;
mod names;
mod openapi;
mod output;
mod outward;
mod proto;
mod read;
mod signature;
mod source;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub use codec::Codec;
pub use flow::{Flowing, Passing};
pub use handled::{Handled, HandledMessage, HandledMethod, HandledService, comment};
pub use model::{Field, Message};
pub use proto::Head;
pub use signature::{Fingerprint, Signature};
pub use value::{Handle, Value};

use failure::Failure;
use fault::Fault;
use model::Types;
use signature::Signer;
use source::Source;

/// A request has no more values than this: each takes some 32 bytes, and a byte of a message is
/// enough to make one.
pub const MAX_VALUES: usize = 1 << 20;

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
    /// The interfaces of other services that it imports, as services: what it calls as if it were its own.
    pub needs: Vec<Service>,
    /// Imported functions of other services that cannot be called, with the reason.
    pub unmet: Vec<Refused>,
    /// What its handler serves, where it exports one.
    pub handled: Option<Handled>,
    /// The export by which it answers plain HTTP, if it does: `wasi:http/handler@0.3.0`.
    pub http: Option<String>,
    imports: Vec<Import>,
    types: Arc<Types>,
    /// The files in which anything is, dependencies first.
    files: Vec<usize>,
    wit: Vec<u8>,
}

/// An exported interface as a service.
#[derive(Debug)]
pub struct Service {
    /// The export's name in the component: `example:greeter/greet@0.1.0`; empty for the functions
    /// that the world itself exports.
    pub interface: String,
    /// The service's full name: `example.greeter.Greet`.
    pub name: String,
    /// What the WIT says about it.
    pub docs: Option<String>,
    /// Its methods in the order of the interface.
    pub methods: Vec<Method>,
    file: usize,
}

/// Which side of a call sends more than one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// Neither: one request, one reply.
    Unary,
    /// The caller: its messages, one reply.
    ClientStream,
    /// The service: one request, its messages.
    ServerStream,
    /// Both, each at its own pace.
    BidiStream,
}

impl MethodKind {
    /// The kind of a method by which of its sides stream.
    pub fn of(client: bool, server: bool) -> MethodKind {
        match (client, server) {
            (false, false) => MethodKind::Unary,
            (true, false) => MethodKind::ClientStream,
            (false, true) => MethodKind::ServerStream,
            (true, true) => MethodKind::BidiStream,
        }
    }

    /// The kind's name in what is shown: `unary`, `client-stream`, `server-stream`, `bidi-stream`.
    pub fn name(self) -> &'static str {
        match self {
            MethodKind::Unary => "unary",
            MethodKind::ClientStream => "client-stream",
            MethodKind::ServerStream => "server-stream",
            MethodKind::BidiStream => "bidi-stream",
        }
    }

    /// Whether the caller may send any number of messages.
    pub fn client_streams(self) -> bool {
        matches!(self, MethodKind::ClientStream | MethodKind::BidiStream)
    }

    /// Whether the service may send any number of messages.
    pub fn server_streams(self) -> bool {
        matches!(self, MethodKind::ServerStream | MethodKind::BidiStream)
    }
}

/// An exported function as a method, with the plans of its messages.
#[derive(Debug)]
pub struct Method {
    /// The function's name in the interface: `say-hello`.
    pub function: String,
    /// The method's name: `SayHello`.
    pub name: String,
    /// The function as WIT writes it: `say-hello: async func(name: string) -> string`.
    pub signature: String,
    /// Its type, for whoever calls it with values.
    pub fingerprint: Fingerprint,
    /// Its type, for people.
    pub types_of: Signature,
    /// What the WIT says about it.
    pub docs: Option<String>,
    /// Which side sends more than one message.
    pub kind: MethodKind,
    types: Arc<Types>,
    plan: Plan,
}

#[derive(Debug)]
struct Plan {
    request: usize,
    takes: Passing,
    /// The request's fields are the parameters; else it is the only one, or one element of it.
    spread: bool,
    reply: usize,
    returns: Passing,
    /// The function returns a `result`.
    fallible: bool,
    failure: Failure,
    /// How the errors of the future beside a stream are told.
    ending: Option<Failure>,
}

/// An exported function that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The export and the function: `example:greeter/greet@0.1.0#hello`.
    pub function: String,
    /// What cannot be carried, and why.
    pub why: String,
}

/// Who can provide an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The host: an interface of `microhost:service`.
    Host,
    /// The host, as a part of WASI.
    Wasi,
    /// Another service that exports the interface; one of types alone needs nobody.
    Service,
    /// Nobody: a function or interface without a package, which only the world names.
    World,
}

/// An interface, or a single function, that a component imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The import's name in the component: `wasi:clocks/wall-clock@0.2.6`.
    pub name: String,
    /// Who can provide it.
    pub origin: Origin,
    /// The functions that are imported; none where only types are.
    pub functions: Vec<String>,
}

impl Schema {
    /// Reads the schema of a component's binary, or of the [`Schema::package`] of one.
    ///
    /// The result is the same; the package is some kilobytes, so that reading it takes well under a
    /// millisecond however large the component is.
    pub fn of(component: &[u8]) -> Result<Schema, SchemaError> {
        let source = Source::decode(component)?;
        let mut wit = if source.is_package { component.to_vec() } else { source.encode()? };
        let handled = match source.handler() {
            None => None,
            Some(interface) => {
                let sections = handled::Sections::read(component)?;
                if !source.is_package {
                    sections.append(&mut wit);
                }
                Some(Handled::of(interface, &sections)?)
            }
        };
        let (exports, refused) = source.exports();
        let (services, types) = Schema::services(&source, &exports);
        let files = descriptor::order(&types, &services)?;
        let (wanted, unmet) = source.needs();
        // Types of their own: an interface may be imported and exported in two versions.
        let (needs, _) = Schema::services(&source, &wanted);
        Ok(Schema { services, refused, needs, unmet, handled, http: source.http(), imports: source.imports(), types, files, wit })
    }

    /// Interfaces as services, and the messages that they use.
    fn services(source: &Source, interfaces: &[read::Export<'_>]) -> (Vec<Service>, Arc<Types>) {
        let mut builder = build::Builder::new(source, interfaces);
        let mut drafts = Vec::with_capacity(interfaces.len());
        for interface in interfaces {
            let plans: Vec<Plan> = interface.functions.iter().map(|function| Plan::of(&mut builder, source, interface, function)).collect();
            drafts.push((builder.service_name(interface), builder.file_of(interface), plans));
        }
        let types = Arc::new(builder.finish());
        let mut signer = Signer::new(source);
        let mut services = Vec::with_capacity(interfaces.len());
        for (interface, (name, file, plans)) in interfaces.iter().zip(drafts) {
            let mut methods: Vec<Method> = Vec::with_capacity(plans.len());
            for (function, plan) in interface.functions.iter().zip(plans) {
                let name = names::free(names::pascal(&function.name), |name| methods.iter().any(|method| method.name == name));
                let (fingerprint, types_of) = signer.sign(function);
                methods.push(Method {
                    function: function.name.clone(),
                    name,
                    signature: source.signature(function),
                    fingerprint,
                    types_of,
                    docs: function.docs.contents.clone(),
                    kind: plan.kind(),
                    types: Arc::clone(&types),
                    plan,
                });
            }
            services.push(Service { interface: interface.export.clone(), name, docs: interface.docs.map(str::to_string), methods, file });
        }
        (services, types)
    }

    /// The component's world as a WIT package in binary form, with the descriptors of its handler, of
    /// which [`Schema::of`] makes this schema again. It is what to keep beside a component's native code.
    pub fn package(&self) -> &[u8] {
        &self.wit
    }

    /// The full names of all services, those of the handler too.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let handled = self.handled.iter().flat_map(|handled| &handled.services).map(|service| service.name.as_str());
        self.services.iter().map(|service| service.name.as_str()).chain(handled)
    }

    /// What the component imports.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// The component's world, and all that it refers to, as WIT text.
    pub fn wit(&self) -> Result<String, SchemaError> {
        Source::decode(&self.wit)?.print()
    }

    /// The protobuf files of all services and of what they import, dependencies first.
    pub fn descriptors(&self) -> prost_types::FileDescriptorSet {
        descriptor::set(self)
    }

    /// The `.proto` files of all services: name and text, dependencies first.
    pub fn proto(&self) -> Vec<(String, String)> {
        let mut files = text::files(self);
        files.extend(self.handled.iter().flat_map(Handled::proto));
        files
    }

    /// An OpenAPI 3.1 document of all services as HTTP and JSON reach them.
    pub fn openapi(&self, title: &str) -> serde_json::Value {
        openapi::document(self, title)
    }

    /// The messages that the services use, without those that only carry a map's entries.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.types.messages.iter().filter(|message| message.shape != model::Shape::Entry)
    }
}

impl Plan {
    fn of(builder: &mut build::Builder<'_>, source: &Source, export: &read::Export<'_>, function: &wit_parser::Function) -> Plan {
        let (Ok(input), Ok((output, error))) = (source.input(function), source.output(function)) else {
            unreachable!("functions that cannot be carried were refused before");
        };
        let (takes, (request, spread)) = match input {
            flow::Input::Values => (Passing::Values, builder.request(export, function)),
            flow::Input::Flow(passing, element) => (passing, (builder.element(export, function, "Request", element), false)),
        };
        let (returns, reply, ending) = match output {
            flow::Output::Value(ty) => (Passing::Values, builder.reply(export, function, ty), None),
            flow::Output::Flow(passing, element, ending) => (passing, builder.element(export, function, "Response", element), ending),
        };
        let mut fails = |ty: Option<wit_parser::Type>| match ty {
            None => Failure::silent(),
            Some(ty) => failure::plan(builder, source, export, function, ty),
        };
        let (failure, fallible) = error.map_or_else(|| (Failure::silent(), false), |ty| (fails(ty), true));
        let ending = ending.map(|flow::Ending(ty)| fails(ty));
        Plan { request, takes, spread, reply, returns, fallible, failure, ending }
    }

    fn kind(&self) -> MethodKind {
        MethodKind::of(self.takes != Passing::Values, self.returns != Passing::Values)
    }
}

impl Method {
    /// The full name of the request message.
    pub fn input(&self) -> &str {
        &self.types.message(self.plan.request).name
    }

    /// The full name of the reply message.
    pub fn output(&self) -> &str {
        &self.types.message(self.plan.reply).name
    }

    /// The full name of the message that the error case is attached as, where there is one.
    pub fn error(&self) -> Option<&str> {
        self.plan.failure.detail().map(|message| self.types.message(message).name.as_str())
    }

    /// A request in JSON that the method accepts, for a user to begin with: `{"name":"text"}`.
    pub fn example(&self) -> String {
        example::message(&self.types, self.plan.request).to_string()
    }

    /// How the parameters pass.
    pub fn takes(&self) -> Passing {
        self.plan.takes
    }

    /// How the result passes.
    pub fn returns(&self) -> Passing {
        self.plan.returns
    }

    /// Reads a request message: one value for each parameter of the function.
    ///
    /// Fails with `invalid_argument` and a message for the caller that names the path of the wrong
    /// field, or with `resource_exhausted` where the values would outgrow [`MAX_VALUES`].
    pub fn decode(&self, codec: Codec, body: &[u8]) -> Result<Vec<Value>, Status> {
        match self.decode_item(codec, body)? {
            Value::Record(fields) if self.plan.spread => Ok(fields),
            record => Ok(vec![record]),
        }
    }

    /// Reads one message of the stream that the function takes: an element, or for `stream<u8>` a
    /// chunk of bytes. Fails as [`Method::decode`] does.
    pub fn decode_item(&self, codec: Codec, body: &[u8]) -> Result<Value, Status> {
        let request = self.types.message(self.plan.request);
        codec.decode(&self.types, request, body).map_err(Fault::into_status)
    }

    /// Where in a message of the stream that the function takes the element is, where it is bytes and the
    /// message holds them as they are; `None` where not. Fails as [`Method::decode`] does.
    pub fn find_bytes(&self, codec: Codec, body: &[u8]) -> Option<Result<Range<usize>, Status>> {
        let found = if codec == Codec::Proto { proto::find(self.types.message(self.plan.request), body) } else { None };
        found.map(|found| found.map_err(Fault::into_status))
    }

    /// What stands before an element of so many bytes in a message of the stream that the function
    /// returned, where that message holds bytes as they are; `None` where not. Fails as
    /// [`Method::encode`] does.
    pub fn head_of_bytes(&self, codec: Codec, length: usize, limit: usize) -> Option<Result<Head, Status>> {
        let head = if codec == Codec::Proto { proto::head(self.types.message(self.plan.reply), length, limit) } else { None };
        head.map(|head| head.map_err(Fault::into_status))
    }

    /// Writes the reply message for what the function returned; `None` where it returns nothing.
    ///
    /// The error case of a `result` becomes a status. A message over `limit` bytes fails with
    /// `resource_exhausted`, and one that the codec has no way to say with `unimplemented`.
    pub fn encode(&self, codec: Codec, result: Option<Value>, limit: usize) -> Result<Bytes, Status> {
        let value = self.succeeded(result, limit)?;
        self.encode_item(codec, value.unwrap_or(Value::Record(Vec::new())), limit)
    }

    /// Writes one message of the stream that the function returned.
    pub fn encode_item(&self, codec: Codec, item: Value, limit: usize) -> Result<Bytes, Status> {
        let reply = self.types.message(self.plan.reply);
        codec.encode(&self.types, reply, &item, limit).map(Bytes::from).map_err(Fault::into_status)
    }

    /// The stream in what the function returned. The error case of a `result` becomes a status, with
    /// a detail of at most `limit` bytes.
    pub fn flowing(&self, result: Option<Value>, limit: usize) -> Result<Flowing, Status> {
        Flowing::of(self.succeeded(result, limit)?)
    }

    /// The other way round: what the function returns, for the stream in it.
    pub fn flowed(&self, flowing: Flowing) -> Value {
        let Flowing { items, ending } = flowing;
        let body = match ending {
            Some(ending) => Value::Record(vec![Value::Handle(items), Value::Handle(ending)]),
            None => Value::Handle(items),
        };
        if self.plan.fallible { Value::Variant(0, Some(Box::new(body))) } else { body }
    }

    /// Whether a future beside the stream of the reply tells how it ended.
    pub fn has_ending(&self) -> bool {
        self.plan.ending.is_some()
    }

    /// What that future resolves to for a failure; `None` where its error type has no way to say it.
    pub fn ending(&self, status: &Status) -> Option<Value> {
        let error = self.plan.ending.as_ref()?.express(status)?;
        Some(Value::Variant(1, error.map(Box::new)))
    }

    /// How a stream ended, by the value of the future beside it.
    pub fn ended(&self, value: Value, limit: usize) -> Result<(), Status> {
        match (&self.plan.ending, value) {
            (Some(_), Value::Variant(0, None)) => Ok(()),
            (Some(failure), Value::Variant(1, value)) => Err(failure.status(&self.types, value.map(|value| *value), limit)),
            _ => Err(Fault::mismatch().into_status()),
        }
    }

    /// The code of the failure that a function returned; `None` for a success.
    pub fn failure(&self, result: &Value) -> Option<Code> {
        match result {
            Value::Variant(1, payload) if self.plan.fallible => Some(self.plan.failure.code(payload.as_deref())),
            _ => None,
        }
    }

    /// A status as what the function returns for it, so that a caller hears of it in its own terms: for
    /// an error type that is a `string`, a record of a code and a message, or has a case of the code's
    /// name, or one named `other`, `unknown` or `internal`. `None` where the type has no way to say it.
    pub fn failing(&self, status: &Status) -> Option<Value> {
        let error = if self.plan.fallible { self.plan.failure.express(status)? } else { return None };
        Some(Value::Variant(1, error.map(Box::new)))
    }

    /// The result without the `result` around it.
    fn succeeded(&self, result: Option<Value>, limit: usize) -> Result<Option<Value>, Status> {
        match (self.plan.fallible, result) {
            (false, value) => Ok(value),
            (true, Some(Value::Variant(0, value))) => Ok(value.map(|value| *value)),
            (true, Some(Value::Variant(1, value))) => Err(self.plan.failure.status(&self.types, value.map(|value| *value), limit)),
            (true, _) => Err(Fault::mismatch().into_status()),
        }
    }
}

/// A status for an error value that could not be written.
fn unwritable(fault: Fault) -> Status {
    let status = fault.into_status();
    match status.code() {
        Code::ResourceExhausted => Status::new(Code::ResourceExhausted, "the error's detail is over the limit of a reply"),
        _ => status,
    }
}
