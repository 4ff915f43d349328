//! The schema as an OpenAPI 3.1 document: what a plain HTTP client sends and gets.
//!
//! OpenAPI 3.1 has no words for a stream of messages: methods that stream are listed with Connect's
//! content type for streams and the extension `x-microhost-stream`, which tells their kind; the
//! schemas are those of one message.
//!
//! Source: OpenAPI 3.1.1, and the Connect protocol's "Unary-Request", "Streaming-RPC" and "Error".

use serde_json::{Map, Value, json};

use super::absent::{Budget, absent};
use super::descriptor::messages_of;
use super::model::{Card, EMPTY, Enum, Field, Kind, Message, Shape, Types};
use super::{MethodKind, Schema, handled};
use crate::status::Code;

/// What a method that streams is told to be, in place of what OpenAPI has no words for.
const STREAM: &str = "x-microhost-stream";

/// How the messages of a stream are laid out.
const ENVELOPES: &str = "Messages in the Connect protocol's envelopes: a byte of flags, four of length in network order, and \
    a message of this schema. The last envelope of an answer has the flag 2 and holds `{}`, or `{\"error\": …}` for a call that failed.";

/// The name of the error schema among the messages; no package is called so.
const ERROR: &str = "connect.error";

pub(super) fn document(schema: &Schema, title: &str) -> Value {
    let types = &schema.types;
    let mut paths = Map::new();
    for service in &schema.services {
        for method in &service.methods {
            let (input, output) = (reference(method.input()), reference(method.output()));
            let operation = operation(&service.name, (&method.name, method.kind), method.docs.as_deref(), input, output);
            paths.insert(format!("/{}/{}", service.name, method.name), json!({ "post": operation }));
        }
    }
    let mut schemas = Map::new();
    for &file in &schema.files {
        for message in messages_of(types, file) {
            schemas.insert(message.name.clone(), message_schema(types, message));
        }
        for cases in types.enums.iter().filter(|cases| cases.file == file) {
            schemas.insert(cases.name.clone(), enum_schema(cases));
        }
    }
    let mut tags: Vec<Value> = schema.services.iter().map(|service| tag(&service.name, service.docs.as_deref())).collect();
    for service in schema.handled.iter().flat_map(|handled| &handled.services) {
        tags.push(tag(&service.name, service.docs.as_deref()));
        for method in &service.methods {
            handled::schemas([method.input.clone(), method.output.clone()], &mut schemas);
            let (input, output) = (handled::reference(&method.input), handled::reference(&method.output));
            let operation = operation(&service.name, (&method.name, method.kind), method.docs.as_deref(), input, output);
            paths.insert(format!("/{}/{}", service.name, method.name), json!({ "post": operation }));
        }
    }
    schemas.insert(ERROR.into(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": version(schema) },
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// The version of the first service's package.
fn version(schema: &Schema) -> &str {
    let version = schema.services.first().and_then(|service| service.interface.split_once('@'));
    version.map_or("0.0.0", |(_, version)| version)
}

fn tag(name: &str, docs: Option<&str>) -> Value {
    described(json!({ "name": name }), docs)
}

/// A method, given the schemas of its request and its reply.
fn operation(service: &str, (method, kind): (&str, MethodKind), docs: Option<&str>, request: Value, reply: Value) -> Value {
    let streams = kind != MethodKind::Unary;
    let content_type = if streams { "application/connect+json" } else { "application/json" };
    let content = |schema: Value| json!({ content_type: { "schema": schema } });
    let (went_well, failed) =
        if streams { (ENVELOPES, "The call was refused before it began.") } else { ("The call succeeded.", "The call failed.") };
    let mut operation = json!({
        "operationId": format!("{service}.{method}"),
        "tags": [service],
        "requestBody": { "required": true, "content": content(request) },
        "responses": {
            "200": { "description": went_well, "content": content(reply) },
            "default": { "description": failed, "content": { "application/json": { "schema": reference(ERROR) } } },
        },
    });
    if streams {
        operation[STREAM] = json!(kind.name());
        operation["requestBody"]["description"] = json!(ENVELOPES);
    }
    described(operation, docs)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn described(mut schema: Value, docs: Option<&str>) -> Value {
    if let Some(docs) = docs {
        schema["description"] = json!(docs);
    }
    schema
}

fn message_schema(types: &Types, message: &Message) -> Value {
    let property = |field: &Field| described(field_schema(types, field), field.docs.as_deref());
    if message.shape == Shape::Variant {
        let case = |field: &Field| {
            let mut properties = Map::new();
            properties.insert(field.json_name.clone(), property(field));
            json!({ "type": "object", "properties": properties, "required": [field.json_name], "additionalProperties": false })
        };
        let cases: Vec<Value> = message.fields.iter().map(case).collect();
        return described(json!({ "oneOf": cases }), message.docs.as_deref());
    }
    let properties: Map<String, Value> = message.fields.iter().map(|field| (field.json_name.clone(), property(field))).collect();
    let needed = |field: &&Field| absent(types, field, &mut Budget::full(), |field| &field.name).is_err();
    let required: Vec<&str> = message.fields.iter().filter(needed).map(|field| field.json_name.as_str()).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    described(schema, message.docs.as_deref())
}

fn field_schema(types: &Types, field: &Field) -> Value {
    let element = kind_schema(types, field.kind);
    match field.card {
        Card::Single | Card::Optional | Card::Unit => element,
        Card::Repeated(None) | Card::Map { keyed: false } => json!({ "type": "array", "items": element }),
        Card::Repeated(Some(length)) => json!({ "type": "array", "items": element, "minItems": length, "maxItems": length }),
        Card::Flags => json!({ "type": "array", "items": element, "uniqueItems": true }),
        Card::Map { keyed: true } => {
            let value = match field.kind {
                Kind::Message(entry) => types.message(entry).fields.last(),
                _ => None,
            };
            json!({ "type": "object", "additionalProperties": value.map_or(json!({}), |value| kind_schema(types, value.kind)) })
        }
    }
}

fn kind_schema(types: &Types, kind: Kind) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::U8 => json!({ "type": "integer", "minimum": 0, "maximum": u8::MAX }),
        Kind::U16 => json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX }),
        Kind::U32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Kind::S8 => json!({ "type": "integer", "minimum": i8::MIN, "maximum": i8::MAX }),
        Kind::S16 => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
        Kind::S32 => json!({ "type": "integer", "format": "int32" }),
        Kind::U64 => json!({ "type": ["string", "integer"], "format": "uint64" }),
        Kind::S64 => json!({ "type": ["string", "integer"], "format": "int64" }),
        Kind::F32 => float_schema("float"),
        Kind::F64 => float_schema("double"),
        Kind::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes | Kind::FixedBytes(_) => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::Enum(index) => reference(&types.enumeration(index).name),
        Kind::Message(EMPTY) => json!({ "type": "object", "maxProperties": 0 }),
        Kind::Message(index) => reference(&types.message(index).name),
    }
}

fn float_schema(format: &str) -> Value {
    json!({ "anyOf": [{ "type": "number", "format": format }, { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] }] })
}

fn enum_schema(cases: &Enum) -> Value {
    let names: Vec<&str> = cases.values.iter().map(|value| value.name.as_str()).collect();
    described(json!({ "type": "string", "enum": names }), cases.docs.as_deref())
}

fn error_schema() -> Value {
    let codes: Vec<&str> = Code::all().filter(|code| *code != Code::Ok).map(Code::name).collect();
    json!({
        "type": "object",
        "description": "Why a call failed, as the Connect protocol says it.",
        "properties": {
            "code": { "type": "string", "enum": codes },
            "message": { "type": "string" },
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "type": { "type": "string", "description": "The full name of the detail's message." },
                        "value": { "type": "string", "contentEncoding": "base64", "description": "The message in protobuf's encoding, without padding." },
                        "debug": { "description": "The message as JSON." },
                    },
                    "required": ["type", "value"],
                },
            },
        },
        "required": ["code"],
    })
}
