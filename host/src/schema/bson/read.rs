//! Reads BSON: the types that the schema has a use for.

use std::borrow::Cow;

use super::{ARRAY, BINARY, BOOL, DOCUMENT, DOUBLE, INT32, INT64, NULL, STRING};
use crate::schema::document::{self, Cursor, Key, Number};
use crate::schema::fault::Fault;

/// Null by an old name.
const UNDEFINED: u8 = 0x06;

/// Binary data of this subtype, an old one, has its length twice.
const TWICE: u8 = 0x02;

/// Where in the message the reader is.
pub(super) struct Reader<'b> {
    cursor: Cursor<'b>,
    /// The type of the value that comes next; it stands before the value's name.
    kind: u8,
}

impl<'b> Reader<'b> {
    pub(super) fn new(body: &'b [u8]) -> Reader<'b> {
        Reader { cursor: Cursor::new(body, "BSON"), kind: DOCUMENT }
    }

    /// Fails where anything is left.
    pub(super) fn end(&self) -> Result<(), Fault> {
        self.cursor.end()
    }

    fn length(&mut self) -> Result<usize, Fault> {
        let length = i32::from_le_bytes(self.cursor.array()?);
        usize::try_from(length).map_err(|_| self.cursor.broken(&format!("a length before this, got {length}")))
    }

    /// Takes the beginning of a document or an array: where it ends.
    fn begin(&mut self, kind: u8) -> Result<Option<usize>, Fault> {
        if self.kind != kind {
            return Ok(None);
        }
        let start = self.cursor.at();
        let length = self.length()?;
        Ok(Some(start.saturating_add(length)))
    }

    /// Takes the type and the name of the next element; `None` takes the end.
    fn next(&mut self, end: usize) -> Result<Option<&'b str>, Fault> {
        let [kind] = self.cursor.array()?;
        if kind != 0 {
            self.kind = kind;
            return Ok(Some(self.cursor.text_to_zero()?));
        }
        if self.cursor.at() != end {
            return Err(self.cursor.broken(&format!("the document to end at byte {end}, as its length says")));
        }
        Ok(None)
    }
}

impl<'b> document::Reader<'b> for Reader<'b> {
    type Number = Number;
    /// Where it ends.
    type Inside = usize;

    const MAP: &'static str = "a document";
    const EMPTY: &'static str = "an empty document";
    const BYTES: &'static str = "binary data";

    fn null(&mut self) -> Result<bool, Fault> {
        Ok(matches!(self.kind, NULL | UNDEFINED))
    }

    fn bool(&mut self) -> Result<Option<bool>, Fault> {
        if self.kind != BOOL {
            return Ok(None);
        }
        match self.cursor.array()? {
            [0] => Ok(Some(false)),
            [1] => Ok(Some(true)),
            [other] => Err(self.cursor.broken(&format!("0x00 or 0x01 before this, got 0x{other:02x}"))),
        }
    }

    fn number(&mut self) -> Result<Option<Number>, Fault> {
        Ok(Some(match self.kind {
            DOUBLE => Number::Float(f64::from_le_bytes(self.cursor.array()?)),
            INT32 => Number::Integer(i32::from_le_bytes(self.cursor.array()?).into()),
            INT64 => Number::Integer(i64::from_le_bytes(self.cursor.array()?).into()),
            _ => return Ok(None),
        }))
    }

    fn text(&mut self) -> Result<Option<Cow<'b, str>>, Fault> {
        if self.kind != STRING {
            return Ok(None);
        }
        // The length counts the zero behind the text.
        let length = self.length()?;
        let text = self.cursor.text(length.saturating_sub(1))?;
        if length == 0 || !self.cursor.took(0) {
            return Err(self.cursor.broken_byte("the string to end with 0x00"));
        }
        Ok(Some(text.into()))
    }

    fn bytes(&mut self) -> Result<Option<Cow<'b, [u8]>>, Fault> {
        if self.kind != BINARY {
            return Ok(None);
        }
        let mut length = self.length()?;
        let [subtype] = self.cursor.array()?;
        if subtype == TWICE {
            let inner = self.length()?;
            if length.checked_sub(4) != Some(inner) {
                return Err(self.cursor.broken("both lengths of the binary data to agree"));
            }
            length = inner;
        }
        Ok(Some(self.cursor.take(length)?.into()))
    }

    fn map(&mut self) -> Result<Option<usize>, Fault> {
        self.begin(DOCUMENT)
    }

    fn key(&mut self, end: &mut usize) -> Result<Option<Key<'b>>, Fault> {
        Ok(self.next(*end)?.map(|name| Key::Text(name.into())))
    }

    fn list(&mut self) -> Result<Option<usize>, Fault> {
        self.begin(ARRAY)
    }

    // An array is a document whose names are the numbers from 0 on; its order is what counts.
    fn more(&mut self, end: &mut usize) -> Result<bool, Fault> {
        Ok(self.next(*end)?.is_some())
    }

    fn other(&mut self, expected: &str) -> Fault {
        let got = match self.kind {
            0x07 => "an ObjectId",
            0x09 => "a date",
            0x0b => "a regular expression",
            0x0c => "a DBPointer",
            0x0d | 0x0f => "JavaScript code",
            0x0e => "a symbol",
            0x11 => "a timestamp",
            0x13 => "a decimal number of 128 bits",
            0x7f => "the largest key",
            0xff => "the smallest key",
            kind => return self.cursor.broken(&format!("a known type of element before this, got 0x{kind:02x}")),
        };
        Fault::expected(expected, got)
    }
}
