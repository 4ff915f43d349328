//! A message as a user might write it, by the rules of the examples of typed services: what may be
//! left out is left out below the first level.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// An example of a message, as proto3 JSON.
pub(super) fn message(message: &MessageDescriptor) -> Value {
    of_message(message, 0)
}

fn of_message(message: &MessageDescriptor, depth: usize) -> Value {
    if let Some(value) = well_known(message.full_name()) {
        return value;
    }
    let mut object = Map::new();
    let mut oneofs = Vec::new();
    for field in message.fields() {
        if let Some(oneof) = field.containing_oneof() {
            if oneofs.contains(&oneof) {
                continue;
            }
            oneofs.push(oneof);
        }
        if let Some(value) = of_field(&field, depth) {
            object.insert(field.json_name().to_owned(), value);
        }
    }
    Value::Object(object)
}

/// Messages that JSON writes in a way of their own.
fn well_known(name: &str) -> Option<Value> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!("2026-01-31T12:00:00Z"),
        "Duration" => json!("1.5s"),
        "FieldMask" => json!("field,other.field"),
        "Struct" | "Any" => json!({}),
        "ListValue" => json!([]),
        "Value" | "StringValue" => json!("text"),
        "BoolValue" => json!(true),
        "Int32Value" | "UInt32Value" => json!(1),
        "Int64Value" | "UInt64Value" => json!("1"),
        "FloatValue" | "DoubleValue" => json!(1.5),
        "BytesValue" => json!("Ynl0ZXM="),
        _ => return None,
    })
}

fn of_field(field: &FieldDescriptor, depth: usize) -> Option<Value> {
    if field.is_map() {
        return (depth == 0).then(|| json!({}));
    }
    let message = matches!(field.kind(), Kind::Message(_));
    // Below the first level a message may be of a type that it is a part of.
    if depth > 0 && (field.is_list() || message || field.supports_presence()) && !field.is_required() {
        return None;
    }
    let one = of_kind(field, depth);
    Some(if field.is_list() { Value::Array(vec![one]) } else { one })
}

fn of_kind(field: &FieldDescriptor, depth: usize) -> Value {
    match field.kind() {
        Kind::Bool => json!(true),
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => json!(1),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => json!("1"),
        Kind::Float | Kind::Double => json!(1.5),
        Kind::String => json!("text"),
        Kind::Bytes => json!("Ynl0ZXM="),
        // The first is what a field holds that was forgotten; the next one means something.
        Kind::Enum(cases) => {
            let name = cases.values().nth(1).or_else(|| cases.values().next()).map(|value| value.name().to_owned());
            json!(name)
        }
        // A message that proto2 requires within itself has no example.
        Kind::Message(_) if depth > MAX_DEPTH => json!({}),
        Kind::Message(message) => of_message(&message, depth + 1),
    }
}

/// Required messages are shown no deeper.
const MAX_DEPTH: usize = 8;
