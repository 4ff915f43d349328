//! From the wire to values. Unknown fields are skipped, the last of several wins, embedded messages
//! that come in pieces are merged.

use std::borrow::Cow;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::schema::Value;
use crate::schema::absent::{Budget, absent, fixed_bytes, one_char};
use crate::schema::fault::{Fault, range};
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};

/// Reads a whole message.
pub(in crate::schema) fn decode(types: &Types, message: &Message, body: &[u8]) -> Result<Value, Fault> {
    Decoder { types, budget: Budget::full() }.message(message, body)
}

struct Decoder<'t> {
    types: &'t Types,
    budget: Budget,
}

impl Decoder<'_> {
    fn message(&mut self, message: &Message, body: &[u8]) -> Result<Value, Fault> {
        match message.shape {
            Shape::Variant => self.variant(message, body),
            Shape::Record => {
                self.budget.spend(1)?;
                self.fields(message, body).map(Value::Record)
            }
            Shape::Wrapper | Shape::Entry => {
                let mut fields = self.fields(message, body)?;
                // An entry is read by `entry`; a wrapper has the one field.
                fields.pop().ok_or_else(Fault::mismatch)
            }
        }
    }

    fn fields(&mut self, message: &Message, mut body: &[u8]) -> Result<Vec<Value>, Fault> {
        let mut slots: Vec<Option<Value>> = Vec::new();
        slots.resize_with(message.fields.len(), || None);
        // Embedded messages wait for the end: a later piece is merged by appending it, which is
        // what the encoding is made for. Until then, the slot holds the place in `waiting`.
        let mut waiting: Vec<(usize, Cow<'_, [u8]>)> = Vec::new();
        while !body.is_empty() {
            let (number, wire) = key(&mut body)?;
            let index = number as usize - 1;
            let Some(field) = message.fields.get(index) else {
                skip(number, wire, &mut body)?;
                continue;
            };
            let slot = &mut slots[index];
            if let (Kind::Message(_), Card::Single | Card::Optional) = (field.kind, field.card) {
                let piece = delimited(wire, &mut body).map_err(|fault| fault.at(&field.name))?;
                match slot {
                    Some(Value::U64(place)) => waiting[*place as usize].1.to_mut().extend_from_slice(piece),
                    _ => {
                        *slot = Some(Value::U64(waiting.len() as u64));
                        waiting.push((index, Cow::Borrowed(piece)));
                    }
                }
                continue;
            }
            self.field(field, wire, &mut body, slot).map_err(|fault| fault.at(&field.name))?;
        }
        for (index, body) in waiting {
            let field = &message.fields[index];
            slots[index] = Some(self.embedded(field.kind, &body).map_err(|fault| fault.at(&field.name))?);
        }
        let finish = |(index, slot): (usize, Option<Value>)| {
            let field = &message.fields[index];
            self.finish(field, slot).map_err(|fault| fault.at(&field.name))
        };
        slots.into_iter().enumerate().map(finish).collect()
    }

    fn embedded(&mut self, kind: Kind, body: &[u8]) -> Result<Value, Fault> {
        match kind {
            Kind::Message(message) => self.message(self.types.message(message), body),
            _ => Err(Fault::mismatch()),
        }
    }

    /// Reads one occurrence of a field that is no single message.
    fn field(&mut self, field: &Field, wire: WireType, body: &mut &[u8], slot: &mut Option<Value>) -> Result<(), Fault> {
        match field.card {
            Card::Single | Card::Optional => {
                self.budget.spend(1)?;
                *slot = Some(self.scalar(field.kind, wire, body)?);
            }
            Card::Repeated(fixed) => {
                let list = match slot.get_or_insert_with(|| Value::List(Vec::new())) {
                    Value::List(list) => list,
                    _ => return Err(Fault::mismatch()),
                };
                let full = |list: &Vec<Value>| fixed.is_some_and(|length| list.len() >= length as usize);
                let index = list.len();
                if let Kind::Message(message) = field.kind {
                    let piece = delimited(wire, body)?;
                    let element = self.message(self.types.message(message), piece);
                    list.push(element.map_err(|fault| fault.at_index(index))?);
                } else if wire == WireType::LengthDelimited && is_packable(field.kind) {
                    let mut packed = delimited(wire, body)?;
                    while !packed.is_empty() && !full(list) {
                        self.budget.spend(1)?;
                        let index = list.len();
                        list.push(self.scalar(field.kind, packed_wire(field.kind), &mut packed).map_err(|fault| fault.at_index(index))?);
                    }
                    if !packed.is_empty() {
                        return Err(wrong_length(fixed, "more"));
                    }
                } else {
                    self.budget.spend(1)?;
                    list.push(self.scalar(field.kind, wire, body).map_err(|fault| fault.at_index(index))?);
                }
                if fixed.is_some_and(|length| list.len() > length as usize) {
                    return Err(wrong_length(fixed, "more"));
                }
            }
            Card::Flags => {
                let Kind::Enum(index) = field.kind else { return Err(Fault::mismatch()) };
                if slot.is_none() {
                    *slot = Some(self.budget.flags(self.types, field.kind)?);
                }
                let Some(Value::Flags(words)) = slot else { return Err(Fault::mismatch()) };
                if wire == WireType::LengthDelimited {
                    let mut packed = delimited(wire, body)?;
                    while !packed.is_empty() {
                        let flag = self.case(index, WireType::Varint, &mut packed)?;
                        words[flag as usize / 32] |= 1 << (flag % 32);
                    }
                } else {
                    let flag = self.case(index, wire, body)?;
                    words[flag as usize / 32] |= 1 << (flag % 32);
                }
            }
            Card::Map { .. } => {
                let map = match slot.get_or_insert_with(|| Value::Map(Vec::new())) {
                    Value::Map(map) => map,
                    _ => return Err(Fault::mismatch()),
                };
                let index = map.len();
                let piece = delimited(wire, body)?;
                map.push(self.entry(field.kind, piece).map_err(|fault| fault.at_index(index))?);
            }
            Card::Unit => {
                delimited(wire, body)?;
                *slot = Some(Value::Bool(true));
            }
        }
        Ok(())
    }

    fn entry(&mut self, kind: Kind, body: &[u8]) -> Result<(Value, Value), Fault> {
        let Kind::Message(message) = kind else { return Err(Fault::mismatch()) };
        let fields = self.fields(self.types.message(message), body)?;
        let [key, value] = <[Value; 2]>::try_from(fields).map_err(|_| Fault::mismatch())?;
        Ok((key, value))
    }

    /// The value of a field after the last of its occurrences.
    fn finish(&mut self, field: &Field, slot: Option<Value>) -> Result<Value, Fault> {
        match (slot, field.card) {
            (Some(value), Card::Optional) => {
                self.budget.spend(1)?;
                Ok(Value::Variant(1, Some(Box::new(value))))
            }
            (Some(Value::List(list)), Card::Repeated(Some(length))) if list.len() != length as usize => {
                Err(wrong_length(Some(length), &list.len().to_string()))
            }
            (Some(value), _) => Ok(value),
            (None, _) => absent(self.types, field, &mut self.budget, |field| &field.name),
        }
    }

    fn variant(&mut self, message: &Message, mut body: &[u8]) -> Result<Value, Fault> {
        self.budget.spend(1)?;
        let mut set: Option<(usize, Payload<'_>)> = None;
        while !body.is_empty() {
            let (number, wire) = key(&mut body)?;
            let index = number as usize - 1;
            let Some(field) = message.fields.get(index) else {
                skip(number, wire, &mut body)?;
                continue;
            };
            if let (Kind::Message(_), Card::Single) = (field.kind, field.card) {
                let piece = delimited(wire, &mut body).map_err(|fault| fault.at(&field.name))?;
                match &mut set {
                    Some((last, Payload::Waiting(pieces))) if *last == index => pieces.to_mut().extend_from_slice(piece),
                    _ => set = Some((index, Payload::Waiting(Cow::Borrowed(piece)))),
                }
                continue;
            }
            let mut slot = None;
            self.field(field, wire, &mut body, &mut slot).map_err(|fault| fault.at(&field.name))?;
            set = Some((index, Payload::Read(if field.card == Card::Unit { None } else { slot })));
        }
        let Some((index, payload)) = set else {
            return Err(Fault::invalid(format!("not set; expected one of {}", message.choices())));
        };
        let field = &message.fields[index];
        let payload = match payload {
            Payload::Read(payload) => payload,
            Payload::Waiting(body) => Some(self.embedded(field.kind, &body).map_err(|fault| fault.at(&field.name))?),
        };
        Ok(Value::Variant(index as u32, payload.map(Box::new)))
    }

    fn case(&self, index: usize, wire: WireType, body: &mut &[u8]) -> Result<u32, Fault> {
        let number = varint(wire, body)? as i32;
        let cases = self.types.enumeration(index);
        let case = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).filter(|case| *case < cases.values.len());
        case.map(|case| case as u32).ok_or_else(|| Fault::expected(&format!("one of {}", cases.choices()), &format!("number {number}")))
    }

    fn scalar(&mut self, kind: Kind, wire: WireType, body: &mut &[u8]) -> Result<Value, Fault> {
        Ok(match kind {
            Kind::Bool => Value::Bool(varint(wire, body)? != 0),
            Kind::U8 => {
                let number = varint(wire, body)? as u32;
                Value::U8(u8::try_from(number).map_err(|_| Fault::expected(&range(0, u8::MAX), &number.to_string()))?)
            }
            Kind::U16 => {
                let number = varint(wire, body)? as u32;
                Value::U16(u16::try_from(number).map_err(|_| Fault::expected(&range(0, u16::MAX), &number.to_string()))?)
            }
            // Longer varints are cut to 32 bits, as the encoding says.
            Kind::U32 => Value::U32(varint(wire, body)? as u32),
            Kind::U64 => Value::U64(varint(wire, body)?),
            Kind::S8 => {
                let number = varint(wire, body)? as i32;
                Value::S8(i8::try_from(number).map_err(|_| Fault::expected(&range(i8::MIN, i8::MAX), &number.to_string()))?)
            }
            Kind::S16 => {
                let number = varint(wire, body)? as i32;
                Value::S16(i16::try_from(number).map_err(|_| Fault::expected(&range(i16::MIN, i16::MAX), &number.to_string()))?)
            }
            Kind::S32 => Value::S32(varint(wire, body)? as i32),
            Kind::S64 => Value::S64(varint(wire, body)? as i64),
            Kind::F32 => Value::F32(f32::from_le_bytes(fixed(WireType::ThirtyTwoBit, wire, body)?)),
            Kind::F64 => Value::F64(f64::from_le_bytes(fixed(WireType::SixtyFourBit, wire, body)?)),
            Kind::Char => Value::Char(one_char(text(wire, body)?)?),
            Kind::String => Value::String(text(wire, body)?.to_string()),
            Kind::Bytes => Value::Bytes(delimited(wire, body)?.to_vec()),
            Kind::FixedBytes(length) => fixed_bytes(delimited(wire, body)?, length, &mut self.budget)?,
            Kind::Enum(index) => Value::Variant(self.case(index, wire, body)?, None),
            Kind::Message(_) => return Err(Fault::mismatch()),
        })
    }
}

