//! The schema as protobuf descriptors: for reflection, and for clients that learn of it at run time.

use std::collections::BTreeSet;

use prost_reflect::DescriptorPool;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MessageOptions, MethodDescriptorProto, OneofDescriptorProto, ServiceDescriptorProto,
};

use super::model::{Card, EMPTY_FILE, Enum, Field, Kind, Message, Shape, Types};
use super::names;
use super::{Handled, Method, Schema, SchemaError, Service};

/// The files that hold anything, dependencies first.
pub(super) fn order(types: &Types, services: &[Service]) -> Result<Vec<usize>, SchemaError> {
    let mut order = Order { types, services, state: vec![State::New; types.files.len()], done: Vec::new() };
    for file in EMPTY_FILE + 1..types.files.len() {
        order.visit(file)?;
    }
    Ok(order.done)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Order<'s> {
    types: &'s Types,
    services: &'s [Service],
    state: Vec<State>,
    done: Vec<usize>,
}

impl Order<'_> {
    fn visit(&mut self, file: usize) -> Result<(), SchemaError> {
        match self.state[file] {
            State::Done => return Ok(()),
            State::Open => {
                return Err(SchemaError(format!(
                    "the package {} refers to packages that refer back to it, which protobuf files cannot; move the shared types to a package of their own",
                    self.types.files[file].wit
                )));
            }
            State::New => {}
        }
        self.state[file] = State::Open;
        for other in dependencies(self.types, self.services, file) {
            self.visit(other)?;
        }
        self.state[file] = State::Done;
        self.done.push(file);
        Ok(())
    }
}

/// The files that a file imports.
pub(super) fn dependencies(types: &Types, services: &[Service], file: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for field in types.messages.iter().filter(|message| message.file == file).flat_map(|message| &message.fields) {
        match field.kind {
            Kind::Message(message) => found.insert(types.message(message).file),
            Kind::Enum(index) => found.insert(types.enumeration(index).file),
            _ => false,
        };
    }
    for method in services.iter().filter(|service| service.file == file).flat_map(|service| &service.methods) {
        found.insert(types.message(method.plan.request).file);
        found.insert(types.message(method.plan.reply).file);
    }
    found.remove(&file);
    found
}

/// The messages of a file that are written as such: entries of protobuf's maps are not.
pub(super) fn messages_of(types: &Types, file: usize) -> impl Iterator<Item = &Message> {
    let plain: BTreeSet<usize> = types
        .messages
        .iter()
        .flat_map(|message| &message.fields)
        .filter_map(|field| match (field.card, field.kind) {
            (Card::Map { keyed: false }, Kind::Message(entry)) => Some(entry),
            _ => None,
        })
        .collect();
    let listed =
        move |(index, message): &(usize, &Message)| message.file == file && (message.shape != Shape::Entry || plain.contains(index));
    types.messages.iter().enumerate().filter(listed).map(|(_, message)| message)
}

/// The name of a variant's oneof.
pub(super) fn oneof_name(message: &Message) -> String {
    names::free("case".into(), |name| message.fields.iter().any(|field| field.name == name))
}

/// The typed services' files, then those of the handler that are not among them.
pub(super) fn set(schema: &Schema) -> FileDescriptorSet {
    let mut file: Vec<FileDescriptorProto> = schema.files.iter().map(|&index| self::file(schema, index)).collect();
    for other in schema.handled.iter().flat_map(Handled::files) {
        if !file.iter().any(|known| known.name() == other.name()) {
            file.push(other);
        }
    }
    FileDescriptorSet { file }
}

/// Protobuf's own file of this name: compilers differ in what they say about it, and everybody brings
/// it.
pub(super) fn well_known(name: &str) -> Option<FileDescriptorProto> {
    let file = name.starts_with("google/protobuf/").then(|| DescriptorPool::global().get_file_by_name(name))?;
    file.map(|file| file.file_descriptor_proto().clone())
}

fn file(schema: &Schema, index: usize) -> FileDescriptorProto {
    let types = &schema.types;
    let file = &types.files[index];
    if let Some(file) = well_known(&file.name) {
        return file;
    }
    FileDescriptorProto {
        name: Some(file.name.clone()),
        package: Some(file.package.clone()),
        dependency: dependencies(types, &schema.services, index).into_iter().map(|other| types.files[other].name.clone()).collect(),
        message_type: messages_of(types, index).map(|message| descriptor(types, message)).collect(),
        enum_type: types.enums.iter().filter(|cases| cases.file == index).map(enumeration).collect(),
        service: schema.services.iter().filter(|service| service.file == index).map(|service| self::service(types, service)).collect(),
        syntax: Some("proto3".into()),
        ..FileDescriptorProto::default()
    }
}

