//! From values to JSON. Every field that is no `option` is written, defaults too, so that a reader
//! sees the whole of the type.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::schema::fault::Fault;
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};
use crate::schema::{Value, too_large};

/// Where the buffer begins; most replies stay within.
const CAPACITY: usize = 512;

/// Writes a whole message of at most `limit` bytes.
pub(in crate::schema) fn encode(types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut encoder = Encoder { types, out: Vec::with_capacity(CAPACITY), limit };
    encoder.message(message, value)?;
    encoder.within_limit()?;
    Ok(encoder.out)
}

struct Encoder<'t> {
    types: &'t Types,
    out: Vec<u8>,
    limit: usize,
}

impl Encoder<'_> {
    fn within_limit(&self) -> Result<(), Fault> {
        if self.out.len() > self.limit { Err(too_large(self.limit)) } else { Ok(()) }
    }

    fn message(&mut self, message: &Message, value: &Value) -> Result<(), Fault> {
        self.out.push(b'{');
        match (message.shape, value) {
            (Shape::Record, Value::Record(values)) if values.len() == message.fields.len() => {
                let mut first = true;
                for (field, value) in message.fields.iter().zip(values) {
                    self.field(field, value, &mut first)?;
                }
            }
            (Shape::Variant, Value::Variant(case, payload)) => {
                let field = message.fields.get(*case as usize).ok_or_else(Fault::mismatch)?;
                self.name(&field.json_name, &mut true);
                match (field.card, payload) {
                    (Card::Unit, None) => self.out.extend_from_slice(b"{}"),
                    (Card::Single, Some(payload)) => self.element(field.kind, payload)?,
                    _ => return Err(Fault::mismatch()),
                }
            }
            (Shape::Wrapper, value) => {
                let [field] = message.fields.as_slice() else { return Err(Fault::mismatch()) };
                self.field(field, value, &mut true)?;
            }
            _ => return Err(Fault::mismatch()),
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a name of the schema: letters, digits and underscores, so nothing is to be escaped.
    fn name(&mut self, name: &str, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn field(&mut self, field: &Field, value: &Value, first: &mut bool) -> Result<(), Fault> {
        if let (Card::Optional, Value::Variant(0, None)) = (field.card, value) {
            return Ok(());
        }
        self.name(&field.json_name, first);
        match (field.card, value) {
            (Card::Single, value) => self.element(field.kind, value),
            (Card::Optional, Value::Variant(1, Some(value))) => self.element(field.kind, value),
            (Card::Repeated(_), Value::List(list)) => self.list(list, |encoder, value| encoder.element(field.kind, value)),
            (Card::Flags, Value::Flags(words)) => self.flags(field.kind, words),
            (Card::Map { keyed }, Value::Map(entries)) => self.map(field.kind, keyed, entries),
            _ => Err(Fault::mismatch()),
        }
    }

    fn list<T>(&mut self, list: &[T], mut write: impl FnMut(&mut Self, &T) -> Result<(), Fault>) -> Result<(), Fault> {
        self.out.push(b'[');
        for (index, element) in list.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self, element)?;
            self.within_limit()?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn flags(&mut self, kind: Kind, words: &[u32]) -> Result<(), Fault> {
        let Kind::Enum(index) = kind else { return Err(Fault::mismatch()) };
        let values = &self.types.enumeration(index).values;
        self.out.push(b'[');
        let mut first = true;
        let set = |flag: usize| words.get(flag / 32).is_some_and(|word| word >> (flag % 32) & 1 == 1);
        for (_, value) in values.iter().enumerate().filter(|(flag, _)| set(*flag)) {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.push(b'"');
            self.out.extend_from_slice(value.name.as_bytes());
            self.out.push(b'"');
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, kind: Kind, keyed: bool, entries: &[(Value, Value)]) -> Result<(), Fault> {
        let Kind::Message(entry) = kind else { return Err(Fault::mismatch()) };
        let [key_field, value_field] = self.types.message(entry).fields.as_slice() else { return Err(Fault::mismatch()) };
        if !keyed {
            return self.list(entries, |encoder, (key, value)| {
                encoder.out.push(b'{');
                let mut first = true;
                encoder.field(key_field, key, &mut first)?;
                encoder.field(value_field, value, &mut first)?;
                encoder.out.push(b'}');
                Ok(())
            });
        }
        // An object may not name a key twice: the last entry of each counts, in its first place.
        let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        let mut last: Vec<(&Value, &Value)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match places.entry(key_text(key)?) {
                std::collections::hash_map::Entry::Occupied(place) => last[*place.get()].1 = value,
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(last.len());
                    last.push((key, value));
                }
            }
        }
        self.out.push(b'{');
        for (index, (key, value)) in last.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.json(&key_text(key)?)?;
            self.out.push(b':');
            self.element(value_field.kind, value)?;
            self.within_limit()?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn element(&mut self, kind: Kind, value: &Value) -> Result<(), Fault> {
        match (kind, value) {
            (Kind::Message(message), value) => self.message(self.types.message(message), value),
            (Kind::Bool, Value::Bool(yes)) => self.json(yes),
            (Kind::U8, Value::U8(number)) => self.json(number),
            (Kind::U16, Value::U16(number)) => self.json(number),
            (Kind::U32, Value::U32(number)) => self.json(number),
            (Kind::S8, Value::S8(number)) => self.json(number),
            (Kind::S16, Value::S16(number)) => self.json(number),
            (Kind::S32, Value::S32(number)) => self.json(number),
            // JavaScript's numbers hold 53 bits, so proto3 JSON has longer integers in quotes.
            (Kind::U64, Value::U64(number)) => self.quoted(number),
            (Kind::S64, Value::S64(number)) => self.quoted(number),
            (Kind::F32, Value::F32(number)) if number.is_finite() => self.json(number),
            (Kind::F64, Value::F64(number)) if number.is_finite() => self.json(number),
            (Kind::F32, Value::F32(number)) => self.special(f64::from(*number)),
            (Kind::F64, Value::F64(number)) => self.special(*number),
            (Kind::Char, Value::Char(letter)) => self.json(letter),
            (Kind::String, Value::String(text)) => self.json(text),
            (Kind::Bytes, Value::Bytes(bytes)) => self.base64(bytes),
            (Kind::FixedBytes(_), Value::List(list)) => {
                let byte = |value: &Value| if let Value::U8(byte) = value { Ok(*byte) } else { Err(Fault::mismatch()) };
                self.base64(&list.iter().map(byte).collect::<Result<Vec<u8>, Fault>>()?)
            }
            (Kind::Enum(index), Value::Variant(case, None)) => {
                let value = self.types.enumeration(index).values.get(*case as usize).ok_or_else(Fault::mismatch)?;
                self.quoted(&value.name)
            }
            _ => Err(Fault::mismatch()),
        }
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        serde_json::to_writer(&mut self.out, value).map_err(|_| Fault::mismatch())
    }

    /// In quotes, where nothing is to be escaped.
    fn quoted(&mut self, value: &impl std::fmt::Display) -> Result<(), Fault> {
        use std::io::Write;
        write!(self.out, "\"{value}\"").map_err(|_| Fault::mismatch())
    }

    fn special(&mut self, number: f64) -> Result<(), Fault> {
        let name: &[u8] = match number {
            number if number.is_nan() => b"\"NaN\"",
            number if number > 0.0 => b"\"Infinity\"",
            _ => b"\"-Infinity\"",
        };
        self.out.extend_from_slice(name);
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + base64::encoded_len(bytes.len(), true).ok_or_else(Fault::mismatch)?, 0);
        STANDARD.encode_slice(bytes, &mut self.out[start..]).map_err(|_| Fault::mismatch())?;
        self.out.push(b'"');
        Ok(())
    }
}

fn key_text(key: &Value) -> Result<String, Fault> {
    Ok(match key {
        Value::Bool(yes) => yes.to_string(),
        Value::U8(number) => number.to_string(),
        Value::U16(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::S8(number) => number.to_string(),
        Value::S16(number) => number.to_string(),
        Value::S32(number) => number.to_string(),
        Value::S64(number) => number.to_string(),
        Value::Char(letter) => letter.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(Fault::mismatch()),
    })
}
