//! Writes MessagePack: everything in its shortest form.

use crate::schema::document::{self, Key};
use crate::schema::fault::Fault;
use crate::schema::output::Output;

/// The message so far.
pub(super) struct Writer(Output);

impl Writer {
    fn push(&mut self, first: u8, rest: &[u8]) {
        self.0.bytes.push(first);
        self.0.bytes.extend_from_slice(rest);
    }

    /// Writes a length in the shortest of its forms: in the first byte, if it is below `short.1`, or
    /// after one of those for a byte, two bytes and four.
    fn length(&mut self, length: usize, short: (u8, usize), one: Option<u8>, two: u8, four: u8) {
        match (length, one) {
            (length, _) if length < short.1 => self.push(short.0 | length as u8, &[]),
            (0..=0xff, Some(one)) => self.push(one, &[length as u8]),
            (0..=0xffff, _) => self.push(two, &(length as u16).to_be_bytes()),
            _ => self.push(four, &(length as u32).to_be_bytes()),
        }
    }
}

impl document::Writer for Writer {
    type Inside = ();

    const MAX: usize = u32::MAX as usize;

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
        self.push(0xc2 | u8::from(yes), &[]);
    }

    fn small(&mut self, number: i64) {
        self.signed(number);
    }

    fn signed(&mut self, number: i64) {
        match number {
            0.. => self.unsigned(number as u64),
            -0x20.. => self.push(number as u8, &[]),
            -0x80.. => self.push(0xd0, &[number as u8]),
            -0x8000.. => self.push(0xd1, &(number as i16).to_be_bytes()),
            -0x8000_0000.. => self.push(0xd2, &(number as i32).to_be_bytes()),
            _ => self.push(0xd3, &number.to_be_bytes()),
        }
    }

    fn unsigned(&mut self, number: u64) {
        match number {
            0..=0x7f => self.push(number as u8, &[]),
            0x80..=0xff => self.push(0xcc, &[number as u8]),
            0x100..=0xffff => self.push(0xcd, &(number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.push(0xce, &(number as u32).to_be_bytes()),
            _ => self.push(0xcf, &number.to_be_bytes()),
        }
    }

    fn f32(&mut self, number: f32) {
        self.push(0xca, &number.to_be_bytes());
    }

    fn f64(&mut self, number: f64) {
        self.push(0xcb, &number.to_be_bytes());
    }

    fn plain(&mut self, text: &str) {
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len(), (0xa0, 32), Some(0xd9), 0xda, 0xdb);
        self.0.bytes.extend_from_slice(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len(), (0, 0), Some(0xc4), 0xc5, 0xc6);
        self.0.bytes.extend_from_slice(bytes);
    }

    fn map(&mut self, count: impl FnOnce() -> usize) {
        self.length(count(), (0x80, 16), None, 0xde, 0xdf);
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
        self.length(count, (0x90, 16), None, 0xdc, 0xdd);
    }

    fn element(&mut self, (): &mut ()) {}

    fn end_list(&mut self, (): ()) {}
}
