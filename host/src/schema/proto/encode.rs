//! From values to the wire, in one buffer: fields in the order of their numbers, defaults left out
//! where the field has no presence.

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::schema::Value;
use crate::schema::fault::Fault;
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};
use crate::schema::output::Output;

/// Writes a whole message of at most `limit` bytes.
pub(in crate::schema) fn encode(types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut encoder = Encoder { types, output: Output::new(limit) };
    encoder.message(message, value)?;
    encoder.output.finish()
}

struct Encoder<'t> {
    types: &'t Types,
    output: Output,
}

impl Encoder<'_> {
    fn message(&mut self, message: &Message, value: &Value) -> Result<(), Fault> {
        match (message.shape, value) {
            (Shape::Record, Value::Record(values)) if values.len() == message.fields.len() => {
                for ((number, field), value) in (1u32..).zip(&message.fields).zip(values) {
                    self.field(number, field, value)?;
                }
                Ok(())
            }
            (Shape::Variant, Value::Variant(case, payload)) => {
                let field = message.fields.get(*case as usize).ok_or_else(Fault::mismatch)?;
                match (field.card, payload) {
                    (Card::Unit, None) => {
                        encode_key(case + 1, WireType::LengthDelimited, &mut self.output.bytes);
                        self.output.bytes.push(0);
                        Ok(())
                    }
                    // Members of a oneof have presence: a default is written.
                    (Card::Single, Some(payload)) => self.element(case + 1, field.kind, payload),
                    _ => Err(Fault::mismatch()),
                }
            }
            (Shape::Wrapper, value) => match message.fields.as_slice() {
                [field] => self.field(1, field, value),
                _ => Err(Fault::mismatch()),
            },
            _ => Err(Fault::mismatch()),
        }
    }

    fn field(&mut self, number: u32, field: &Field, value: &Value) -> Result<(), Fault> {
        match (field.card, value) {
            (Card::Single, value) if is_default(value) => Ok(()),
            (Card::Single, value) => self.element(number, field.kind, value),
            (Card::Optional, Value::Variant(0, None)) => Ok(()),
            (Card::Optional, Value::Variant(1, Some(value))) => self.element(number, field.kind, value),
            (Card::Repeated(_), Value::List(list)) => self.list(number, field.kind, list),
            (Card::Flags, Value::Flags(words)) => self.flags(number, field.kind, words),
            (Card::Map { .. }, Value::Map(entries)) => {
                let Kind::Message(entry) = field.kind else { return Err(Fault::mismatch()) };
                let [key_field, value_field] = self.types.message(entry).fields.as_slice() else { return Err(Fault::mismatch()) };
                for (key, value) in entries {
                    self.delimited(number, |encoder| {
                        encoder.field(1, key_field, key)?;
                        encoder.field(2, value_field, value)
                    })?;
                    self.output.within_limit()?;
                }
                Ok(())
            }
            _ => Err(Fault::mismatch()),
        }
    }

    fn list(&mut self, number: u32, kind: Kind, list: &[Value]) -> Result<(), Fault> {
        if list.is_empty() {
            return Ok(());
        }
        match kind {
            Kind::Char | Kind::String | Kind::Bytes | Kind::FixedBytes(_) | Kind::Message(_) => {
                for value in list {
                    self.element(number, kind, value)?;
                    self.output.within_limit()?;
                }
                Ok(())
            }
            _ => self.delimited(number, |encoder| {
                for value in list {
                    encoder.packed(kind, value)?;
                }
                encoder.output.within_limit()
            }),
        }
    }

    fn flags(&mut self, number: u32, kind: Kind, words: &[u32]) -> Result<(), Fault> {
        let Kind::Enum(index) = kind else { return Err(Fault::mismatch()) };
        let count = self.types.enumeration(index).values.len();
        if words.iter().all(|word| *word == 0) {
            return Ok(());
        }
        self.delimited(number, |encoder| {
            for flag in (0..count).filter(|flag| words.get(flag / 32).is_some_and(|word| word >> (flag % 32) & 1 == 1)) {
                encode_varint(flag as u64 + 1, &mut encoder.output.bytes);
            }
            Ok(())
        })
    }

    /// One element with its key.
    fn element(&mut self, number: u32, kind: Kind, value: &Value) -> Result<(), Fault> {
        match (kind, value) {
            (Kind::Message(message), value) => {
                let message = self.types.message(message);
                self.delimited(number, |encoder| encoder.message(message, value))
            }
            (Kind::String, Value::String(text)) => {
                self.bytes(number, text.as_bytes());
                Ok(())
            }
            (Kind::Char, Value::Char(letter)) => {
                self.bytes(number, letter.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(())
            }
            (Kind::Bytes, Value::Bytes(bytes)) => {
                self.bytes(number, bytes);
                Ok(())
            }
            (Kind::FixedBytes(_), Value::List(list)) => self.delimited(number, |encoder| {
                for value in list {
                    let Value::U8(byte) = value else { return Err(Fault::mismatch()) };
                    encoder.output.bytes.push(*byte);
                }
                Ok(())
            }),
            (Kind::F32, value) => {
                encode_key(number, WireType::ThirtyTwoBit, &mut self.output.bytes);
                self.packed(kind, value)
            }
            (Kind::F64, value) => {
                encode_key(number, WireType::SixtyFourBit, &mut self.output.bytes);
                self.packed(kind, value)
            }
            (kind, value) => {
                encode_key(number, WireType::Varint, &mut self.output.bytes);
                self.packed(kind, value)
            }
        }
    }

    /// One number without key.
    fn packed(&mut self, kind: Kind, value: &Value) -> Result<(), Fault> {
        let number = match (kind, value) {
            (Kind::F32, Value::F32(number)) => {
                self.output.bytes.extend_from_slice(&number.to_le_bytes());
                return Ok(());
            }
            (Kind::F64, Value::F64(number)) => {
                self.output.bytes.extend_from_slice(&number.to_le_bytes());
                return Ok(());
            }
            (Kind::Bool, Value::Bool(yes)) => u64::from(*yes),
            (Kind::U8, Value::U8(number)) => u64::from(*number),
            (Kind::U16, Value::U16(number)) => u64::from(*number),
            (Kind::U32, Value::U32(number)) => u64::from(*number),
            (Kind::U64, Value::U64(number)) => *number,
            // Signs are extended to 64 bits: what int32 and int64 ask for.
            (Kind::S8, Value::S8(number)) => i64::from(*number) as u64,
            (Kind::S16, Value::S16(number)) => i64::from(*number) as u64,
            (Kind::S32, Value::S32(number)) => i64::from(*number) as u64,
            (Kind::S64, Value::S64(number)) => *number as u64,
            (Kind::Enum(index), Value::Variant(case, None)) if (*case as usize) < self.types.enumeration(index).values.len() => {
                u64::from(*case) + 1
            }
            _ => return Err(Fault::mismatch()),
        };
        encode_varint(number, &mut self.output.bytes);
        Ok(())
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        encode_key(number, WireType::LengthDelimited, &mut self.output.bytes);
        encode_varint(bytes.len() as u64, &mut self.output.bytes);
        self.output.bytes.extend_from_slice(bytes);
    }

    /// Writes a field whose length is known only afterwards. One byte is kept free for it, which is
    /// enough for most; a longer one moves what was written.
    fn delimited(&mut self, number: u32, write: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        encode_key(number, WireType::LengthDelimited, &mut self.output.bytes);
        let start = self.output.bytes.len();
        self.output.bytes.push(0);
        write(self)?;
        let length = self.output.bytes.len() - start - 1;
        if length < 0x80 {
            self.output.bytes[start] = length as u8;
            return Ok(());
        }
        let mut buffer = [0u8; 10];
        let mut rest = &mut buffer[..];
        encode_varint(length as u64, &mut rest);
        let width = 10 - rest.len();
        self.output.bytes.splice(start..=start, buffer[..width].iter().copied());
        Ok(())
    }
}

/// Whether a field without presence leaves the value out. Negative zero is no default.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::U8(number) => *number == 0,
        Value::U16(number) => *number == 0,
        Value::U32(number) => *number == 0,
        Value::U64(number) => *number == 0,
        Value::S8(number) => *number == 0,
        Value::S16(number) => *number == 0,
        Value::S32(number) => *number == 0,
        Value::S64(number) => *number == 0,
        Value::F32(number) => number.to_bits() == 0,
        Value::F64(number) => number.to_bits() == 0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        _ => false,
    }
}
