//! From JSON to values. Unknown and repeated fields are refused: in JSON they are mistakes.

use std::collections::HashSet;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::number;
use super::read::Reader;
use crate::schema::Value;
use crate::schema::absent::{Budget, absent, fixed_bytes, one_char};
use crate::schema::fault::{Fault, quote, range};
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Names that differ by more than this are not taken for a slip.
const NEAR: f64 = 0.7;

/// Reads a whole message.
pub(in crate::schema) fn decode(types: &Types, message: &Message, body: &[u8]) -> Result<Value, Fault> {
    let text = std::str::from_utf8(body).map_err(|error| Fault::invalid(format!("the text is not UTF-8: {error}")))?;
    let mut decoder = Decoder { types, reader: Reader::new(text), budget: Budget::full() };
    let value = decoder.message(message)?;
    decoder.reader.end()?;
    Ok(value)
}

struct Decoder<'t, 'b> {
    types: &'t Types,
    reader: Reader<'b>,
    budget: Budget,
}

impl Decoder<'_, '_> {
    fn message(&mut self, message: &Message) -> Result<Value, Fault> {
        match message.shape {
            Shape::Variant => self.variant(message),
            Shape::Record => {
                self.budget.spend(1)?;
                self.fields(message).map(Value::Record)
            }
            Shape::Wrapper | Shape::Entry => self.fields(message)?.pop().ok_or_else(Fault::mismatch),
        }
    }

    fn open(&mut self, message: &Message) -> Result<(), Fault> {
        match self.reader.take(b'{') {
            true => Ok(()),
            false => Err(self.reader.unexpected(&format!("an object ({})", message.short()))),
        }
    }

    fn fields(&mut self, message: &Message) -> Result<Vec<Value>, Fault> {
        self.open(message)?;
        let mut slots: Vec<Option<Value>> = Vec::new();
        slots.resize_with(message.fields.len(), || None);
        let mut first = true;
        // Most clients write the fields in their order.
        let mut next = 0;
        while let Some(name) = self.reader.name(&mut first)? {
            let index = message.field_named(&name, next).ok_or_else(|| unknown(message, &name))?;
            let field = &message.fields[index];
            if slots[index].is_some() {
                return Err(Fault::invalid("given twice").at(&field.json_name));
            }
            slots[index] = Some(self.field(field).map_err(|fault| fault.at(&field.json_name))?);
            next = index + 1;
        }
        let finish = |(index, slot): (usize, Option<Value>)| match slot {
            Some(value) => Ok(value),
            None => {
                let field = &message.fields[index];
                self.absent(field).map_err(|fault| fault.at(&field.json_name))
            }
        };
        slots.into_iter().enumerate().map(finish).collect()
    }

    fn absent(&mut self, field: &Field) -> Result<Value, Fault> {
        absent(self.types, field, &mut self.budget, |field| &field.json_name)
    }

    fn field(&mut self, field: &Field) -> Result<Value, Fault> {
        if self.reader.null()? {
            return self.absent(field);
        }
        match field.card {
            Card::Single => self.element(field.kind),
            Card::Optional => {
                self.budget.spend(1)?;
                Ok(Value::Variant(1, Some(Box::new(self.element(field.kind)?))))
            }
            Card::Repeated(fixed) => self.list(field.kind, fixed),
            Card::Flags => self.flags(field.kind),
            Card::Map { keyed } => self.map(field.kind, keyed),
            Card::Unit => Err(Fault::mismatch()),
        }
    }

    fn list(&mut self, kind: Kind, fixed: Option<u32>) -> Result<Value, Fault> {
        self.budget.spend(1)?;
        if !self.reader.take(b'[') {
            return Err(self.reader.unexpected("a list"));
        }
        let mut list = Vec::new();
        let mut first = true;
        while self.reader.more(&mut first, b']')? {
            let index = list.len();
            if fixed.is_some_and(|length| index >= length as usize) {
                return Err(Fault::expected(&format!("{} elements", fixed.unwrap_or_default()), "more"));
            }
            list.push(self.element(kind).map_err(|fault| fault.at_index(index))?);
        }
        match fixed {
            Some(length) if list.len() != length as usize => Err(Fault::expected(&format!("{length} elements"), &list.len().to_string())),
            _ => Ok(Value::List(list)),
        }
    }

    fn flags(&mut self, kind: Kind) -> Result<Value, Fault> {
        let (Kind::Enum(index), Value::Flags(mut words)) = (kind, self.budget.flags(self.types, kind)?) else {
            return Err(Fault::mismatch());
        };
        if !self.reader.take(b'[') {
            return Err(self.reader.unexpected("a list of flags"));
        }
        let mut first = true;
        let mut place = 0;
        while self.reader.more(&mut first, b']')? {
            let flag = self.case(index).map_err(|fault| fault.at_index(place))?;
            words[flag as usize / 32] |= 1 << (flag % 32);
            place += 1;
        }
        Ok(Value::Flags(words))
    }

