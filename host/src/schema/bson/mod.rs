//! BSON, with the fields' names.
//!
//! Source: bsonspec.org, version 1.1.

mod read;
mod write;

use super::Value;
use super::document;
use super::fault::Fault;
use super::model::{Message, Types};

/// What an element is: its first byte.
const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BINARY: u8 = 0x05;
const BOOL: u8 = 0x08;
const NULL: u8 = 0x0a;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// Reads a whole message.
pub(super) fn decode(types: &Types, message: &Message, body: &[u8]) -> Result<Value, Fault> {
    let mut reader = read::Reader::new(body);
    let value = document::decode(types, message, &mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Writes a whole message of at most `limit` bytes.
pub(super) fn encode(types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    document::encode::<write::Writer>(types, message, value, limit)
}
