//! Reads JSON text from left to right, without building anything but the strings that need it.
//!
//! Source: RFC 8259.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::schema::document::{self, Decimal, Key, decimal_length};
use crate::schema::fault::{Fault, quote};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Where in the text the reader is.
pub(super) struct Reader<'b> {
    text: &'b str,
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(body: &'b [u8]) -> Result<Reader<'b>, Fault> {
        let text = std::str::from_utf8(body).map_err(|error| Fault::invalid(format!("the text is not UTF-8: {error}")))?;
        Ok(Reader { text, at: 0 })
    }

    /// The first byte of what comes next, past white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
        None
    }

    /// Takes the byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Fails where anything but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the text")),
        }
    }

    /// Whether another element follows in an object or list that `close` ends.
    fn follows(&mut self, first: &mut bool, close: u8) -> Result<bool, Fault> {
        if self.take(close) {
            return Ok(false);
        }
        if std::mem::take(first) || self.take(b',') {
            return Ok(true);
        }
        Err(self.syntax(if close == b'}' { "`,` or `}`" } else { "`,` or `]`" }))
    }

    /// A bare word: one of `true`, `false`, `null`.
    fn word(&mut self) -> Result<&'b str, Fault> {
        for word in ["true", "false", "null"] {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(word);
            }
        }
        Err(self.syntax("a value"))
    }

    /// A number's text, by JSON's grammar.
    fn decimal(&mut self) -> Result<Decimal<'b>, Fault> {
        let rest = &self.text[self.at..];
        let length = decimal_length(rest.as_bytes()).ok_or_else(|| self.syntax("a number"))?;
        self.at += length;
        Ok(Decimal(&rest[..length]))
    }

    /// A string; borrowed where nothing in it is escaped.
    fn string(&mut self) -> Result<Cow<'b, str>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a string"));
        }
        self.at += 1;
        let bytes = self.text.as_bytes();
        let mut start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => {
                    let tail = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(tail),
                        Some(mut text) => {
                            text.push_str(tail);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_with(String::new);
                    text.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    let letter = self.escape()?;
                    unescaped.get_or_insert_with(String::new).push(letter);
                    start = self.at;
                }
                Some(0..0x20) => return Err(self.syntax("control characters in strings to be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.syntax("the string's closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let byte = self.text.as_bytes().get(self.at).copied();
        let letter = match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.syntax("an escape that JSON has")),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unicode(&mut self) -> Result<char, Fault> {
        let high = self.hex()?;
        if let Some(letter) = char::from_u32(high) {
            return Ok(letter);
        }
        let pair = (0xd800..0xdc00).contains(&high) && self.text.as_bytes()[self.at..].starts_with(b"\\u");
        if pair {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(|| self.syntax("a character"));
            }
        }
        Err(self.syntax("both halves of a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.syntax("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    /// The text is no JSON here.
    fn syntax(&mut self, expected: &str) -> Fault {
        let at = self.at;
        let got = match self.peek() {
            None => "the end of the text".to_string(),
            Some(_) => self.text[self.at..].chars().next().map_or(String::new(), |letter| quote(letter.encode_utf8(&mut [0; 4]))),
        };
        Fault::invalid(format!("the text is no JSON at byte {at}: expected {expected}, got {got}"))
    }
}

impl<'b> document::Reader<'b> for Reader<'b> {
    type Number = Decimal<'b>;
    /// Whether nothing was read of it yet, so that no comma is due.
    type Inside = bool;

    const MAP: &'static str = "an object";
    const EMPTY: &'static str = "{}";
    const BYTES: &'static str = "a string of base64";

    fn null(&mut self) -> Result<bool, Fault> {
        Ok(self.peek() == Some(b'n') && self.word()? == "null")
    }

    fn bool(&mut self) -> Result<Option<bool>, Fault> {
        match self.peek() {
            Some(b't' | b'f') => Ok(Some(self.word()? == "true")),
            _ => Ok(None),
        }
    }

    fn number(&mut self) -> Result<Option<Decimal<'b>>, Fault> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.decimal().map(Some),
            _ => Ok(None),
        }
    }

    fn text(&mut self) -> Result<Option<Cow<'b, str>>, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            _ => Ok(None),
        }
    }

    fn bytes(&mut self) -> Result<Option<Cow<'b, [u8]>>, Fault> {
        let Some(text) = self.text()? else { return Ok(None) };
        let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
        let bytes = engine.decode(text.as_bytes()).map_err(|error| Fault::invalid(format!("expected base64: {error}")))?;
        Ok(Some(bytes.into()))
    }

    fn map(&mut self) -> Result<Option<bool>, Fault> {
        Ok(self.take(b'{').then_some(true))
    }

    fn key(&mut self, first: &mut bool) -> Result<Option<Key<'b>>, Fault> {
        if !self.follows(first, b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a field's name in quotes"));
        }
        let name = self.string()?;
        if !self.take(b':') {
            return Err(self.syntax("`:`"));
        }
        Ok(Some(Key::Text(name)))
    }

    fn list(&mut self) -> Result<Option<bool>, Fault> {
        Ok(self.take(b'[').then_some(true))
    }

    fn more(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.follows(first, b']')
    }

    fn other(&mut self, expected: &str) -> Fault {
        self.syntax(expected)
    }
}
