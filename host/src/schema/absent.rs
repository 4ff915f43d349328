//! What a message leaves out, and what its values cost: both codecs answer alike.

use super::fault::Fault;
use super::model::{Card, Field, Kind, Shape, Types};
use super::{MAX_VALUES, Value};

/// How many values a message may still become.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn full() -> Budget {
        Budget(MAX_VALUES)
    }

    pub(super) fn spend(&mut self, values: usize) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(values).ok_or_else(|| Fault::too_many(format!("the message holds more than {MAX_VALUES} values")))?;
        Ok(())
    }

    /// An empty set of flags. Its words count: many flags are more than one value.
    pub(super) fn flags(&mut self, types: &Types, kind: Kind) -> Result<Value, Fault> {
        let Kind::Enum(index) = kind else { return Err(Fault::mismatch()) };
        let words = types.enumeration(index).words();
        self.spend(1 + words / 8)?;
        Ok(Value::Flags(vec![0; words]))
    }
}

/// The value of a field that is not there: proto3's default, where there is one.
///
/// `spell` gives the name by which the codec knows a field.
pub(super) fn absent(types: &Types, field: &Field, budget: &mut Budget, spell: fn(&Field) -> &str) -> Result<Value, Fault> {
    if field.card == Card::Flags {
        return budget.flags(types, field.kind);
    }
    budget.spend(1)?;
    Ok(match (field.card, field.kind) {
        (Card::Optional, _) => Value::Variant(0, None),
        (Card::Repeated(None | Some(0)), _) => Value::List(Vec::new()),
        (Card::Repeated(Some(length)), _) => return Err(Fault::invalid(format!("not set; expected {length} elements"))),
        (Card::Map { .. }, _) => Value::Map(Vec::new()),
        (Card::Flags | Card::Unit, _) => return Err(Fault::mismatch()),
        (Card::Single, kind) => match kind {
            Kind::Bool => Value::Bool(false),
            Kind::U8 => Value::U8(0),
            Kind::U16 => Value::U16(0),
            Kind::U32 => Value::U32(0),
            Kind::U64 => Value::U64(0),
            Kind::S8 => Value::S8(0),
            Kind::S16 => Value::S16(0),
            Kind::S32 => Value::S32(0),
            Kind::S64 => Value::S64(0),
            Kind::F32 => Value::F32(0.0),
            Kind::F64 => Value::F64(0.0),
            Kind::String => Value::String(String::new()),
            Kind::Bytes => Value::Bytes(Vec::new()),
            Kind::FixedBytes(0) => Value::List(Vec::new()),
            Kind::FixedBytes(length) => return Err(Fault::invalid(format!("not set; expected {length} bytes"))),
            Kind::Char => return Err(Fault::invalid("not set; expected one character")),
            Kind::Enum(index) => {
                return Err(Fault::invalid(format!("not set; expected one of {}", types.enumeration(index).choices())));
            }
            Kind::Message(index) => {
                let message = types.message(index);
                if message.shape == Shape::Variant {
                    return Err(Fault::invalid(format!("not set; expected one of {}", message.choices())));
                }
                let mut fields = Vec::with_capacity(message.fields.len());
                for field in &message.fields {
                    fields.push(absent(types, field, budget, spell).map_err(|fault| fault.at(spell(field)))?);
                }
                match message.shape {
                    Shape::Wrapper => return fields.pop().ok_or_else(Fault::mismatch),
                    _ => Value::Record(fields),
                }
            }
        },
    })
}

/// The only character of a text.
pub(super) fn one_char(text: &str) -> Result<char, Fault> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err(Fault::expected("one character", &super::fault::quote(text))),
    }
}

/// A `list<u8, n>` of these bytes.
pub(super) fn fixed_bytes(bytes: &[u8], length: u32, budget: &mut Budget) -> Result<Value, Fault> {
    if bytes.len() != length as usize {
        return Err(Fault::expected(&format!("{length} bytes"), &bytes.len().to_string()));
    }
    budget.spend(bytes.len())?;
    Ok(Value::List(bytes.iter().map(|byte| Value::U8(*byte)).collect()))
}