/// What a variant's case holds, while its message is read.
enum Payload<'b> {
    Read(Option<Value>),
    /// An embedded message, which may come in pieces.
    Waiting(Cow<'b, [u8]>),
}

pub(super) fn key(body: &mut &[u8]) -> Result<(u32, WireType), Fault> {
    decode_key(body).map_err(|_| Fault::invalid("the message is no protobuf: a field's key is broken"))
}

pub(super) fn skip(number: u32, wire: WireType, body: &mut &[u8]) -> Result<(), Fault> {
    // The context bounds how deep groups nest.
    skip_field(wire, number, body, DecodeContext::default())
        .map_err(|_| Fault::invalid(format!("the message is no protobuf: the unknown field {number} is broken")))
}

fn broken() -> Fault {
    Fault::invalid("the message is no protobuf: it ends within this field, or the field is broken")
}

fn expect(expected: WireType, got: WireType) -> Result<(), Fault> {
    match expected == got {
        true => Ok(()),
        false => Err(Fault::invalid(format!("expected the wire type {expected:?}, got {got:?}; is the client's schema another one?"))),
    }
}

fn varint(wire: WireType, body: &mut &[u8]) -> Result<u64, Fault> {
    expect(WireType::Varint, wire)?;
    decode_varint(body).map_err(|_| broken())
}

