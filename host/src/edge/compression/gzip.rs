//! Gzip (RFC 1952): a small header, a deflate stream, a checksum and a length.

use std::cell::RefCell;
use std::io;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Unpack, make_room};

/// Magic number, deflate, no flags, no time, no hints, system unknown (RFC 1952, section 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Checksum and length.
const TRAILER: usize = 8;

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

thread_local! {
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

pub(super) fn pack(message: &[u8]) -> Option<Vec<u8>> {
    COMPRESS.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut out = Vec::with_capacity(message.len() / 2 + HEADER.len() + TRAILER);
        out.extend_from_slice(&HEADER);
        loop {
            let consumed = usize::try_from(deflate.total_in()).ok()?;
            // The only error is a stream that was finished before; it was reset above.
            match deflate.compress_vec(&message[consumed..], &mut out, FlushCompress::Finish).ok()? {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => out.reserve(out.len()),
            }
        }
        let mut crc = Crc::new();
        crc.update(message);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Some(out)
    })
}

pub(super) fn unpack(mut packed: &[u8], limit: usize) -> Result<Vec<u8>, Unpack> {
    let mut out = Vec::with_capacity(packed.len().saturating_mul(4).min(limit.saturating_add(1)));
    // A file is one member or several (RFC 1952, section 2.2).
    loop {
        packed = member(packed, &mut out, limit)?;
        if packed.is_empty() {
            return Ok(out);
        }
    }
}

/// Unpacks one member, and returns what follows it.
fn member<'a>(packed: &'a [u8], out: &mut Vec<u8>, limit: usize) -> Result<&'a [u8], Unpack> {
    let mut rest = after_header(packed).ok_or_else(|| damaged("the header is not gzip's"))?;
    let start = out.len();
    DECOMPRESS.with_borrow_mut(|inflate| {
        inflate.reset(false);
        loop {
            make_room(out, limit)?;
            let (read, written) = (inflate.total_in(), out.len());
            let status = inflate.decompress_vec(rest, out, FlushDecompress::None).map_err(|error| Unpack::Damaged(error.into()))?;
            let read = inflate.total_in() - read;
            rest = &rest[usize::try_from(read).expect("no more is read than there is")..];
            match status {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if read == 0 && out.len() == written && out.len() < out.capacity() => {
                    return Err(damaged("the data ends too soon"));
                }
                Status::Ok | Status::BufError => {}
            }
        }
    })?;
    if out.len() > limit {
        return Err(Unpack::TooLong);
    }
    let (trailer, rest) = rest.split_at_checked(TRAILER).ok_or_else(|| damaged("the checksum is missing"))?;
    let mut crc = Crc::new();
    crc.update(&out[start..]);
    if trailer[..4] != crc.sum().to_le_bytes() || trailer[4..] != crc.amount().to_le_bytes() {
        return Err(damaged("the checksum does not match"));
    }
    Ok(rest)
}

fn after_header(packed: &[u8]) -> Option<&[u8]> {
    let (header, mut rest) = packed.split_at_checked(HEADER.len())?;
    if header[..3] != HEADER[..3] {
        return None;
    }
    let flags = header[3];
    if flags & FLAG_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [FLAG_NAME, FLAG_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

fn damaged(why: &'static str) -> Unpack {
    Unpack::Damaged(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn others_can_unpack_what_we_pack() {
        let message = [b"gzip ".repeat(500), vec![0; 70_000]].concat();
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&pack(&message).expect("packed")[..]).read_to_end(&mut out).expect("valid gzip");
        assert_eq!(out, message);
    }

    #[test]
    fn every_optional_part_of_a_header_is_skipped() {
        let mut encoder =
            flate2::GzBuilder::new().extra(vec![1, 2, 3]).filename("a name").comment("a comment").write(Vec::new(), Compression::best());
        encoder.write_all(b"hello").expect("memory");
        let packed = encoder.finish().expect("memory");
        assert_eq!(unpack(&packed, 5).expect("valid"), b"hello");
        for cut in 0..packed.len() {
            assert!(matches!(unpack(&packed[..cut], 5), Err(Unpack::Damaged(_))), "cut at {cut}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_told() {
        let mut packed = pack(b"hello").expect("packed");
        let last = packed.len() - 5;
        packed[last] ^= 1;
        assert!(matches!(unpack(&packed, 100), Err(Unpack::Damaged(_))));
    }
}
