//! MessagePack, with the fields' names.
//!
//! Source: the MessagePack specification at github.com/msgpack/msgpack.

mod read;
mod write;

use super::Value;
use super::document::{self, Cursor};
use super::fault::Fault;
use super::model::{Message, Types};

/// Reads a whole message.
pub(super) fn decode(types: &Types, message: &Message, body: &[u8]) -> Result<Value, Fault> {
    let mut reader = read::Reader(Cursor::new(body, "MessagePack"));
    let value = document::decode(types, message, &mut reader)?;
    reader.0.end()?;
    Ok(value)
}

/// Writes a whole message of at most `limit` bytes.
pub(super) fn encode(types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    document::encode::<write::Writer>(types, message, value, limit)
}
