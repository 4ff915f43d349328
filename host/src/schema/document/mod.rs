//! Documents: formats in which fields go by their names, JSON before all. One walk by the schema
//! reads them and one writes them, so that a service answers alike in each.
//!
//! A format is a [`Reader`] and a [`Writer`]; the walks are compiled for each, so that none pays for
//! another.

mod cursor;
mod decode;
mod encode;
mod number;

use std::borrow::Cow;
use std::fmt;

pub(super) use cursor::Cursor;
pub(super) use decode::decode;
pub(super) use encode::encode;
pub(super) use number::{Decimal, Number, Numeral, decimal_length};

use super::fault::{Fault, quote};
use super::output::Output;

/// Reads one document from left to right.
///
/// Each method takes what comes next if it is of its type; else it says so and takes nothing. They
/// fail where the bytes are none of the format. What they return is borrowed from the body where it
/// stands there as it is, and no length that the body announces is trusted.
pub(super) trait Reader<'b>: Sized {
    /// A number as it stands in the document.
    type Number: Numeral;
    /// Where in a list or a map the reader is: what remains, where it ends, whether a comma is due.
    type Inside;

    /// What errors call a map.
    const MAP: &'static str;
    /// What errors call a map that holds nothing.
    const EMPTY: &'static str;
    /// What errors call bytes.
    const BYTES: &'static str;

    /// Takes null, or what stands for it.
    fn null(&mut self) -> Result<bool, Fault>;

    fn bool(&mut self) -> Result<Option<bool>, Fault>;

    fn number(&mut self) -> Result<Option<Self::Number>, Fault>;

    fn text(&mut self) -> Result<Option<Cow<'b, str>>, Fault>;

    fn bytes(&mut self) -> Result<Option<Cow<'b, [u8]>>, Fault>;

    /// Takes the beginning of a map.
    fn map(&mut self) -> Result<Option<Self::Inside>, Fault>;

    /// Takes the next key of a map; `None` takes its end.
    fn key(&mut self, inside: &mut Self::Inside) -> Result<Option<Key<'b>>, Fault>;

    /// Takes the beginning of a list.
    fn list(&mut self) -> Result<Option<Self::Inside>, Fault>;

    /// Whether a list has another element; if not, takes its end.
    fn more(&mut self, inside: &mut Self::Inside) -> Result<bool, Fault>;

    /// What comes next is of no type that the methods above take: says what it is instead.
    fn other(&mut self, expected: &str) -> Fault;

    /// What comes next is not what the schema wants.
    fn unexpected(&mut self, expected: &str) -> Fault {
        match got(self) {
            Ok(Some(got)) => Fault::expected(expected, &got),
            Ok(None) => self.other(expected),
            Err(fault) => fault,
        }
    }
}

/// The next value for an error message, no longer than one should hold.
fn got<'b, R: Reader<'b>>(reader: &mut R) -> Result<Option<String>, Fault> {
    if reader.null()? {
        return Ok(Some("null".into()));
    }
    if let Some(yes) = reader.bool()? {
        return Ok(Some(yes.to_string()));
    }
    if let Some(number) = reader.number()? {
        return Ok(Some(number.to_string()));
    }
    if let Some(text) = reader.text()? {
        return Ok(Some(quote(&text)));
    }
    if reader.list()?.is_some() {
        return Ok(Some("a list".into()));
    }
    if reader.map()?.is_some() {
        return Ok(Some(R::MAP.into()));
    }
    Ok(reader.bytes()?.map(|_| R::BYTES.into()))
}

/// Takes the next value as a map's key, for formats whose keys may be of any type.
pub(super) fn typed_key<'b>(reader: &mut impl Reader<'b, Number = Number>) -> Result<Key<'b>, Fault> {
    const EXPECTED: &str = "a key that is a string, an integer, true or false";
    if let Some(text) = reader.text()? {
        return Ok(Key::Text(text));
    }
    if let Some(yes) = reader.bool()? {
        return Ok(Key::Bool(yes));
    }
    match reader.number()? {
        Some(Number::Integer(number)) => Ok(Key::Integer(number)),
        Some(number) => Err(Fault::expected(EXPECTED, &number.to_string())),
        None => Err(reader.unexpected(EXPECTED)),
    }
}

/// Writes one document from left to right.
pub(super) trait Writer {
    /// What is known of a list or a map while it is written.
    type Inside;

    /// The length that no document of the format is over, nor a part of one.
    const MAX: usize;

    /// Begins a document. The output's limit is at most [`Writer::MAX`]: lengths that do not fit into
    /// their place may be written wrongly, as no such document is finished.
    fn new(output: Output) -> Self;

    fn output(&self) -> &Output;

    /// The document, which is complete.
    fn into_output(self) -> Output;

    fn bool(&mut self, yes: bool);

    /// A number whose type has at most 32 bits.
    fn small(&mut self, number: i64);

    /// A number of the type `s64`.
    fn signed(&mut self, number: i64);

    /// A number of the type `u64`.
    fn unsigned(&mut self, number: u64);

    fn f32(&mut self, number: f32);

    fn f64(&mut self, number: f64);

    /// Text that needs no escapes: a name of the schema.
    fn plain(&mut self, text: &str);

    fn text(&mut self, text: &str);

    fn bytes(&mut self, bytes: &[u8]);

    /// Begins a map of as many entries as `count` says, for formats that want to know.
    fn map(&mut self, count: impl FnOnce() -> usize) -> Self::Inside;

    /// A name of the schema; its value follows.
    fn name(&mut self, inside: &mut Self::Inside, name: &str);

    /// A key of a map of the schema; its value follows. Fails where the format cannot hold the key.
    fn key(&mut self, inside: &mut Self::Inside, key: &Key<'_>) -> Result<(), Fault>;

    fn end_map(&mut self, inside: Self::Inside);

    /// Begins a list of `count` elements.
    fn list(&mut self, count: usize) -> Self::Inside;

    /// The next element of a list follows.
    fn element(&mut self, inside: &mut Self::Inside);

    fn end_list(&mut self, inside: Self::Inside);
}

/// Writes a map's key as a value, for formats whose keys may be of any type.
pub(super) fn write_typed_key(writer: &mut impl Writer, key: &Key<'_>) {
    match key {
        Key::Text(text) => writer.text(text),
        Key::Integer(number) => match i64::try_from(*number) {
            Ok(number) => writer.signed(number),
            // What no `s64` holds is an `u64`.
            Err(_) => writer.unsigned(*number as u64),
        },
        Key::Bool(yes) => writer.bool(*yes),
    }
}

/// The key of a map's entry. Formats without keys of other types have all of them in text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'b> {
    Text(Cow<'b, str>),
    Integer(i128),
    Bool(bool),
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Text(text) => f.write_str(&quote(text)),
            Key::Integer(number) => number.fmt(f),
            Key::Bool(yes) => yes.fmt(f),
        }
    }
}
