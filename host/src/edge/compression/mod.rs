//! Packing and unpacking of messages. Each lane keeps its own machinery, which is costly to make;
//! what is unpacked is bounded while it is unpacked.

use std::io;

use bytes::Bytes;
use http::HeaderValue;

use crate::status::{Code, Status};

mod gzip;
mod zstd;

/// Replies below this are sent as they are: packing them saves less than it costs.
const WORTH_PACKING: usize = 1 << 10;

/// How much an output buffer grows by at least.
const GROWTH: usize = 4 << 10;

/// A way to compress messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The encodings by name. What is not compressed has none here: see [`named`].
const NAMES: [(&str, Encoding); 2] = [("gzip", Encoding::Gzip), ("zstd", Encoding::Zstd)];

/// The names, as headers list them.
pub(super) const SUPPORTED: HeaderValue = HeaderValue::from_static("gzip, zstd");

impl Encoding {
    /// The encoding's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }
}

/// Why data cannot be unpacked.
#[derive(Debug)]
enum Unpack {
    /// It would be longer than its bound.
    TooLong,
    /// It is damaged.
    Damaged(io::Error),
}

/// The encoding of a request by the name that it gives, `None` for one that is not compressed.
///
/// Fails with `unimplemented` where the name is not known, and names those that are.
pub(super) fn named(name: &[u8]) -> Result<Option<Encoding>, Status> {
    if name.is_empty() || name == b"identity" {
        return Ok(None);
    }
    match NAMES.iter().find(|(known, _)| known.as_bytes() == name) {
        Some((_, encoding)) => Ok(Some(*encoding)),
        None => Err(Status::new(
            Code::Unimplemented,
            format!("unknown compression {:?}, supported are gzip, zstd and identity", String::from_utf8_lossy(name)),
        )),
    }
}

/// The encoding for a reply: the first that the client lists and we have.
pub(super) fn accepted(listed: Option<&HeaderValue>) -> Option<Encoding> {
    listed?.as_bytes().split(|byte| *byte == b',').find_map(|item| {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?;
        // `q=0` means "not this one" (RFC 9110, section 12.4.2).
        if parts.any(|part| part.strip_prefix(b"q=").is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))) {
            return None;
        }
        NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, encoding)| *encoding)
    })
}

/// Unpacks a message to at most `limit` bytes.
pub(super) fn unpack(encoding: Encoding, packed: &[u8], limit: usize) -> Result<Bytes, Status> {
    let result = match encoding {
        Encoding::Gzip => gzip::unpack(packed, limit),
        Encoding::Zstd => zstd::unpack(packed, limit),
    };
    result.map(Bytes::from).map_err(|error| match error {
        Unpack::TooLong => super::request::too_long(limit),
        Unpack::Damaged(cause) => {
            Status::new(Code::InvalidArgument, format!("the request is not valid {}: {cause}", encoding.name())).because(cause)
        }
    })
}

/// Packs a reply where the client accepts it; `None` where it does not, or that gains nothing.
pub(super) fn pack(accepted: Option<Encoding>, message: &[u8]) -> Option<(Encoding, Bytes)> {
    let encoding = accepted.filter(|_| message.len() >= WORTH_PACKING)?;
    Some((encoding, packed(encoding, message)?))
}

fn packed(encoding: Encoding, message: &[u8]) -> Option<Bytes> {
    let packed = match encoding {
        Encoding::Gzip => gzip::pack(message),
        Encoding::Zstd => zstd::pack(message),
    };
    packed.filter(|packed| packed.len() < message.len()).map(Bytes::from)
}

