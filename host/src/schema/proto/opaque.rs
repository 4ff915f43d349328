//! Messages that hold bytes and nothing else: the bytes pass as they are, without becoming a value.

use std::ops::Range;

use prost::encoding::{WireType, encode_key, encode_varint};

use super::decode::{delimited, key, skip};
use crate::schema::fault::Fault;
use crate::schema::model::{Card, Field, Kind, Message, Shape};
use crate::schema::output;

/// The one field's number.
const NUMBER: u32 = 1;

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
            let mut room = &mut head.bytes[..];
            encode_key(NUMBER, WireType::LengthDelimited, &mut room);
            encode_varint(length as u64, &mut room);
            head.length = MAX_HEAD - room.len();
        }
        if head.length.saturating_add(length) > limit { Err(output::too_large(limit)) } else { Ok(head) }
    })
}
