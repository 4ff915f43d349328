//! Proto3 JSON.
//!
//! Written by hand where serde_json would do less: its floats lose their last bit without a feature
//! that all of its users would have to share, and neither an error's path nor what was found is
//! within reach of a visitor.
//!
//! Source: protobuf.dev, "ProtoJSON Format".

mod read;
mod write;

use super::Value;
use super::document;
use super::fault::Fault;
use super::model::{Message, Types};

/// Reads a whole message.
pub(super) fn decode(types: &Types, message: &Message, body: &[u8]) -> Result<Value, Fault> {
    let mut reader = read::Reader::new(body)?;
    let value = document::decode(types, message, &mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Writes a whole message of at most `limit` bytes.
pub(super) fn encode(types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    document::encode::<write::Writer>(types, message, value, limit)
}