fn service(types: &Types, service: &Service) -> ServiceDescriptorProto {
    let method = |method: &Method| MethodDescriptorProto {
        name: Some(method.name.clone()),
        input_type: Some(format!(".{}", types.message(method.plan.request).name)),
        output_type: Some(format!(".{}", types.message(method.plan.reply).name)),
        client_streaming: Some(method.kind.client_streams()),
        server_streaming: Some(method.kind.server_streams()),
        ..MethodDescriptorProto::default()
    };
    ServiceDescriptorProto {
        name: service.name.rsplit('.').next().map(str::to_string),
        method: service.methods.iter().map(method).collect(),
        ..ServiceDescriptorProto::default()
    }
}

fn enumeration(cases: &Enum) -> EnumDescriptorProto {
    let names = std::iter::once(&cases.unspecified).chain(cases.values.iter().map(|value| &value.name));
    let value = |(number, name): (i32, &String)| EnumValueDescriptorProto { name: Some(name.clone()), number: Some(number), options: None };
    EnumDescriptorProto {
        name: cases.name.rsplit('.').next().map(str::to_string),
        value: (0..).zip(names).map(value).collect(),
        ..EnumDescriptorProto::default()
    }
}

fn descriptor(types: &Types, message: &Message) -> DescriptorProto {
    let mut out = DescriptorProto { name: Some(message.short().to_string()), ..DescriptorProto::default() };
    if message.shape == Shape::Variant {
        out.oneof_decl.push(OneofDescriptorProto { name: Some(oneof_name(message)), options: None });
    }
    for (number, field) in (1i32..).zip(&message.fields) {
        let mut made = field_descriptor(types, message, number, field);
        if message.shape == Shape::Variant {
            made.oneof_index = Some(0);
        }
        if field.card == Card::Optional {
            // Presence of a scalar is told by a oneof of its own.
            made.proto3_optional = Some(true);
            made.oneof_index = i32::try_from(out.oneof_decl.len()).ok();
            out.oneof_decl.push(OneofDescriptorProto { name: Some(format!("_{}", field.name)), options: None });
        }
        if let (Card::Map { keyed: true }, Kind::Message(entry)) = (field.card, field.kind) {
            let mut nested = descriptor(types, types.message(entry));
            nested.name = Some(entry_name(field));
            nested.options = Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
            out.nested_type.push(nested);
        }
        out.field.push(made);
    }
    out
}

/// What protoc calls the entry message of a map.
fn entry_name(field: &Field) -> String {
    format!("{}Entry", names::pascal(&field.name.replace('_', "-")))
}

fn field_descriptor(types: &Types, message: &Message, number: i32, field: &Field) -> FieldDescriptorProto {
    let (ty, type_name) = match (field.kind, field.card) {
        (Kind::Message(_), Card::Map { keyed: true }) => (Type::Message, Some(format!(".{}.{}", message.name, entry_name(field)))),
        (Kind::Message(index), _) => (Type::Message, Some(format!(".{}", types.message(index).name))),
        (Kind::Enum(index), _) => (Type::Enum, Some(format!(".{}", types.enumeration(index).name))),
        (kind, _) => (scalar(kind), None),
    };
    let label = match field.card {
        Card::Repeated(_) | Card::Flags | Card::Map { .. } => Label::Repeated,
        Card::Single | Card::Optional | Card::Unit => Label::Optional,
    };
    FieldDescriptorProto {
        name: Some(field.name.clone()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(ty.into()),
        type_name,
        json_name: Some(field.json_name.clone()),
        ..FieldDescriptorProto::default()
    }
}

fn scalar(kind: Kind) -> Type {
    match kind {
        Kind::Bool => Type::Bool,
        Kind::U8 | Kind::U16 | Kind::U32 => Type::Uint32,
        Kind::U64 => Type::Uint64,
        Kind::S8 | Kind::S16 | Kind::S32 => Type::Int32,
        Kind::S64 => Type::Int64,
        Kind::F32 => Type::Float,
        Kind::F64 => Type::Double,
        Kind::Char | Kind::String => Type::String,
        Kind::Bytes | Kind::FixedBytes(_) => Type::Bytes,
        Kind::Enum(_) => Type::Enum,
        Kind::Message(_) => Type::Message,
    }
}
