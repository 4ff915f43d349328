//! Random types and values of them, from a seed.

use std::collections::BTreeMap;

use crate::schema::Value;
use crate::schema::model::{Card, Field, Kind, Message, Shape, Types};

/// SplitMix64: good enough to choose by, and the same on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A number with many small ones and many at the ends of its range.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => 0,
            1 => self.next() % 200,
            2 => u64::MAX - self.next() % 3,
            _ => self.next() >> self.below(64),
        }
    }

    fn letter(&mut self) -> char {
        match self.below(6) {
            0 => ['"', '\\', '\n', '\0', '\u{7f}', 'é', '€', '🦀'][self.below(8)],
            1 => char::from_u32((self.next() % 0x11_0000) as u32).unwrap_or('x'),
            _ => char::from(b'a' + self.below(26) as u8),
        }
    }

    fn text(&mut self) -> String {
        (0..self.below(6)).map(|_| self.letter()).collect()
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => 0.0,
            1 => f64::NAN,
            2 => f64::INFINITY,
            3 => f64::NEG_INFINITY,
            4 => self.number() as f64 / 8.0,
            _ => Some(f64::from_bits(self.next())).filter(|float| !float.is_nan()).unwrap_or(1.5),
        }
    }
}

/// The text of a package whose function `echo` takes and returns a record of random types.
pub fn package(random: &mut Random) -> String {
    let mut declarations = Vec::new();
    let fields: Vec<String> = (0..1 + random.below(6)).map(|index| format!("f{index}: {}", ty(random, &mut declarations, 4))).collect();
    format!(
        "package test:random;\ninterface api {{\n{}\nrecord root {{ {} }}\necho: func(root: root) -> root;\n}}\nworld w {{ export api; }}\n",
        declarations.join("\n"),
        fields.join(", ")
    )
}

