//! Writes CBOR as the core of its deterministic encoding asks: lengths told before, everything in its
//! shortest form. Maps keep the order of the schema, or of the service.
//!
//! Source: RFC 8949, section 4.2.1.

use super::float;
use crate::schema::document::{self, Key};
use crate::schema::fault::Fault;
use crate::schema::output::Output;

/// The message so far.
pub(super) struct Writer(Output);

/// Major types, where the first byte of an item has them.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const LIST: u8 = 4 << 5;
const MAP: u8 = 5 << 5;

impl Writer {
    fn push(&mut self, first: u8, rest: &[u8]) {
        self.0.bytes.push(first);
        self.0.bytes.extend_from_slice(rest);
    }

    /// Writes an item's first byte and the number that comes with it.
    fn head(&mut self, major: u8, number: u64) {
        match number {
            0..=0x17 => self.push(major | number as u8, &[]),
            0x18..=0xff => self.push(major | 24, &[number as u8]),
            0x100..=0xffff => self.push(major | 25, &(number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.push(major | 26, &(number as u32).to_be_bytes()),
            _ => self.push(major | 27, &number.to_be_bytes()),
        }
    }
}

impl document::Writer for Writer {
    type Inside = ();

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
        self.push(0xf4 | u8::from(yes), &[]);
    }

    fn small(&mut self, number: i64) {
        self.signed(number);
    }

    fn signed(&mut self, number: i64) {
        match number {
            0.. => self.head(UNSIGNED, number as u64),
            // −1 − number, which is what the inverted bits are.
            _ => self.head(NEGATIVE, !number as u64),
        }
    }

    fn unsigned(&mut self, number: u64) {
        self.head(UNSIGNED, number);
    }

    fn f32(&mut self, number: f32) {
        match float::to_half(number) {
            Some(half) => self.push(0xf9, &half.to_be_bytes()),
            None => self.push(0xfa, &number.to_be_bytes()),
        }
    }

    fn f64(&mut self, number: f64) {
        let shorter = number as f32;
        if f64::from(shorter) == number || number.is_nan() {
            self.f32(shorter);
        } else {
            self.push(0xfb, &number.to_be_bytes());
        }
    }

    fn plain(&mut self, text: &str) {
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.bytes.extend_from_slice(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.bytes.extend_from_slice(bytes);
    }

    fn map(&mut self, count: impl FnOnce() -> usize) {
        self.head(MAP, count() as u64);
    }

    fn name(&mut self, (): &mut (), name: &str) {
        self.text(name);
    }

    fn key(&mut self, (): &mut (), key: &Key<'_>) -> Result<(), Fault> {
        document::write_typed_key(self, key);
        Ok(())
    }

    fn end_map(&mut self, (): ()) {}

    fn list(&mut self, count: usize) {
        self.head(LIST, count as u64);
    }

    fn element(&mut self, (): &mut ()) {}

    fn end_list(&mut self, (): ()) {}
}
