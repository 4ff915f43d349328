//! Header blocks of HTTP/2 replies (RFC 7541), decoded with the dynamic table that any client has:
//! a generator that forbade the table would make the servers work more than their users do.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};

/// The dynamic table that every server may use: the protocol's default.
const TABLE_BYTES: usize = 4096;
/// What the protocol counts for an entry beside its bytes.
const ENTRY_BYTES: usize = 32;
/// The longest string that is read.
const MAX_STRING: usize = 64 << 10;

type Entry = (Vec<u8>, Vec<u8>);

/// The decoder of one connection.
pub struct Decoder {
    huffman: Huffman,
    table: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
}

impl Decoder {
    /// A decoder with an empty table.
    pub fn new() -> Decoder {
        Decoder { huffman: Huffman::new(), table: VecDeque::new(), bytes: 0, limit: TABLE_BYTES }
    }

    /// Decodes a whole block and shows each field to `see`.
    pub fn decode(&mut self, mut block: &[u8], mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = self.field(index)?;
                see(name, value);
            } else if first & 0x40 != 0 {
                let (name, value) = self.literal(&mut block, 6)?;
                see(&name, &value);
                self.insert((name, value));
            } else if first & 0x20 != 0 {
                let limit = integer(&mut block, 5)?;
                if limit > TABLE_BYTES {
                    bail!("the server set its header table to {limit} bytes, over the limit of {TABLE_BYTES}");
                }
                self.limit = limit;
                self.evict(0);
            } else {
                let (name, value) = self.literal(&mut block, 4)?;
                see(&name, &value);
            }
        }
        Ok(())
    }

    fn field(&self, index: usize) -> Result<(&[u8], &[u8])> {
        match index.checked_sub(1).context("a header field has index 0")? {
            index if index < STATIC.len() => Ok((STATIC[index].0.as_bytes(), STATIC[index].1.as_bytes())),
            index => {
                let entry = self.table.get(index - STATIC.len());
                let (name, value) = entry.with_context(|| format!("a header field has index {}, beyond the table", index + 1))?;
                Ok((name, value))
            }
        }
    }

    fn literal(&self, block: &mut &[u8], prefix: u32) -> Result<Entry> {
        let name = match integer(block, prefix)? {
            0 => self.string(block)?,
            index => self.field(index)?.0.to_vec(),
        };
        Ok((name, self.string(block)?))
    }

    fn string(&self, block: &mut &[u8]) -> Result<Vec<u8>> {
        let packed = block.first().is_some_and(|first| first & 0x80 != 0);
        let length = integer(block, 7)?;
        let (bytes, rest) = block.split_at_checked(length).context("a header block ends within a string")?;
        *block = rest;
        if packed { self.huffman.decode(bytes) } else { Ok(bytes.to_vec()) }
    }

    fn insert(&mut self, entry: Entry) {
        let size = size(&entry);
        self.evict(size);
        // One that is larger than the whole table empties it and is not kept.
        if size <= self.limit {
            self.bytes += size;
            self.table.push_front(entry);
        }
    }

    fn evict(&mut self, room: usize) {
        while self.bytes + room > self.limit {
            let Some(oldest) = self.table.pop_back() else { return };
            self.bytes -= size(&oldest);
        }
    }
}

fn size((name, value): &Entry) -> usize {
    name.len() + value.len() + ENTRY_BYTES
}

/// Reads an integer whose first byte has `prefix` bits of it.
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize> {
    let mut next = || -> Result<usize> {
        let (&byte, rest) = block.split_first().context("a header block ends within a number")?;
        *block = rest;
        Ok(usize::from(byte))
    };
    let most = (1 << prefix) - 1;
    let mut value = next()? & most;
    if value < most {
        return Ok(value);
    }
    for shift in [0, 7, 14] {
        let byte = next()?;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if value <= MAX_STRING { Ok(value) } else { bail!("a header has a number of {value}, over the limit of {MAX_STRING}") };
        }
    }
    bail!("a header has a number over the limit of {MAX_STRING}")
}

/// The code of RFC 7541, appendix B. It is canonical, so the lengths of its codes are all of it.
struct Huffman {
    /// For each length: the first code, the number of codes, the place of the first in `symbols`.
    lengths: [(u32, u32, usize); MAX_CODE + 1],
    /// The symbols in the order of their codes.
    symbols: Vec<u8>,
}

impl Huffman {
    fn new() -> Huffman {
        let mut lengths = [(0, 0, 0); MAX_CODE + 1];
        let mut symbols = Vec::with_capacity(CODE_LENGTHS.len());
        let mut code = 0;
        for (length, row) in lengths.iter_mut().enumerate().skip(1) {
            code <<= 1;
            let start = symbols.len();
            symbols.extend((0..=u8::MAX).filter(|symbol| usize::from(CODE_LENGTHS[usize::from(*symbol)]) == length));
            let count = (symbols.len() - start) as u32;
            *row = (code, count, start);
            code += count;
        }
        Huffman { lengths, symbols }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
        let (mut code, mut length) = (0u32, 0usize);
        for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |shift| u32::from(byte >> shift & 1))) {
            (code, length) = (code << 1 | bit, length + 1);
            if length > MAX_CODE {
                bail!("a header has a string that is not in the Huffman code");
            }
            let (first, count, start) = self.lengths[length];
            if let Some(offset) = code.checked_sub(first).filter(|offset| *offset < count) {
                text.push(self.symbols[start + offset as usize]);
                (code, length) = (0, 0);
            }
        }
        // The last byte is filled up with ones, the start of no whole code.
        if length > 7 || code != (1 << length) - 1 {
            bail!("a header has a string that ends within a Huffman code");
        }
        Ok(text)
    }
}

const MAX_CODE: usize = 30;

#[rustfmt::skip]
const CODE_LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.decode(block, |name, value| fields.push((text(name), text(value)))).expect("a valid block");
        fields
    }

    /// RFC 7541, C.6: three replies over a table of 256 bytes, which evicts.
    #[test]
    fn the_standards_own_replies_are_decoded() {
        let hex =
            |text: &str| (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect::<Vec<_>>();
        let mut decoder = Decoder::new();
        decoder.limit = 256;
        let block = hex("488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3");
        let fields = decode(&mut decoder, &block);
        assert_eq!(fields[0], (":status".into(), "302".into()));
        assert_eq!(fields[2], ("date".into(), "Mon, 21 Oct 2013 20:13:21 GMT".into()));
        assert_eq!(decoder.bytes, 222);
        let fields = decode(&mut decoder, &hex("4883640effc1c0bf"));
        assert_eq!(fields[0], (":status".into(), "307".into()));
        assert_eq!(fields[3], ("location".into(), "https://www.example.com".into()));
        assert_eq!(decoder.bytes, 222);
    }

    #[test]
    fn a_broken_block_is_an_error() {
        for block in [&[0x80][..], &[0xff, 0xff, 0xff, 0xff, 0xff], &[0xc9], &[0x40, 0x05, b'a'], &[0x00, 0x81, 0x00, 0x00]] {
            assert!(Decoder::new().decode(block, |_, _| {}).is_err(), "{block:?}");
        }
    }
}
