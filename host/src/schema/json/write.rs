//! Writes JSON text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::schema::document::{self, Key};
use crate::schema::fault::Fault;
use crate::schema::output::Output;

/// The text so far.
pub(super) struct Writer(Output);

impl Writer {
    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.0.bytes, value).expect("numbers and text are JSON, and a buffer takes all");
    }

    fn push(&mut self, text: &[u8]) {
        self.0.bytes.extend_from_slice(text);
    }

    /// Begins what is not the first with a comma.
    fn separate(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.0.bytes.push(b',');
        }
    }

    fn special(&mut self, number: f64) {
        self.push(match number {
            number if number.is_nan() => b"\"NaN\"",
            number if number > 0.0 => b"\"Infinity\"",
            _ => b"\"-Infinity\"",
        });
    }

    fn quoted(&mut self, value: &impl Serialize) {
        self.0.bytes.push(b'"');
        self.json(value);
        self.0.bytes.push(b'"');
    }
}

impl document::Writer for Writer {
    /// Whether nothing was written of it yet, so that no comma is due.
    type Inside = bool;

    const MAX: usize = usize::MAX;

    fn new(output: Output) -> Writer {
        Writer(output)
    }

    fn output(&self) -> &Output {
        &self.0
    }

    fn into_output(self) -> Output {
        self.0
    }

    fn bool(&mut self, yes: bool) {
        self.json(&yes);
    }

    fn small(&mut self, number: i64) {
        self.json(&number);
    }

    // JavaScript's numbers hold 53 bits, so proto3 JSON has longer integers in quotes.
    fn signed(&mut self, number: i64) {
        self.quoted(&number);
    }

    fn unsigned(&mut self, number: u64) {
        self.quoted(&number);
    }

    fn f32(&mut self, number: f32) {
        if number.is_finite() { self.json(&number) } else { self.special(number.into()) }
    }

    fn f64(&mut self, number: f64) {
        if number.is_finite() { self.json(&number) } else { self.special(number) }
    }

    fn plain(&mut self, text: &str) {
        self.0.bytes.push(b'"');
        self.push(text.as_bytes());
        self.0.bytes.push(b'"');
    }

    fn text(&mut self, text: &str) {
        self.json(text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let out = &mut self.0.bytes;
        out.push(b'"');
        let start = out.len();
        let length = base64::encoded_len(bytes.len(), true).expect("half of all memory may grow by a third");
        out.resize(start + length, 0);
        STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room is as long as was asked for");
        out.push(b'"');
    }

    fn map(&mut self, _: impl FnOnce() -> usize) -> bool {
        self.0.bytes.push(b'{');
        true
    }

    fn name(&mut self, first: &mut bool, name: &str) {
        self.separate(first);
        self.0.bytes.push(b'"');
        self.push(name.as_bytes());
        self.push(b"\":");
    }

    fn key(&mut self, first: &mut bool, key: &Key<'_>) -> Result<(), Fault> {
        self.separate(first);
        match key {
            Key::Text(text) => self.json(&**text),
            Key::Integer(number) => self.quoted(number),
            Key::Bool(yes) => self.quoted(yes),
        }
        self.0.bytes.push(b':');
        Ok(())
    }

    fn end_map(&mut self, _: bool) {
        self.0.bytes.push(b'}');
    }

    fn list(&mut self, _: usize) -> bool {
        self.0.bytes.push(b'[');
        true
    }

    fn element(&mut self, first: &mut bool) {
        self.separate(first);
    }

    fn end_list(&mut self, _: bool) {
        self.0.bytes.push(b']');
    }
}
