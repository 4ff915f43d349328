//! The unary methods of a handler in an OpenAPI document: messages by their proto3 JSON.

use std::collections::BTreeSet;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::comment;

/// Adds the schemas of these messages, and of all that they refer to.
pub(in crate::schema) fn schemas(messages: impl IntoIterator<Item = MessageDescriptor>, out: &mut Map<String, Value>) {
    let mut found = Found { out, seen: BTreeSet::new() };
    for message in messages {
        found.message(&message);
    }
}

/// A reference to a message's schema, or the schema itself of one that JSON writes in its own way.
pub(in crate::schema) fn reference(message: &MessageDescriptor) -> Value {
    well_known(message.full_name()).unwrap_or_else(|| named(message.full_name()))
}

fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn described(mut schema: Value, docs: Option<String>) -> Value {
    if let Some(docs) = docs {
        schema["description"] = json!(docs);
    }
    schema
}

struct Found<'m> {
    out: &'m mut Map<String, Value>,
    seen: BTreeSet<String>,
}

impl Found<'_> {
    fn message(&mut self, message: &MessageDescriptor) {
        if well_known(message.full_name()).is_some() || !self.seen.insert(message.full_name().to_owned()) {
            return;
        }
        let properties: Map<String, Value> =
            message.fields().map(|field| (field.json_name().to_owned(), self.field(message, &field))).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        let required: Vec<String> =
            message.fields().filter(FieldDescriptor::is_required).map(|field| field.json_name().to_owned()).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let docs = comment(&message.parent_file(), message.path());
        self.out.insert(message.full_name().to_owned(), described(schema, docs));
    }

    fn field(&mut self, message: &MessageDescriptor, field: &FieldDescriptor) -> Value {
        let docs = comment(&message.parent_file(), field.path());
        let schema = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                json!({ "type": "object", "additionalProperties": self.kind(entry.map_entry_value_field().kind()) })
            }
            kind if field.is_list() => json!({ "type": "array", "items": self.kind(kind) }),
            kind => self.kind(kind),
        };
        described(schema, docs)
    }

    fn kind(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": ["string", "integer"], "format": "int64" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": ["string", "integer"], "format": "uint64" }),
            Kind::Float => float("float"),
            Kind::Double => float("double"),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Enum(cases) => self.cases(&cases),
            Kind::Message(message) => {
                self.message(&message);
                reference(&message)
            }
        }
    }

    fn cases(&mut self, cases: &EnumDescriptor) -> Value {
        if cases.full_name() == "google.protobuf.NullValue" {
            return json!({ "type": "null" });
        }
        if self.seen.insert(cases.full_name().to_owned()) {
            let names: Vec<String> = cases.values().map(|value| value.name().to_owned()).collect();
            let docs = comment(&cases.parent_file(), cases.path());
            self.out.insert(cases.full_name().to_owned(), described(json!({ "type": "string", "enum": names }), docs));
        }
        named(cases.full_name())
    }
}

fn float(format: &str) -> Value {
    json!({ "anyOf": [{ "type": "number", "format": format }, { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] }] })
}

/// Messages that JSON writes in a way of their own.
fn well_known(name: &str) -> Option<Value> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "Duration" => json!({ "type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$" }),
        "FieldMask" => json!({ "type": "string" }),
        "Struct" => json!({ "type": "object" }),
        "ListValue" => json!({ "type": "array" }),
        "Value" => json!({}),
        "Any" => json!({ "type": "object", "properties": { "@type": { "type": "string" } } }),
        "BoolValue" => json!({ "type": "boolean" }),
        "Int32Value" => json!({ "type": "integer", "format": "int32" }),
        "UInt32Value" => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        "Int64Value" => json!({ "type": ["string", "integer"], "format": "int64" }),
        "UInt64Value" => json!({ "type": ["string", "integer"], "format": "uint64" }),
        "FloatValue" => float("float"),
        "DoubleValue" => float("double"),
        "StringValue" => json!({ "type": "string" }),
        "BytesValue" => json!({ "type": "string", "contentEncoding": "base64" }),
        _ => return None,
    })
}
