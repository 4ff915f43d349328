//! Messages that hold bytes and nothing else: the bytes pass as they are, without becoming a value.

use std::ops::Range;

use super::decode::{delimited, key, skip};
use crate::schema::fault::Fault;
use crate::schema::model::{Card, Field, Kind, Message, Shape};
use crate::schema::output;

/// The one field's number.
const NUMBER: u32 = 1;

/// Its key: the number, and the wire type of what says how long it is.
const KEY: u8 = 1 << 3 | 2;

/// A byte of a length is followed by another one if it is not less.
const LONG: u8 = 0x80;

/// A key of one byte, and the longest length.
const MAX_HEAD: usize = 11;

/// What a message begins with that ends with its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    bytes: [u8; MAX_HEAD],
    length: usize,
}

impl Head {
    /// The most that a head takes.
    pub const MAX: usize = MAX_HEAD;

    /// The head.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Whether a message is that of a `list<u8>` by itself.
fn is_opaque(message: &Message) -> bool {
    message.shape == Shape::Wrapper && matches!(message.fields.as_slice(), [Field { kind: Kind::Bytes, card: Card::Single, .. }])
}

/// Where the bytes are in a message of nothing else; `None` for any other kind of message.
pub(in crate::schema) fn find(message: &Message, body: &[u8]) -> Option<Result<Range<usize>, Fault>> {
    is_opaque(message).then(|| place(message, body))
}

fn place(message: &Message, body: &[u8]) -> Result<Range<usize>, Fault> {
    // Nearly all are so.
    match body {
        [] => return Ok(0..0),
        [KEY, length @ 0..LONG, rest @ ..] if rest.len() == usize::from(*length) => return Ok(2..body.len()),
        [KEY, low @ LONG..=u8::MAX, high @ 0..LONG, rest @ ..] if rest.len() == usize::from(*low - LONG) | usize::from(*high) << 7 => {
            return Ok(3..body.len());
        }
        _ => {}
    }
    // What comes last counts, and what is unknown is passed over.
    let (mut rest, mut found) = (body, 0..0);
    while !rest.is_empty() {
        let (number, wire) = key(&mut rest)?;
        if number == NUMBER {
            let length = delimited(wire, &mut rest).map_err(|fault| fault.at(&message.fields[0].name))?.len();
            let end = body.len() - rest.len();
            found = end - length..end;
        } else {
            skip(number, wire, &mut rest)?;
        }
    }
    Ok(found)
}

/// What stands before `length` bytes in a message of nothing else, which may have `limit` bytes; `None`
/// for any other kind of message.
pub(in crate::schema) fn head(message: &Message, length: usize, limit: usize) -> Option<Result<Head, Fault>> {
    is_opaque(message).then(|| {
        let mut head = Head::default();
        // A default is left out.
        if length > 0 {
            (head.bytes[0], head.length) = (KEY, 1);
            let mut left = length;
            while left > 0 {
                let more = if left >= LONG.into() { LONG } else { 0 };
                head.bytes[head.length] = left as u8 & (LONG - 1) | more;
                (head.length, left) = (head.length + 1, left >> 7);
            }
        }
        if head.length.saturating_add(length) > limit { Err(output::too_large(limit)) } else { Ok(head) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let field = Field {
            name: "value".into(),
            json_name: "value".into(),
            wit: "list<u8>".into(),
            docs: None,
            kind: Kind::Bytes,
            card: Card::Single,
        };
        Message { name: "a.B".into(), docs: None, fields: vec![field], file: 0, shape: Shape::Wrapper, lookup: Vec::new() }
    }

    #[test]
    fn bytes_are_found_behind_every_head_that_is_written() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let head = head(&message(), length, usize::MAX).expect("opaque").expect("no limit");
            let body = [head.bytes(), &vec![7; length]].concat();
            assert_eq!(place(&message(), &body).expect("valid"), head.bytes().len()..body.len(), "{length}");
        }
    }

    #[test]
    fn what_comes_last_counts_and_what_is_unknown_is_passed_over() {
        assert_eq!(place(&message(), b"\x0a\x01a\x10\x05\x0a\x02bc").expect("valid"), 7..9);
        assert_eq!(place(&message(), b"\x0a\x01a\x10\x05").expect("valid"), 2..3);
        for wrong in [&b"\x0a\x02a"[..], b"\x0a\x80", b"\x08\x01", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x10"] {
            assert!(place(&message(), wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_over_its_limit_is_refused() {
        assert!(head(&message(), 8, 10).expect("opaque").is_ok());
        assert!(head(&message(), 9, 10).expect("opaque").is_err());
    }
}
