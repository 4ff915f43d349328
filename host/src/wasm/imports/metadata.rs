//! Metadata as guests write and read it: names with bytes, where the wire has headers of printable text.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::rpc;

/// The most metadata that a guest sends with one call or one reply, in bytes: names, values, and 32 for
/// each, as HTTP/2 counts.
pub const MAX_METADATA: usize = 16 << 10;

/// The record `entry`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Entry {
    name: String,
    value: Vec<u8>,
}

/// Why metadata cannot be sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No lower-case header name, or a protocol's own.
    #[error("{0:?} cannot be a name of metadata: use a lower-case header name that no protocol reserves")]
    Name(String),
    /// Not printable, under a name that does not end in `-bin`.
    #[error("the metadata {0} is not printable ASCII: end its name in -bin to send bytes")]
    Value(String),
    /// Over [`MAX_METADATA`].
    #[error("the metadata is more than {MAX_METADATA} bytes")]
    Size,
}

/// The metadata among the headers: names and bytes.
pub fn entries(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> {
    rpc::metadata(headers).filter_map(|(name, value)| Some((name.as_str().to_owned(), decoded(name, value)?)))
}

/// The same as guests are told it.
pub fn told(headers: &HeaderMap) -> Vec<Entry> {
    entries(headers).map(|(name, value)| Entry { name, value }).collect()
}

/// The headers for metadata that a guest sends.
pub fn headers(entries: Vec<Entry>) -> Result<HeaderMap, Unfit> {
    let (mut headers, mut size) = (HeaderMap::with_capacity(entries.len().min(MAX_METADATA / 32)), 0);
    for entry in entries {
        let (name, value) = header(entry)?;
        count(&mut size, &name, &value)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The header for one piece of metadata.
pub fn header(Entry { name, value }: Entry) -> Result<(HeaderName, HeaderValue), Unfit> {
    let invalid = || Unfit::Name(name.clone());
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) || rpc::is_reserved(&name) {
        return Err(invalid());
    }
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    let text = if name.ends_with("-bin") { STANDARD_NO_PAD.encode(value).into_bytes() } else { value };
    // Stricter than HTTP, as gRPC is: printable ASCII alone.
    if !text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Err(Unfit::Value(name));
    }
    let value = HeaderValue::from_bytes(&text).map_err(|_| Unfit::Value(name))?;
    Ok((header, value))
}

/// Adds a header to a size, which stays within [`MAX_METADATA`].
pub fn count(size: &mut usize, name: &HeaderName, value: &HeaderValue) -> Result<(), Unfit> {
    let sum = *size + name.as_str().len() + value.len() + 32;
    if sum > MAX_METADATA {
        return Err(Unfit::Size);
    }
    *size = sum;
    Ok(())
}

/// The bytes behind a header: those of `-bin` ones travel as base64, padded or not (gRPC,
/// "PROTOCOL-HTTP2"). One that is not base64 is no metadata.
fn decoded(name: &HeaderName, value: &HeaderValue) -> Option<Vec<u8>> {
    if !name.as_str().ends_with("-bin") {
        return Some(value.as_bytes().to_vec());
    }
    let text = value.as_bytes();
    let unpadded = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    STANDARD_NO_PAD.decode(&text[..unpadded]).or_else(|_| STANDARD.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &[u8]) -> Entry {
        Entry { name: name.to_owned(), value: value.to_vec() }
    }

    #[test]
    fn reserved_and_malformed_metadata_is_refused() {
        for name in ["grpc-status", "content-type", "Upper", "", "with space", "connect-x"] {
            assert_eq!(header(entry(name, b"x")).expect_err(name), Unfit::Name(name.to_owned()));
        }
        assert_eq!(header(entry("x-a", b"a\r\nb: c")).expect_err("a header of its own"), Unfit::Value("x-a".to_owned()));
    }

    #[test]
    fn binary_metadata_travels_as_base64() {
        let (name, value) = header(entry("x-bin", &[0, 255, 1])).expect("valid");
        assert_eq!(value, "AP8B");
        assert_eq!(decoded(&name, &value).expect("base64"), [0, 255, 1]);
        assert_eq!(decoded(&name, &HeaderValue::from_static("AP8=")).expect("padded too"), [0, 255]);
        assert!(decoded(&name, &HeaderValue::from_static("%%")).is_none());
    }

    #[test]
    fn metadata_is_bounded_as_a_whole() {
        let many = |count| headers((0..count).map(|_| entry("x-a", &[b'a'; 1000])).collect());
        assert_eq!(many(15).expect("fits").len(), 15);
        assert_eq!(many(16).expect_err("too much"), Unfit::Size);
    }
}