    fn map(&mut self, kind: Kind, keyed: bool) -> Result<Value, Fault> {
        self.budget.spend(1)?;
        let Kind::Message(entry) = kind else { return Err(Fault::mismatch()) };
        let entry = self.types.message(entry);
        let mut entries = Vec::new();
        let mut first = true;
        if !keyed {
            if !self.reader.take(b'[') {
                return Err(self.reader.unexpected("a list of keys and values"));
            }
            while self.reader.more(&mut first, b']')? {
                let index = entries.len();
                let fields = self.fields(entry).map_err(|fault| fault.at_index(index))?;
                let [key, value] = <[Value; 2]>::try_from(fields).map_err(|_| Fault::mismatch())?;
                entries.push((key, value));
            }
            return Ok(Value::Map(entries));
        }
        let [key_field, value_field] = entry.fields.as_slice() else { return Err(Fault::mismatch()) };
        if !self.reader.take(b'{') {
            return Err(self.reader.unexpected("an object, for a map"));
        }
        let mut known = HashSet::new();
        while let Some(name) = self.reader.name(&mut first)? {
            self.budget.spend(1)?;
            let key = self.key(key_field.kind, &name).map_err(|fault| fault.at_key(&name))?;
            let value = self.element(value_field.kind).map_err(|fault| fault.at_key(&name))?;
            if known.contains(&name) {
                return Err(Fault::invalid("given twice").at_key(&name));
            }
            known.insert(name);
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    fn key(&self, kind: Kind, name: &str) -> Result<Value, Fault> {
        match kind {
            Kind::String => Ok(Value::String(name.to_string())),
            Kind::Char => one_char(name).map(Value::Char),
            Kind::Bool => match name {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(Fault::expected("a key of true or false", &quote(name))),
            },
            kind => integer(kind, name, &quote(name)),
        }
    }

    fn variant(&mut self, message: &Message) -> Result<Value, Fault> {
        self.budget.spend(1)?;
        self.open(message)?;
        let mut set: Option<(usize, Option<Value>)> = None;
        let mut null: Vec<usize> = Vec::new();
        let mut first = true;
        while let Some(name) = self.reader.name(&mut first)? {
            let index = message.field_named(&name, 0).ok_or_else(|| unknown(message, &name))?;
            let field = &message.fields[index];
            if set.as_ref().is_some_and(|(other, _)| *other == index) || null.contains(&index) {
                return Err(Fault::invalid("given twice").at(&field.json_name));
            }
            if self.reader.null()? {
                null.push(index);
                continue;
            }
            if let Some((other, _)) = set {
                let other = &message.fields[other].json_name;
                return Err(Fault::invalid(format!("both `{other}` and `{}` are set; expected one of them", field.json_name)));
            }
            let payload = match field.card {
                Card::Unit => self.empty().map(|()| None),
                _ => self.element(field.kind).map(Some),
            };
            set = Some((index, payload.map_err(|fault| fault.at(&field.json_name))?));
        }
        match set {
            Some((index, payload)) => Ok(Value::Variant(index as u32, payload.map(Box::new))),
            None => Err(Fault::invalid(format!("not set; expected one of {}", message.choices()))),
        }
    }

    fn empty(&mut self) -> Result<(), Fault> {
        match self.reader.take(b'{') && self.reader.take(b'}') {
            true => Ok(()),
            false => Err(self.reader.unexpected("{}")),
        }
    }

    fn case(&mut self, index: usize) -> Result<u32, Fault> {
        let cases = self.types.enumeration(index);
        let wanted = || format!("one of {}", cases.choices());
        match self.reader.peek() {
            Some(b'"') => {
                let name = self.reader.string()?;
                let case = cases.values.iter().position(|value| value.name == name || value.case == name);
                case.map(|case| case as u32).ok_or_else(|| Fault::expected(&wanted(), &quote(&name)))
            }
            Some(b'-' | b'0'..=b'9') => {
                let text = self.reader.number()?;
                let case = number::unsigned(text).and_then(|number| number.checked_sub(1)).filter(|case| *case < cases.values.len() as u64);
                case.map(|case| case as u32).ok_or_else(|| Fault::expected(&wanted(), text))
            }
            _ => Err(self.reader.unexpected(&wanted())),
        }
    }

    fn element(&mut self, kind: Kind) -> Result<Value, Fault> {
        if let Kind::Message(message) = kind {
            return self.message(self.types.message(message));
        }
        self.budget.spend(1)?;
        match kind {
            Kind::Bool => match self.reader.peek() {
                Some(b't' | b'f') => Ok(Value::Bool(self.reader.word()? == "true")),
                _ => Err(self.reader.unexpected("true or false")),
            },
            Kind::String => match self.reader.peek() {
                Some(b'"') => Ok(Value::String(self.reader.string()?.into_owned())),
                _ => Err(self.reader.unexpected("a string")),
            },
            Kind::Char => match self.reader.peek() {
                Some(b'"') => one_char(&self.reader.string()?).map(Value::Char),
                _ => Err(self.reader.unexpected("a string of one character")),
            },
            Kind::Bytes => self.bytes().map(Value::Bytes),
            Kind::FixedBytes(length) => fixed_bytes(&self.bytes()?, length, &mut self.budget),
            Kind::Enum(index) => Ok(Value::Variant(self.case(index)?, None)),
            Kind::F32 => self.float(
                |text| text.parse::<f32>().ok().filter(|number| number.is_finite()).map(Value::F32),
                |float| Value::F32(float as f32),
            ),
            Kind::F64 => self.float(|text| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::F64), Value::F64),
            kind => match self.reader.peek() {
                Some(b'"') => {
                    let text = self.reader.string()?;
                    integer(kind, &text, &quote(&text))
                }
                Some(b'-' | b'0'..=b'9') => {
                    let text = self.reader.number()?;
                    integer(kind, text, text)
                }
                _ => Err(self.reader.unexpected(&bounds(kind))),
            },
        }
    }

    fn float(&mut self, parse: fn(&str) -> Option<Value>, special: fn(f64) -> Value) -> Result<Value, Fault> {
        const WANTED: &str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
        match self.reader.peek() {
            Some(b'"') => {
                let text = self.reader.string()?;
                match &*text {
                    "NaN" => Ok(special(f64::NAN)),
                    "Infinity" => Ok(special(f64::INFINITY)),
                    "-Infinity" => Ok(special(f64::NEG_INFINITY)),
                    text if number::is_number(text) => {
                        parse(text).ok_or_else(|| Fault::expected("a number within the range of the type", &quote(text)))
                    }
                    text => Err(Fault::expected(WANTED, &quote(text))),
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                let text = self.reader.number()?;
                parse(text).ok_or_else(|| Fault::expected("a number within the range of the type", text))
            }
            _ => Err(self.reader.unexpected(WANTED)),
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        if self.reader.peek() != Some(b'"') {
            return Err(self.reader.unexpected("a string of base64"));
        }
        let text = self.reader.string()?;
        let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
        engine.decode(text.as_bytes()).map_err(|error| Fault::invalid(format!("expected base64: {error}")))
    }
}

/// The integer of a number's text, within the range of its type.
fn integer(kind: Kind, text: &str, got: &str) -> Result<Value, Fault> {
    let value = if number::is_number(text) {
        let signed = || number::signed(text);
        let unsigned = || number::unsigned(text);
        match kind {
            Kind::U8 => unsigned().and_then(|number| u8::try_from(number).ok()).map(Value::U8),
            Kind::U16 => unsigned().and_then(|number| u16::try_from(number).ok()).map(Value::U16),
            Kind::U32 => unsigned().and_then(|number| u32::try_from(number).ok()).map(Value::U32),
            Kind::U64 => unsigned().map(Value::U64),
            Kind::S8 => signed().and_then(|number| i8::try_from(number).ok()).map(Value::S8),
            Kind::S16 => signed().and_then(|number| i16::try_from(number).ok()).map(Value::S16),
            Kind::S32 => signed().and_then(|number| i32::try_from(number).ok()).map(Value::S32),
            Kind::S64 => signed().map(Value::S64),
            _ => return Err(Fault::mismatch()),
        }
    } else {
        None
    };
    value.ok_or_else(|| Fault::expected(&bounds(kind), got))
}

fn bounds(kind: Kind) -> String {
    match kind {
        Kind::U8 => range(u8::MIN, u8::MAX),
        Kind::U16 => range(u16::MIN, u16::MAX),
        Kind::U32 => range(u32::MIN, u32::MAX),
        Kind::U64 => range(u64::MIN, u64::MAX),
        Kind::S8 => range(i8::MIN, i8::MAX),
        Kind::S16 => range(i16::MIN, i16::MAX),
        Kind::S32 => range(i32::MIN, i32::MAX),
        _ => range(i64::MIN, i64::MAX),
    }
}

fn unknown(message: &Message, name: &str) -> Fault {
    let near = message
        .fields
        .iter()
        .map(|field| (strsim::jaro_winkler(&field.json_name, name), field.json_name.as_str()))
        .filter(|(likeness, _)| *likeness > NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match near {
        Some((_, near)) => format!("; did you mean `{near}`?"),
        None if message.fields.is_empty() => format!("; {} has no fields", message.short()),
        None => format!("; {} has {}", message.short(), message.choices()),
    };
    Fault::invalid(format!("unknown field{hint}")).at(&cut(name))
}

/// The unknown name, no longer than a message should hold.
fn cut(name: &str) -> String {
    if name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') && name.len() <= 40 { name.into() } else { quote(name) }
}