fn fixed<const N: usize>(expected: WireType, wire: WireType, body: &mut &[u8]) -> Result<[u8; N], Fault> {
    expect(expected, wire)?;
    let (head, tail) = body.split_first_chunk::<N>().ok_or_else(broken)?;
    *body = tail;
    Ok(*head)
}

pub(super) fn delimited<'b>(wire: WireType, body: &mut &'b [u8]) -> Result<&'b [u8], Fault> {
    expect(WireType::LengthDelimited, wire)?;
    let length = decode_varint(body).map_err(|_| broken())?;
    let (head, tail) = usize::try_from(length).ok().and_then(|length| body.split_at_checked(length)).ok_or_else(broken)?;
    *body = tail;
    Ok(head)
}

fn text<'b>(wire: WireType, body: &mut &'b [u8]) -> Result<&'b str, Fault> {
    std::str::from_utf8(delimited(wire, body)?).map_err(|error| Fault::invalid(format!("expected UTF-8: {error}")))
}

fn is_packable(kind: Kind) -> bool {
    !matches!(kind, Kind::Char | Kind::String | Kind::Bytes | Kind::FixedBytes(_) | Kind::Message(_))
}

fn packed_wire(kind: Kind) -> WireType {
    match kind {
        Kind::F32 => WireType::ThirtyTwoBit,
        Kind::F64 => WireType::SixtyFourBit,
        _ => WireType::Varint,
    }
}

fn wrong_length(length: Option<u32>, got: &str) -> Fault {
    Fault::expected(&format!("{} elements", length.unwrap_or_default()), got)
}
