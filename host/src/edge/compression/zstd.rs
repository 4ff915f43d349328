//! Zstandard (RFC 8878).

use std::cell::RefCell;
use std::io;

use ::zstd::bulk::Compressor;
use ::zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Unpack, make_room};

/// Fast, and still denser than gzip's usual level.
const LEVEL: i32 = 1;

/// The longest look back, as a power of two: 8 MiB, what RFC 8878 (section 3.1.1.1.2) asks every
/// decoder to support. A frame that wants more would make us hold more.
const WINDOW_LOG: u32 = 23;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECODER: RefCell<Option<Decoder<'static>>> = const { RefCell::new(None) };
}

pub(super) fn pack(message: &[u8]) -> Option<Vec<u8>> {
    // Where there is no memory for it, the message goes as it is.
    COMPRESSOR.with_borrow_mut(|slot| made(slot, || Compressor::new(LEVEL)).ok()?.compress(message).ok())
}

pub(super) fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Unpack> {
    DECODER.with_borrow_mut(|slot| {
        let decoder = made(slot, new_decoder).map_err(Unpack::Damaged)?;
        decoder.reinit().map_err(Unpack::Damaged)?;
        let mut out = Vec::with_capacity(packed.len().saturating_mul(4).min(limit.saturating_add(1)));
        let mut input = InBuffer::around(packed);
        loop {
            make_room(&mut out, limit)?;
            let (read, written) = (input.pos(), out.len());
            let mut output = OutBuffer::around_pos(&mut out, written);
            let left_of_frame = decoder.run(&mut input, &mut output).map_err(Unpack::Damaged)?;
            if left_of_frame == 0 && input.pos() == packed.len() {
                return if out.len() > limit { Err(Unpack::TooLong) } else { Ok(out) };
            }
            if input.pos() == read && out.len() == written && out.len() < out.capacity() {
                return Err(Unpack::Damaged(io::Error::new(io::ErrorKind::UnexpectedEof, "the data ends too soon")));
            }
        }
    })
}

fn new_decoder() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
    Ok(decoder)
}

fn made<T>(slot: &mut Option<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&mut T> {
    match slot {
        Some(made) => Ok(made),
        None => Ok(slot.insert(make()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_wants_a_huge_window_is_refused() {
        // Magic number, a frame header without a content size, a window of 2^31 bytes.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        assert!(matches!(unpack(&frame, 1 << 20), Err(Unpack::Damaged(_))));
    }
}