/// Makes room in an output buffer that may hold `limit` bytes and one more, which tells that there
/// would be more.
fn make_room(out: &mut Vec<u8>, limit: usize) -> Result<(), Unpack> {
    if out.len() > limit {
        return Err(Unpack::TooLong);
    }
    if out.len() == out.capacity() {
        out.reserve_exact(out.len().max(GROWTH).min(limit.saturating_add(1) - out.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

    fn code(result: Result<Bytes, Status>) -> Code {
        result.expect_err("refused").code()
    }

    #[test]
    fn what_is_packed_is_unpacked_to_the_same_up_to_the_very_limit() {
        for encoding in BOTH {
            for length in [2_000, 65_536, 1_000_003] {
                let message: Vec<u8> = (0..length).map(|i: usize| (i * i / 7) as u8 & 0x0f).collect();
                let packed = packed(encoding, &message).expect("smaller");
                assert_eq!(unpack(encoding, &packed, length).expect("within the limit"), message);
                assert_eq!(code(unpack(encoding, &packed, length - 1)), Code::ResourceExhausted, "{encoding:?}");
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        for encoding in BOTH {
            let bomb = packed(encoding, &vec![0; 64 << 20]).expect("smaller");
            assert!(bomb.len() < 1 << 20);
            assert_eq!(code(unpack(encoding, &bomb, 4 << 20)), Code::ResourceExhausted);
        }
    }

    #[test]
    fn damaged_data_is_refused_and_leaves_the_machinery_sound() {
        for encoding in BOTH {
            let message = vec![7; 5_000];
            let good = packed(encoding, &message).expect("smaller");
            for cut in 0..good.len() {
                assert_eq!(code(unpack(encoding, &good[..cut], 1 << 20)), Code::InvalidArgument, "{encoding:?} cut at {cut}");
            }
            let mut garbled = good.to_vec();
            let middle = garbled.len() / 2;
            garbled[middle..].fill(0xff);
            assert_eq!(code(unpack(encoding, &garbled, 1 << 20)), Code::InvalidArgument);
            assert_eq!(code(unpack(encoding, b"not packed at all", 1 << 20)), Code::InvalidArgument);
            assert_eq!(unpack(encoding, &good, 1 << 20).expect("still works"), message);
        }
    }

    #[test]
    fn parts_set_one_after_the_other_are_one_message() {
        for encoding in BOTH {
            let parts = [[b'a'; 100], [b'b'; 100]].map(|part| packed(encoding, &part).expect("smaller"));
            let whole = unpack(encoding, &parts.concat(), 1_000).expect("two parts");
            assert_eq!(whole, [[b'a'; 100], [b'b'; 100]].concat());
        }
    }

    #[test]
    fn what_does_not_shrink_is_not_packed() {
        let noise: Vec<u8> = (0..64u32).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
        for encoding in BOTH {
            assert_eq!(packed(encoding, &noise), None);
        }
    }

    #[test]
    fn the_client_s_first_choice_that_we_have_is_taken() {
        let of = |listed: &'static str| accepted(Some(&HeaderValue::from_static(listed)));
        assert_eq!(of("br, zstd, gzip"), Some(Encoding::Zstd));
        assert_eq!(of("gzip;q=0, zstd;q=0.5"), Some(Encoding::Zstd));
        assert_eq!(of("GZIP"), Some(Encoding::Gzip));
        assert_eq!(of("gzip;q=0.0, identity"), None);
        assert_eq!(of(""), None);
        assert_eq!(accepted(None), None);
    }

    #[test]
    fn a_small_reply_and_one_that_the_client_cannot_read_stay_as_they_are() {
        let message = [0; WORTH_PACKING];
        assert!(pack(Some(Encoding::Gzip), &message).is_some());
        assert_eq!(pack(Some(Encoding::Gzip), &message[1..]), None);
        assert_eq!(pack(None, &message), None);
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        assert_eq!(named(b"zstd").expect("known"), Some(Encoding::Zstd));
        assert_eq!(named(b"identity").expect("known"), None);
        let status = named(b"br").expect_err("unknown");
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains("\"br\"") && status.message().contains("gzip, zstd"), "{status}");
    }
}
