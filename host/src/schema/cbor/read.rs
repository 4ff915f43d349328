//! Reads CBOR: lengths told before and lengths told by an end; tags are passed over.

use std::borrow::Cow;

use super::float;
use crate::schema::document::{self, Cursor, Key, Number};
use crate::schema::fault::Fault;

/// Where in the message the reader is.
pub(super) struct Reader<'b>(pub(super) Cursor<'b>);

/// Major types, in the upper three bits of an item's first byte.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// The end of a list, map or string that did not tell its length.
const BREAK: u8 = 0xff;

/// What is left of a list or map.
pub(super) enum Inside {
    /// So many elements or entries.
    Count(u64),
    /// All until the break.
    Open,
}

impl<'b> Reader<'b> {
    /// The first byte of the next item, past its tags.
    fn first(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            match self.0.peek() {
                Some(byte) if byte >> 5 == TAG => {
                    self.argument()?;
                }
                first => return Ok(first),
            }
        }
    }

    /// The first byte of the next item if it is of this type.
    fn is(&mut self, major: u8) -> Result<bool, Fault> {
        Ok(self.first()?.is_some_and(|byte| byte >> 5 == major))
    }

    /// Takes an item's first byte and the number that comes with it; `None` for an open length.
    fn argument(&mut self) -> Result<Option<u64>, Fault> {
        let [first] = self.0.array()?;
        Ok(Some(match first & 0x1f {
            small @ 0..24 => small.into(),
            24 => u8::from_be_bytes(self.0.array()?).into(),
            25 => u16::from_be_bytes(self.0.array()?).into(),
            26 => u32::from_be_bytes(self.0.array()?).into(),
            27 => u64::from_be_bytes(self.0.array()?),
            31 if (BYTES..=MAP).contains(&(first >> 5)) => return Ok(None),
            _ => return Err(self.0.broken(&format!("a length or a number after 0x{first:02x}"))),
        }))
    }

    /// Takes the beginning of a list or a map.
    fn begin(&mut self, major: u8) -> Result<Option<Inside>, Fault> {
        if !self.is(major)? {
            return Ok(None);
        }
        Ok(Some(self.argument()?.map_or(Inside::Open, Inside::Count)))
    }

    /// Takes a string of the type, of which each piece is taken by `piece`; the pieces of one are
    /// joined by `join`.
    fn string<T: ToOwned + ?Sized + 'b>(
        &mut self,
        major: u8,
        piece: fn(&mut Cursor<'b>, usize) -> Result<&'b T, Fault>,
        join: fn(&mut T::Owned, &T),
    ) -> Result<Option<Cow<'b, T>>, Fault>
    where
        T::Owned: Default,
    {
        if !self.is(major)? {
            return Ok(None);
        }
        // A length that does not fit into memory is over the end of the message.
        let length = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        if let Some(whole) = self.argument()? {
            return Ok(Some(Cow::Borrowed(piece(&mut self.0, length(whole))?)));
        }
        let mut joined = T::Owned::default();
        while !self.0.took(BREAK) {
            // Pieces have no tags, and are not made of pieces.
            let part = match self.0.peek() {
                Some(byte) if byte >> 5 == major => self.argument()?,
                _ => None,
            };
            let Some(part) = part else { return Err(self.0.broken_byte("another piece of the string, or its end")) };
            join(&mut joined, piece(&mut self.0, length(part))?);
        }
        Ok(Some(Cow::Owned(joined)))
    }
}

impl<'b> document::Reader<'b> for Reader<'b> {
    type Number = Number;
    type Inside = Inside;

    const MAP: &'static str = "a map";
    const EMPTY: &'static str = "an empty map";
    const BYTES: &'static str = "bytes";

    fn null(&mut self) -> Result<bool, Fault> {
        // `undefined` is nothing too.
        let null = matches!(self.first()?, Some(0xf6 | 0xf7));
        if null {
            self.0.pass();
        }
        Ok(null)
    }

    fn bool(&mut self) -> Result<Option<bool>, Fault> {
        let Some(byte @ (0xf4 | 0xf5)) = self.first()? else { return Ok(None) };
        self.0.pass();
        Ok(Some(byte == 0xf5))
    }

    fn number(&mut self) -> Result<Option<Number>, Fault> {
        let Some(byte) = self.first()? else { return Ok(None) };
        let float = match byte {
            _ if byte >> 5 == UNSIGNED => return Ok(self.argument()?.map(|number| Number::Integer(number.into()))),
            _ if byte >> 5 == NEGATIVE => return Ok(self.argument()?.map(|number| Number::Integer(-1 - i128::from(number)))),
            0xf9..=0xfb => {
                self.0.pass();
                match byte {
                    0xf9 => float::from_half(u16::from_be_bytes(self.0.array()?)).into(),
                    0xfa => f32::from_be_bytes(self.0.array()?).into(),
                    _ => f64::from_be_bytes(self.0.array()?),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Number::Float(float)))
    }

    fn text(&mut self) -> Result<Option<Cow<'b, str>>, Fault> {
        self.string(TEXT, Cursor::text, String::push_str)
    }

    fn bytes(&mut self) -> Result<Option<Cow<'b, [u8]>>, Fault> {
        self.string(BYTES, Cursor::take, Vec::extend_from_slice)
    }

    fn map(&mut self) -> Result<Option<Inside>, Fault> {
        self.begin(MAP)
    }

    fn key(&mut self, inside: &mut Inside) -> Result<Option<Key<'b>>, Fault> {
        if !self.more(inside)? {
            return Ok(None);
        }
        document::typed_key(self).map(Some)
    }

    fn list(&mut self) -> Result<Option<Inside>, Fault> {
        self.begin(LIST)
    }

    fn more(&mut self, inside: &mut Inside) -> Result<bool, Fault> {
        Ok(match inside {
            Inside::Open => !self.0.took(BREAK),
            Inside::Count(0) => false,
            Inside::Count(count) => {
                *count -= 1;
                true
            }
        })
    }

    fn other(&mut self, expected: &str) -> Fault {
        match self.0.peek() {
            Some(0xe0..=0xf8) => Fault::expected(expected, "a simple value that is neither true, false nor null"),
            _ => self.0.broken_byte(expected),
        }
    }
}
