//! Where in a binary document a reader is. All access to the bytes goes through here, so that no
//! length that they announce reaches beyond them.

use crate::schema::fault::Fault;

/// A body that is read from left to right.
pub(in crate::schema) struct Cursor<'b> {
    body: &'b [u8],
    at: usize,
    /// What errors call the format: `CBOR`.
    format: &'static str,
}

impl<'b> Cursor<'b> {
    pub(in crate::schema) fn new(body: &'b [u8], format: &'static str) -> Cursor<'b> {
        Cursor { body, at: 0, format }
    }

    /// How many bytes are behind.
    pub(in crate::schema) fn at(&self) -> usize {
        self.at
    }

    /// The next byte, which stays.
    pub(in crate::schema) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Passes over the byte that [`Cursor::peek`] has shown.
    pub(in crate::schema) fn pass(&mut self) {
        self.at = (self.at + 1).min(self.body.len());
    }

    /// Takes the next byte if it is this one.
    pub(in crate::schema) fn took(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Takes so many bytes.
    pub(in crate::schema) fn take(&mut self, length: usize) -> Result<&'b [u8], Fault> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or_else(|| self.broken("the value to be whole, got the end of the message"))?;
        self.at += length;
        Ok(taken)
    }

    /// Takes `N` bytes.
    pub(in crate::schema) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let taken = rest.first_chunk().ok_or_else(|| self.broken("the value to be whole, got the end of the message"))?;
        self.at += N;
        Ok(*taken)
    }

    /// Takes text of so many bytes.
    pub(in crate::schema) fn text(&mut self, length: usize) -> Result<&'b str, Fault> {
        let start = self.at;
        std::str::from_utf8(self.take(length)?).map_err(|error| {
            let wrong = start + error.valid_up_to();
            Fault::invalid(format!("the message is no {} at byte {wrong}: expected UTF-8", self.format))
        })
    }

    /// Takes text up to a zero, and the zero.
    pub(in crate::schema) fn text_to_zero(&mut self) -> Result<&'b str, Fault> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let text = self.text(length)?;
        if self.took(0) { Ok(text) } else { Err(self.broken_byte("the name to end with 0x00")) }
    }

    /// Fails where anything is left.
    pub(in crate::schema) fn end(&self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.broken("the end of the message, got more")),
        }
    }

    /// The bytes are none of the format from here on.
    pub(in crate::schema) fn broken(&self, expected: &str) -> Fault {
        Fault::invalid(format!("the message is no {} at byte {}: expected {expected}", self.format, self.at))
    }

    /// [`Cursor::broken`] at the next byte, which is to be `expected`.
    pub(in crate::schema) fn broken_byte(&self, expected: &str) -> Fault {
        match self.peek() {
            Some(byte) => self.broken(&format!("{expected}, got 0x{byte:02x}")),
            None => self.broken(&format!("{expected}, got the end of the message")),
        }
    }
}