fn ty(random: &mut Random, declarations: &mut Vec<String>, depth: usize) -> String {
    const SCALARS: [&str; 14] = ["bool", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64", "char", "string", "list<u8>"];
    if depth == 0 {
        return SCALARS[random.below(14)].into();
    }
    let count = 1 + random.below(4);
    match random.below(13) {
        0 => format!("option<{}>", ty(random, declarations, depth - 1)),
        1 => format!("list<{}>", ty(random, declarations, depth - 1)),
        2 => format!("list<{}, {}>", ty(random, declarations, depth - 1), 1 + random.below(4)),
        3 => {
            let parts: Vec<String> = (0..count).map(|_| ty(random, declarations, depth - 1)).collect();
            format!("tuple<{}>", parts.join(", "))
        }
        4 => match random.below(4) {
            0 => "result".into(),
            1 => format!("result<{}>", ty(random, declarations, depth - 1)),
            2 => format!("result<_, {}>", ty(random, declarations, depth - 1)),
            _ => format!("result<{}, {}>", ty(random, declarations, depth - 1), ty(random, declarations, depth - 1)),
        },
        5 => {
            let key = ["bool", "u8", "s16", "u32", "u64", "s64", "char", "string"][random.below(8)];
            format!("map<{key}, {}>", ty(random, declarations, depth - 1))
        }
        6 => {
            let fields: Vec<String> = (0..count).map(|index| format!("the-f{index}: {}", ty(random, declarations, depth - 1))).collect();
            declare(declarations, "record", fields)
        }
        7 => {
            let case = |random: &mut Random, declarations: &mut Vec<String>, index: usize| match random.below(3) {
                0 => format!("c{index}"),
                _ => format!("c{index}({})", ty(random, declarations, depth - 1)),
            };
            let cases: Vec<String> = (0..count).map(|index| case(random, declarations, index)).collect();
            declare(declarations, "variant", cases)
        }
        8 => declare(declarations, "enum", (0..count).map(|index| format!("e{index}")).collect()),
        9 => {
            let count = [1, 8, 9, 31, 32][random.below(5)];
            declare(declarations, "flags", (0..count).map(|index| format!("b{index}")).collect())
        }
        _ => SCALARS[random.below(14)].into(),
    }
}

fn declare(declarations: &mut Vec<String>, word: &str, members: Vec<String>) -> String {
    let name = format!("t{}", declarations.len());
    declarations.push(format!("{word} {name} {{ {} }}", members.join(", ")));
    name
}

/// A value of a message's type.
pub fn value(random: &mut Random, types: &Types, message: &Message) -> Value {
    match message.shape {
        Shape::Record => Value::Record(message.fields.iter().map(|f| field(random, types, f)).collect()),
        Shape::Wrapper => field(random, types, &message.fields[0]),
        Shape::Variant => {
            let case = random.below(message.fields.len());
            let payload = match message.fields[case].card {
                Card::Unit => None,
                _ => Some(Box::new(field(random, types, &message.fields[case]))),
            };
            Value::Variant(case as u32, payload)
        }
        Shape::Entry => unreachable!("entries are made with their maps"),
    }
}

fn field(random: &mut Random, types: &Types, field: &Field) -> Value {
    match field.card {
        Card::Single => element(random, types, field.kind),
        Card::Optional => match random.below(2) {
            0 => Value::Variant(0, None),
            _ => Value::Variant(1, Some(Box::new(element(random, types, field.kind)))),
        },
        Card::Repeated(length) => {
            let length = length.map_or_else(|| random.below(4), |length| length as usize);
            Value::List((0..length).map(|_| element(random, types, field.kind)).collect())
        }
        Card::Flags => {
            let Kind::Enum(index) = field.kind else { unreachable!("flags have an enum") };
            let flags = types.enumeration(index);
            let mut words = vec![0; flags.words()];
            for flag in (0..flags.values.len()).filter(|_| random.below(3) == 0) {
                words[flag / 32] |= 1 << (flag % 32);
            }
            Value::Flags(words)
        }
        Card::Map { .. } => {
            let Kind::Message(entry) = field.kind else { unreachable!("maps have entries") };
            let fields = &types.message(entry).fields;
            let mut entries = BTreeMap::new();
            for _ in 0..random.below(4) {
                let key = element(random, types, fields[0].kind);
                entries.insert(format!("{key:?}"), (key, element(random, types, fields[1].kind)));
            }
            Value::Map(entries.into_values().collect())
        }
        Card::Unit => unreachable!("cases without payload have no value"),
    }
}

fn element(random: &mut Random, types: &Types, kind: Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(random.below(2) == 1),
        Kind::U8 => Value::U8(random.number() as u8),
        Kind::U16 => Value::U16(random.number() as u16),
        Kind::U32 => Value::U32(random.number() as u32),
        Kind::U64 => Value::U64(random.number()),
        Kind::S8 => Value::S8(random.number() as i8),
        Kind::S16 => Value::S16(random.number() as i16),
        Kind::S32 => Value::S32(random.number() as i32),
        Kind::S64 => Value::S64(random.number() as i64),
        // The other implementation drops a negative zero; adding zero makes it positive.
        Kind::F32 => Value::F32(random.float() as f32 + 0.0),
        Kind::F64 => Value::F64(random.float() + 0.0),
        Kind::Char => Value::Char(random.letter()),
        Kind::String => Value::String(random.text()),
        Kind::Bytes => Value::Bytes((0..random.below(5)).map(|_| random.next() as u8).collect()),
        Kind::FixedBytes(length) => Value::List((0..length).map(|_| Value::U8(random.next() as u8)).collect()),
        Kind::Enum(index) => Value::Variant(random.below(types.enumeration(index).values.len()) as u32, None),
        Kind::Message(index) => value(random, types, types.message(index)),
    }
}

/// The value as text that compares: NaN is NaN, and the order of a map's entries says nothing.
pub fn comparable(value: &Value) -> String {
    match value {
        Value::Map(entries) => {
            // Of several entries of one key, the last one counts.
            let last: BTreeMap<String, String> = entries.iter().map(|(key, value)| (format!("{key:?}"), comparable(value))).collect();
            format!("{last:?}")
        }
        Value::List(list) => format!("[{}]", list.iter().map(comparable).collect::<Vec<_>>().join(", ")),
        Value::Record(list) => format!("{{{}}}", list.iter().map(comparable).collect::<Vec<_>>().join(", ")),
        Value::Variant(case, payload) => format!("{case}({})", payload.as_deref().map(comparable).unwrap_or_default()),
        other => format!("{other:?}"),
    }
}
