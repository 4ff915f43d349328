//! Reads MessagePack: every width of every type, but no extension types.

use std::borrow::Cow;

use crate::schema::document::{self, Cursor, Key, Number};
use crate::schema::fault::Fault;

/// Where in the message the reader is.
pub(super) struct Reader<'b>(pub(super) Cursor<'b>);

impl Reader<'_> {
    /// Takes the bytes of a length after the first byte; a length of a width of its own.
    fn length<const N: usize>(&mut self) -> Result<usize, Fault> {
        self.0.pass();
        let mut length = 0;
        for byte in self.0.array::<N>()? {
            length = length << 8 | usize::from(byte);
        }
        Ok(length)
    }

    /// Takes the value after the first byte.
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.0.pass();
        self.0.array()
    }

    /// Takes the first byte, which holds a length in the bits of `mask`.
    fn short(&mut self, byte: u8, mask: u8) -> usize {
        self.0.pass();
        usize::from(byte & mask)
    }
}

impl<'b> document::Reader<'b> for Reader<'b> {
    type Number = Number;
    /// How many elements, or entries, remain.
    type Inside = usize;

    const MAP: &'static str = "a map";
    const EMPTY: &'static str = "an empty map";
    const BYTES: &'static str = "bytes";

    fn null(&mut self) -> Result<bool, Fault> {
        Ok(self.0.took(0xc0))
    }

    fn bool(&mut self) -> Result<Option<bool>, Fault> {
        let Some(byte @ (0xc2 | 0xc3)) = self.0.peek() else { return Ok(None) };
        self.0.pass();
        Ok(Some(byte == 0xc3))
    }

    fn number(&mut self) -> Result<Option<Number>, Fault> {
        let Some(byte) = self.0.peek() else { return Ok(None) };
        let integer: i128 = match byte {
            0x00..=0x7f | 0xe0..=0xff => {
                self.0.pass();
                (byte as i8).into()
            }
            0xca => return Ok(Some(Number::Float(f32::from_be_bytes(self.fixed()?).into()))),
            0xcb => return Ok(Some(Number::Float(f64::from_be_bytes(self.fixed()?)))),
            0xcc => u8::from_be_bytes(self.fixed()?).into(),
            0xcd => u16::from_be_bytes(self.fixed()?).into(),
            0xce => u32::from_be_bytes(self.fixed()?).into(),
            0xcf => u64::from_be_bytes(self.fixed()?).into(),
            0xd0 => i8::from_be_bytes(self.fixed()?).into(),
            0xd1 => i16::from_be_bytes(self.fixed()?).into(),
            0xd2 => i32::from_be_bytes(self.fixed()?).into(),
            0xd3 => i64::from_be_bytes(self.fixed()?).into(),
            _ => return Ok(None),
        };
        Ok(Some(Number::Integer(integer)))
    }

    fn text(&mut self) -> Result<Option<Cow<'b, str>>, Fault> {
        let length = match self.0.peek() {
            Some(byte @ 0xa0..=0xbf) => self.short(byte, 0x1f),
            Some(0xd9) => self.length::<1>()?,
            Some(0xda) => self.length::<2>()?,
            Some(0xdb) => self.length::<4>()?,
            _ => return Ok(None),
        };
        Ok(Some(self.0.text(length)?.into()))
    }

    fn bytes(&mut self) -> Result<Option<Cow<'b, [u8]>>, Fault> {
        let length = match self.0.peek() {
            Some(0xc4) => self.length::<1>()?,
            Some(0xc5) => self.length::<2>()?,
            Some(0xc6) => self.length::<4>()?,
            _ => return Ok(None),
        };
        Ok(Some(self.0.take(length)?.into()))
    }

    fn map(&mut self) -> Result<Option<usize>, Fault> {
        Ok(Some(match self.0.peek() {
            Some(byte @ 0x80..=0x8f) => self.short(byte, 0x0f),
            Some(0xde) => self.length::<2>()?,
            Some(0xdf) => self.length::<4>()?,
            _ => return Ok(None),
        }))
    }

    fn key(&mut self, remaining: &mut usize) -> Result<Option<Key<'b>>, Fault> {
        if !self.more(remaining)? {
            return Ok(None);
        }
        document::typed_key(self).map(Some)
    }

    fn list(&mut self) -> Result<Option<usize>, Fault> {
        Ok(Some(match self.0.peek() {
            Some(byte @ 0x90..=0x9f) => self.short(byte, 0x0f),
            Some(0xdc) => self.length::<2>()?,
            Some(0xdd) => self.length::<4>()?,
            _ => return Ok(None),
        }))
    }

    fn more(&mut self, remaining: &mut usize) -> Result<bool, Fault> {
        let more = *remaining > 0;
        *remaining = remaining.saturating_sub(1);
        Ok(more)
    }

    fn other(&mut self, expected: &str) -> Fault {
        match self.0.peek() {
            Some(0xc7..=0xc9 | 0xd4..=0xd8) => Fault::expected(expected, "an extension type, which has no meaning here"),
            _ => self.0.broken_byte(expected),
        }
    }
}
