//! From values to documents. Every field that is no `option` is written, defaults too, so that a
//! reader sees the whole of the type.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Key, Writer};
use crate::schema::Value;
use crate::schema::fault::Fault;
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};
use crate::schema::output::Output;

/// Writes a whole message of at most `limit` bytes.
pub(in crate::schema) fn encode<W: Writer>(types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut encoder = Encoder { types, writer: W::new(Output::new(limit.min(W::MAX))) };
    encoder.message(message, value)?;
    encoder.writer.into_output().finish()
}

struct Encoder<'t, W> {
    types: &'t Types,
    writer: W,
}

impl<W: Writer> Encoder<'_, W> {
    fn message(&mut self, message: &Message, value: &Value) -> Result<(), Fault> {
        match (message.shape, value) {
            (Shape::Record, Value::Record(values)) if values.len() == message.fields.len() => {
                let fields = || message.fields.iter().zip(values);
                let count = || fields().filter(|(field, value)| !is_left_out(field, value)).count();
                let mut inside = self.writer.map(count);
                for (field, value) in fields() {
                    self.field(field, value, &mut inside)?;
                }
                self.writer.end_map(inside);
                Ok(())
            }
            (Shape::Variant, Value::Variant(case, payload)) => {
                let field = message.fields.get(*case as usize).ok_or_else(Fault::mismatch)?;
                let mut inside = self.writer.map(|| 1);
                self.writer.name(&mut inside, &field.json_name);
                match (field.card, payload) {
                    (Card::Unit, None) => {
                        let empty = self.writer.map(|| 0);
                        self.writer.end_map(empty);
                    }
                    (Card::Single, Some(payload)) => self.element(field.kind, payload)?,
                    _ => return Err(Fault::mismatch()),
                }
                self.writer.end_map(inside);
                Ok(())
            }
            (Shape::Wrapper, value) => {
                let [field] = message.fields.as_slice() else { return Err(Fault::mismatch()) };
                let mut inside = self.writer.map(|| usize::from(!is_left_out(field, value)));
                self.field(field, value, &mut inside)?;
                self.writer.end_map(inside);
                Ok(())
            }
            _ => Err(Fault::mismatch()),
        }
    }

    fn field(&mut self, field: &Field, value: &Value, inside: &mut W::Inside) -> Result<(), Fault> {
        if is_left_out(field, value) {
            return Ok(());
        }
        self.writer.name(inside, &field.json_name);
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
        let mut inside = self.writer.list(list.len());
        for element in list {
            self.writer.element(&mut inside);
            write(self, element)?;
            self.writer.output().within_limit()?;
        }
        self.writer.end_list(inside);
        Ok(())
    }

    fn flags(&mut self, kind: Kind, words: &[u32]) -> Result<(), Fault> {
        let Kind::Enum(index) = kind else { return Err(Fault::mismatch()) };
        let values = &self.types.enumeration(index).values;
        let is_set = |flag: usize| words.get(flag / 32).is_some_and(|word| word >> (flag % 32) & 1 == 1);
        let set = || values.iter().enumerate().filter(|(flag, _)| is_set(*flag));
        let mut inside = self.writer.list(set().count());
        for (_, value) in set() {
            self.writer.element(&mut inside);
            self.writer.plain(&value.name);
        }
        self.writer.end_list(inside);
        Ok(())
    }

    fn map(&mut self, kind: Kind, keyed: bool, entries: &[(Value, Value)]) -> Result<(), Fault> {
        let Kind::Message(entry) = kind else { return Err(Fault::mismatch()) };
        let [key_field, value_field] = self.types.message(entry).fields.as_slice() else { return Err(Fault::mismatch()) };
        if !keyed {
            return self.list(entries, |encoder, (key, value)| {
                let count = || [(key_field, key), (value_field, value)].iter().filter(|(field, value)| !is_left_out(field, value)).count();
                let mut inside = encoder.writer.map(count);
                encoder.field(key_field, key, &mut inside)?;
                encoder.field(value_field, value, &mut inside)?;
                encoder.writer.end_map(inside);
                Ok(())
            });
        }
        // A map may not name a key twice: the last entry of each counts, in its first place.
        let mut places: HashMap<Key<'_>, usize> = HashMap::with_capacity(entries.len());
        let mut last: Vec<(Key<'_>, &Value)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = key_of(key)?;
            match places.entry(key.clone()) {
                Entry::Occupied(place) => last[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    place.insert(last.len());
                    last.push((key, value));
                }
            }
        }
        let mut inside = self.writer.map(|| last.len());
        for (key, value) in last {
            self.writer.key(&mut inside, &key)?;
            self.element(value_field.kind, value)?;
            self.writer.output().within_limit()?;
        }
        self.writer.end_map(inside);
        Ok(())
    }

    fn element(&mut self, kind: Kind, value: &Value) -> Result<(), Fault> {
        match (kind, value) {
            (Kind::Message(message), value) => return self.message(self.types.message(message), value),
            (Kind::Bool, Value::Bool(yes)) => self.writer.bool(*yes),
            (Kind::U8, Value::U8(number)) => self.writer.small((*number).into()),
            (Kind::U16, Value::U16(number)) => self.writer.small((*number).into()),
            (Kind::U32, Value::U32(number)) => self.writer.small((*number).into()),
            (Kind::S8, Value::S8(number)) => self.writer.small((*number).into()),
            (Kind::S16, Value::S16(number)) => self.writer.small((*number).into()),
            (Kind::S32, Value::S32(number)) => self.writer.small((*number).into()),
            (Kind::U64, Value::U64(number)) => self.writer.unsigned(*number),
            (Kind::S64, Value::S64(number)) => self.writer.signed(*number),
            (Kind::F32, Value::F32(number)) => self.writer.f32(*number),
            (Kind::F64, Value::F64(number)) => self.writer.f64(*number),
            (Kind::Char, Value::Char(letter)) => self.writer.text(letter.encode_utf8(&mut [0; 4])),
            (Kind::String, Value::String(text)) => self.writer.text(text),
            (Kind::Bytes, Value::Bytes(bytes)) => self.writer.bytes(bytes),
            (Kind::FixedBytes(_), Value::List(list)) => {
                let byte = |value: &Value| if let Value::U8(byte) = value { Ok(*byte) } else { Err(Fault::mismatch()) };
                self.writer.bytes(&list.iter().map(byte).collect::<Result<Vec<u8>, Fault>>()?);
            }
            (Kind::Enum(index), Value::Variant(case, None)) => {
                let value = self.types.enumeration(index).values.get(*case as usize).ok_or_else(Fault::mismatch)?;
                self.writer.plain(&value.name);
            }
            _ => return Err(Fault::mismatch()),
        }
        Ok(())
    }
}

/// Whether a field is not written: an option that holds nothing.
fn is_left_out(field: &Field, value: &Value) -> bool {
    matches!((field.card, value), (Card::Optional, Value::Variant(0, None)))
}

fn key_of(key: &Value) -> Result<Key<'_>, Fault> {
    Ok(match key {
        Value::Bool(yes) => Key::Bool(*yes),
        Value::U8(number) => Key::Integer((*number).into()),
        Value::U16(number) => Key::Integer((*number).into()),
        Value::U32(number) => Key::Integer((*number).into()),
        Value::U64(number) => Key::Integer((*number).into()),
        Value::S8(number) => Key::Integer((*number).into()),
        Value::S16(number) => Key::Integer((*number).into()),
        Value::S32(number) => Key::Integer((*number).into()),
        Value::S64(number) => Key::Integer((*number).into()),
        Value::Char(letter) => Key::Text(Cow::Owned(letter.to_string())),
        Value::String(text) => Key::Text(Cow::Borrowed(text)),
        _ => return Err(Fault::mismatch()),
    })
}
