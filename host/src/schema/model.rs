//! The messages of a component: the plan by which bytes become values and values bytes.
//!
//! A field's number is its place plus one, an enum's number its case plus one, everywhere; so a
//! number found on the wire is an index, and nothing is looked up.

/// All messages and enums that a component's services need.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    pub(super) files: Vec<File>,
}

/// One `.proto` file: a WIT package.
#[derive(Debug)]
pub(super) struct File {
    /// `example/greeter.proto`
    pub(super) name: String,
    /// `example.greeter`
    pub(super) package: String,
    /// `example:greeter@0.1.0`
    pub(super) wit: String,
}

/// The file of `google.protobuf.Empty`, the first of [`Types::files`].
pub(super) const EMPTY_FILE: usize = 0;
/// `google.protobuf.Empty`, the first of [`Types::messages`].
pub(super) const EMPTY: usize = 0;

/// A message of the service's schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The full name: `example.greeter.HelloRequest`.
    pub name: String,
    /// What the WIT says about it.
    pub docs: Option<String>,
    /// The fields; a field's number is its place plus one.
    pub fields: Vec<Field>,
    pub(super) file: usize,
    pub(super) shape: Shape,
    /// Name in JSON and in protobuf of every field, sorted, with the field's place.
    pub(super) lookup: Vec<(Box<str>, u32)>,
}

/// How a message's fields stand for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `Value::Record`: a field each.
    Record,
    /// `Value::Variant`: one field is set.
    Variant,
    /// The value of the only field, for what protobuf cannot nest directly.
    Wrapper,
    /// Key and value of a map.
    Entry,
}

/// A field of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in protobuf: `first_name`.
    pub name: String,
    /// The name in JSON: `firstName`.
    pub json_name: String,
    /// The type as WIT writes it: `option<string>`.
    pub wit: String,
    /// What the WIT says about it.
    pub docs: Option<String>,
    pub(super) kind: Kind,
    pub(super) card: Card,
}

/// What one element of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Char,
    String,
    Bytes,
    /// `list<u8, n>`: bytes of one length, a `Value::List`.
    FixedBytes(u32),
    /// An index into [`Types::enums`].
    Enum(usize),
    /// An index into [`Types::messages`].
    Message(usize),
}

/// How many elements a field has, and how they make a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    /// The element itself.
    Single,
    /// `option`: none or the element.
    Optional,
    /// `list`; with a length, exactly so many.
    Repeated(Option<u32>),
    /// `flags`: the flags that are set.
    Flags,
    /// `map`, of entry messages; `keyed` where protobuf has a map with such a key.
    Map { keyed: bool },
    /// A case without payload.
    Unit,
}

/// An enum, or the names of flags.
#[derive(Debug)]
pub(super) struct Enum {
    pub(super) name: String,
    pub(super) file: usize,
    pub(super) docs: Option<String>,
    /// The name of number 0, which is no case.
    pub(super) unspecified: String,
    pub(super) values: Vec<EnumValue>,
}

/// A case of an enum, or a flag.
#[derive(Debug)]
pub(super) struct EnumValue {
    /// `COLOR_DARK_RED`
    pub(super) name: String,
    /// `dark-red`
    pub(super) case: String,
    pub(super) docs: Option<String>,
}

impl Enum {
    /// How many words a `Value::Flags` of this type has.
    pub(super) fn words(&self) -> usize {
        self.values.len().div_ceil(32)
    }

    /// The cases for an error message: `red, green`.
    pub(super) fn choices(&self) -> String {
        choices(self.values.iter().map(|value| value.name.as_str()))
    }
}

impl Message {
    /// The message's name without its package.
    pub(super) fn short(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The place of the field of this name, in JSON's or protobuf's spelling; `hint` is tried first.
    pub(super) fn field_named(&self, name: &str, hint: usize) -> Option<usize> {
        if self.fields.get(hint).is_some_and(|field| field.json_name == name) {
            return Some(hint);
        }
        let found = self.lookup.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.lookup[found].1 as usize)
    }

    /// The cases for an error message: `circle, square`.
    pub(super) fn choices(&self) -> String {
        choices(self.fields.iter().map(|field| field.json_name.as_str()))
    }
}

/// An error message lists no more choices than this.
const MAX_CHOICES: usize = 16;

fn choices<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(MAX_CHOICES);
    let mut text = names.take(MAX_CHOICES).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

impl Types {
    pub(super) fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    pub(super) fn enumeration(&self, index: usize) -> &Enum {
        &self.enums[index]
    }
}
