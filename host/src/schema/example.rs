//! A message as a user might write it. What may be left out is left out below the first level, so
//! that an example stays one line.

use serde_json::{Map, Value as Json, json};

use super::model::{Card, EMPTY, Field, Kind, Shape, Types};

/// An example of a message, as proto3 JSON.
pub(super) fn message(types: &Types, index: usize) -> Json {
    of_message(types, index, 0)
}

fn of_message(types: &Types, index: usize, depth: usize) -> Json {
    let message = types.message(index);
    let mut object = Map::new();
    for field in &message.fields {
        if let Some(value) = of_field(types, field, depth) {
            object.insert(field.json_name.clone(), value);
        }
        if message.shape == Shape::Variant {
            break;
        }
    }
    Json::Object(object)
}

fn of_field(types: &Types, field: &Field, depth: usize) -> Option<Json> {
    let one = || of_kind(types, field.kind, depth);
    match field.card {
        Card::Single | Card::Unit => Some(one()),
        Card::Repeated(Some(count)) => Some(Json::Array((0..count).map(|_| one()).collect())),
        _ if depth > 0 => None,
        Card::Optional => Some(one()),
        Card::Repeated(None) | Card::Flags => Some(Json::Array(vec![one()])),
        // A map with a key that protobuf knows is a JSON object; any other is a list of entries.
        Card::Map { keyed: true } => Some(json!({})),
        Card::Map { keyed: false } => Some(json!([])),
    }
}

fn of_kind(types: &Types, kind: Kind, depth: usize) -> Json {
    match kind {
        Kind::Bool => json!(true),
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::S8 | Kind::S16 | Kind::S32 => json!(1),
        Kind::U64 | Kind::S64 => json!("1"),
        Kind::F32 | Kind::F64 => json!(1.5),
        Kind::Char => json!("c"),
        Kind::String => json!("text"),
        Kind::Bytes => json!("Ynl0ZXM="),
        Kind::FixedBytes(length) => {
            use base64::Engine;
            json!(base64::engine::general_purpose::STANDARD.encode(vec![1; length as usize]))
        }
        Kind::Enum(index) => types.enumeration(index).values.first().map_or(json!(1), |value| json!(value.name)),
        Kind::Message(EMPTY) => json!({}),
        Kind::Message(index) => of_message(types, index, depth + 1),
    }
}
