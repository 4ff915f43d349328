//! Writes BSON.

use std::io::Write as _;

use super::{ARRAY, BINARY, BOOL, DOCUMENT, DOUBLE, INT32, INT64, STRING};
use crate::schema::document::{self, Key};
use crate::schema::fault::Fault;
use crate::schema::output::Output;

/// The message so far.
pub(super) struct Writer {
    output: Output,
    /// Where the type of the next value is to stand, before its name; the outermost document has none.
    kind: Option<usize>,
}

/// A document or an array that is being written.
pub(super) struct Inside {
    /// Where it begins, with its length.
    start: usize,
    /// The place of an array's next element.
    next: usize,
}

impl Writer {
    fn push(&mut self, bytes: &[u8]) {
        self.output.bytes.extend_from_slice(bytes);
    }

    /// Says of what type the value is that follows.
    fn is(&mut self, kind: u8) {
        if let Some(place) = self.kind {
            self.output.bytes[place] = kind;
        }
    }

    /// Begins an element; the type is put in when the value comes.
    fn begin_element(&mut self) {
        self.kind = Some(self.output.bytes.len());
        self.push(&[0]);
    }

    fn decimal(&mut self, number: impl std::fmt::Display) {
        write!(self.output.bytes, "{number}").expect("a buffer takes all");
    }

    fn length(&mut self, length: usize) {
        self.push(&(length as u32).to_le_bytes());
    }

    fn begin(&mut self, kind: u8) -> Inside {
        self.is(kind);
        let start = self.output.bytes.len();
        self.length(0);
        Inside { start, next: 0 }
    }

    fn end(&mut self, inside: Inside) {
        self.push(&[0]);
        let length = (self.output.bytes.len() - inside.start) as u32;
        self.output.bytes[inside.start..inside.start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

impl document::Writer for Writer {
    type Inside = Inside;

    const MAX: usize = i32::MAX as usize;

    fn new(output: Output) -> Writer {
        Writer { output, kind: None }
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn into_output(self) -> Output {
        self.output
    }

    fn bool(&mut self, yes: bool) {
        self.is(BOOL);
        self.push(&[yes.into()]);
    }

    fn small(&mut self, number: i64) {
        match i32::try_from(number) {
            Ok(number) => {
                self.is(INT32);
                self.push(&number.to_le_bytes());
            }
            Err(_) => self.signed(number),
        }
    }

    fn signed(&mut self, number: i64) {
        self.is(INT64);
        self.push(&number.to_le_bytes());
    }

    fn unsigned(&mut self, number: u64) {
        match i64::try_from(number) {
            Ok(number) => self.signed(number),
            // No integer of BSON holds it. In JSON, too, it would be text.
            Err(_) => self.text(&number.to_string()),
        }
    }

    fn f32(&mut self, number: f32) {
        self.f64(number.into());
    }

    fn f64(&mut self, number: f64) {
        self.is(DOUBLE);
        self.push(&number.to_le_bytes());
    }

    fn plain(&mut self, text: &str) {
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        self.is(STRING);
        self.length(text.len() + 1);
        self.push(text.as_bytes());
        self.push(&[0]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.is(BINARY);
        self.length(bytes.len());
        // The generic subtype.
        self.push(&[0]);
        self.push(bytes);
    }

    fn map(&mut self, _: impl FnOnce() -> usize) -> Inside {
        self.begin(DOCUMENT)
    }

    fn name(&mut self, _: &mut Inside, name: &str) {
        self.begin_element();
        self.push(name.as_bytes());
        self.push(&[0]);
    }

    fn key(&mut self, _: &mut Inside, key: &Key<'_>) -> Result<(), Fault> {
        self.begin_element();
        match key {
            Key::Text(text) if text.contains('\0') => {
                return Err(Fault::unsupported(format!(
                    "BSON cannot hold the reply: the map's key {key} has a NUL in it; ask for another codec"
                )));
            }
            Key::Text(text) => self.push(text.as_bytes()),
            Key::Integer(number) => self.decimal(number),
            Key::Bool(yes) => self.decimal(yes),
        }
        self.push(&[0]);
        Ok(())
    }

    fn end_map(&mut self, inside: Inside) {
        self.end(inside);
    }

    fn list(&mut self, _: usize) -> Inside {
        self.begin(ARRAY)
    }

    fn element(&mut self, inside: &mut Inside) {
        self.begin_element();
        self.decimal(inside.next);
        self.push(&[0]);
        inside.next += 1;
    }

    fn end_list(&mut self, inside: Inside) {
        self.end(inside);
    }
}
