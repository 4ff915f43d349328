//! From documents to values. Unknown and repeated fields are refused: where fields have names, they
//! are mistakes.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Decimal, Key, Numeral, Reader};
use crate::schema::Value;
use crate::schema::absent::{Budget, absent, fixed_bytes, one_char};
use crate::schema::fault::{Fault, quote, range};
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};

/// Names that differ by more than this are not taken for a slip.
const NEAR: f64 = 0.7;

const FLOAT: &str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
const IN_RANGE: &str = "a number within the range of the type";

/// Reads a message. What follows it in the reader stays there.
pub(in crate::schema) fn decode<'b, R: Reader<'b>>(types: &Types, message: &Message, reader: &mut R) -> Result<Value, Fault> {
    Decoder { types, reader, budget: Budget::full(), body: std::marker::PhantomData }.message(message)
}

struct Decoder<'t, 'r, 'b, R> {
    types: &'t Types,
    reader: &'r mut R,
    budget: Budget,
    body: std::marker::PhantomData<&'b [u8]>,
}

impl<'b, R: Reader<'b>> Decoder<'_, '_, 'b, R> {
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

    fn open(&mut self, message: &Message) -> Result<R::Inside, Fault> {
        match self.reader.map()? {
            Some(inside) => Ok(inside),
            None => Err(self.reader.unexpected(&format!("{} ({})", R::MAP, message.short()))),
        }
    }

    fn open_list(&mut self, expected: &str) -> Result<R::Inside, Fault> {
        match self.reader.list()? {
            Some(inside) => Ok(inside),
            None => Err(self.reader.unexpected(expected)),
        }
    }

    fn name(&mut self, inside: &mut R::Inside) -> Result<Option<Cow<'b, str>>, Fault> {
        match self.reader.key(inside)? {
            None => Ok(None),
            Some(Key::Text(name)) => Ok(Some(name)),
            Some(key) => Err(Fault::expected("a field's name", &key.to_string())),
        }
    }

    fn fields(&mut self, message: &Message) -> Result<Vec<Value>, Fault> {
        let mut inside = self.open(message)?;
        let mut slots: Vec<Option<Value>> = Vec::new();
        slots.resize_with(message.fields.len(), || None);
        // Most clients write the fields in their order.
        let mut next = 0;
        while let Some(name) = self.name(&mut inside)? {
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
        let mut inside = self.open_list("a list")?;
        let mut list = Vec::new();
        while self.reader.more(&mut inside)? {
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
        let mut inside = self.open_list("a list of flags")?;
        let mut place = 0;
        while self.reader.more(&mut inside)? {
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
        if !keyed {
            let mut inside = self.open_list("a list of keys and values")?;
            while self.reader.more(&mut inside)? {
                let index = entries.len();
                let fields = self.fields(entry).map_err(|fault| fault.at_index(index))?;
                let [key, value] = <[Value; 2]>::try_from(fields).map_err(|_| Fault::mismatch())?;
                entries.push((key, value));
            }
            return Ok(Value::Map(entries));
        }
        let [key_field, value_field] = entry.fields.as_slice() else { return Err(Fault::mismatch()) };
        let Some(mut inside) = self.reader.map()? else { return Err(self.reader.unexpected(R::MAP)) };
        let mut known = HashSet::new();
        while let Some(name) = self.reader.key(&mut inside)? {
            self.budget.spend(1)?;
            let key = key(key_field.kind, &name).map_err(|fault| fault.at_key(&name))?;
            let value = self.element(value_field.kind).map_err(|fault| fault.at_key(&name))?;
            if known.contains(&name) {
                return Err(Fault::invalid("given twice").at_key(&name));
            }
            known.insert(name);
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    fn variant(&mut self, message: &Message) -> Result<Value, Fault> {
        self.budget.spend(1)?;
        let mut inside = self.open(message)?;
        let mut set: Option<(usize, Option<Value>)> = None;
        let mut null: Vec<usize> = Vec::new();
        while let Some(name) = self.name(&mut inside)? {
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
        let Some(mut inside) = self.reader.map()? else { return Err(self.reader.unexpected(R::EMPTY)) };
        match self.reader.key(&mut inside)? {
            None => Ok(()),
            Some(key) => Err(Fault::expected(R::EMPTY, &format!("one with {key}"))),
        }
    }

    fn case(&mut self, index: usize) -> Result<u32, Fault> {
        let cases = self.types.enumeration(index);
        let wanted = || format!("one of {}", cases.choices());
        if let Some(name) = self.reader.text()? {
            let case = cases.values.iter().position(|value| value.name == name || value.case == name);
            return case.map(|case| case as u32).ok_or_else(|| Fault::expected(&wanted(), &quote(&name)));
        }
        if let Some(number) = self.reader.number()? {
            let case = number.unsigned().and_then(|number| number.checked_sub(1)).filter(|case| *case < cases.values.len() as u64);
            return case.map(|case| case as u32).ok_or_else(|| Fault::expected(&wanted(), &number.to_string()));
        }
        Err(self.reader.unexpected(&wanted()))
    }

    fn element(&mut self, kind: Kind) -> Result<Value, Fault> {
        if let Kind::Message(message) = kind {
            return self.message(self.types.message(message));
        }
        self.budget.spend(1)?;
        match kind {
            Kind::Bool => match self.reader.bool()? {
                Some(yes) => Ok(Value::Bool(yes)),
                None => Err(self.reader.unexpected("true or false")),
            },
            Kind::String => match self.reader.text()? {
                Some(text) => Ok(Value::String(text.into_owned())),
                None => Err(self.reader.unexpected("a string")),
            },
            Kind::Char => match self.reader.text()? {
                Some(text) => one_char(&text).map(Value::Char),
                None => Err(self.reader.unexpected("a string of one character")),
            },
            Kind::Bytes => Ok(Value::Bytes(self.bytes()?.into_owned())),
            Kind::FixedBytes(length) => fixed_bytes(&self.bytes()?, length, &mut self.budget),
            Kind::Enum(index) => Ok(Value::Variant(self.case(index)?, None)),
            Kind::F32 | Kind::F64 => self.float(kind),
            kind => {
                if let Some(number) = self.reader.number()? {
                    return integer(kind, &number).ok_or_else(|| Fault::expected(&bounds(kind), &number.to_string()));
                }
                if let Some(text) = self.reader.text()? {
                    let value = Decimal::of(&text).and_then(|number| integer(kind, &number));
                    return value.ok_or_else(|| Fault::expected(&bounds(kind), &quote(&text)));
                }
                Err(self.reader.unexpected(&bounds(kind)))
            }
        }
    }

    fn float(&mut self, kind: Kind) -> Result<Value, Fault> {
        if let Some(number) = self.reader.number()? {
            return float(kind, &number).ok_or_else(|| Fault::expected(IN_RANGE, &number.to_string()));
        }
        let Some(text) = self.reader.text()? else { return Err(self.reader.unexpected(FLOAT)) };
        let special = match &*text {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            text => {
                let number = Decimal::of(text).ok_or_else(|| Fault::expected(FLOAT, &quote(text)))?;
                return float(kind, &number).ok_or_else(|| Fault::expected(IN_RANGE, &quote(text)));
            }
        };
        Ok(if kind == Kind::F32 { Value::F32(special as f32) } else { Value::F64(special) })
    }

    fn bytes(&mut self) -> Result<Cow<'b, [u8]>, Fault> {
        match self.reader.bytes()? {
            Some(bytes) => Ok(bytes),
            None => Err(self.reader.unexpected(R::BYTES)),
        }
    }
}

fn float(kind: Kind, number: &impl Numeral) -> Option<Value> {
    if kind == Kind::F32 { number.f32().map(Value::F32) } else { number.f64().map(Value::F64) }
}

/// The integer that a number is, within the range of its type.
fn integer(kind: Kind, number: &impl Numeral) -> Option<Value> {
    match kind {
        Kind::U8 => number.unsigned().and_then(|number| u8::try_from(number).ok()).map(Value::U8),
        Kind::U16 => number.unsigned().and_then(|number| u16::try_from(number).ok()).map(Value::U16),
        Kind::U32 => number.unsigned().and_then(|number| u32::try_from(number).ok()).map(Value::U32),
        Kind::U64 => number.unsigned().map(Value::U64),
        Kind::S8 => number.signed().and_then(|number| i8::try_from(number).ok()).map(Value::S8),
        Kind::S16 => number.signed().and_then(|number| i16::try_from(number).ok()).map(Value::S16),
        Kind::S32 => number.signed().and_then(|number| i32::try_from(number).ok()).map(Value::S32),
        Kind::S64 => number.signed().map(Value::S64),
        _ => None,
    }
}

/// The key of a map whose keys are of this type.
fn key(kind: Kind, key: &Key<'_>) -> Result<Value, Fault> {
    let wrong = |expected: &str| Err(Fault::expected(expected, &key.to_string()));
    match (kind, key) {
        (Kind::String, Key::Text(text)) => Ok(Value::String(text.to_string())),
        (Kind::String, _) => wrong("a string for a key"),
        (Kind::Char, Key::Text(text)) => one_char(text).map(Value::Char),
        (Kind::Char, _) => wrong("one character for a key"),
        (Kind::Bool, Key::Bool(yes)) => Ok(Value::Bool(*yes)),
        (Kind::Bool, Key::Text(text)) if text == "true" => Ok(Value::Bool(true)),
        (Kind::Bool, Key::Text(text)) if text == "false" => Ok(Value::Bool(false)),
        (Kind::Bool, _) => wrong("a key of true or false"),
        (kind, key) => {
            let value = match key {
                Key::Text(text) => Decimal::of(text).and_then(|number| integer(kind, &number)),
                Key::Integer(number) => integer(kind, &super::Number::Integer(*number)),
                Key::Bool(_) => None,
            };
            value.map_or_else(|| wrong(&bounds(kind)), Ok)
        }
    }
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
