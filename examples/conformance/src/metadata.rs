//! Between metadata and the suite's `Header`: there values are text, bytes in base64 as on the wire.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use microhost_sdk::context::{self, Metadata, MetadataError};
use microhost_sdk::proto::Failure;

use crate::proto::connectrpc::conformance::v1::Header;

/// Values may come with padding or without.
const BYTES: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// All metadata, the values of each name together.
pub fn headers(metadata: &Metadata) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for (name, value) in metadata.iter() {
        let value = match is_bytes(name) {
            true => STANDARD_NO_PAD.encode(value),
            false => String::from_utf8_lossy(value).into_owned(),
        };
        match headers.iter_mut().find(|header| header.name == name) {
            Some(header) => header.value.push(value),
            None => headers.push(Header { name: name.to_owned(), value: vec![value] }),
        }
    }
    headers
}

/// Sets what is sent before the reply.
pub fn set_headers(headers: &[Header]) -> Result<(), Failure> {
    set(headers, context::add_header)
}

/// Sets what is sent after the reply.
pub fn set_trailers(trailers: &[Header]) -> Result<(), Failure> {
    set(trailers, context::add_trailer)
}

fn set(headers: &[Header], add: fn(String, Vec<u8>) -> Result<(), MetadataError>) -> Result<(), Failure> {
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        for value in &header.value {
            let value = match is_bytes(&name) {
                true => {
                    BYTES.decode(value).map_err(|error| Failure::invalid_argument(format!("{name}: {value:?} is no base64: {error}")))?
                }
                false => value.clone().into_bytes(),
            };
            add(name.clone(), value).map_err(|error| Failure::invalid_argument(error.to_string()))?;
        }
    }
    Ok(())
}

fn is_bytes(name: &str) -> bool {
    name.ends_with("-bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_name_are_told_together_and_bytes_in_base64() {
        let metadata = [("x-a", vec![b'1']), ("x-bin", vec![0xff]), ("x-a", vec![b'2'])].into_iter().collect();
        let header =
            |name: &str, value: &[&str]| Header { name: name.to_owned(), value: value.iter().map(|&value| value.to_owned()).collect() };
        assert_eq!(headers(&metadata), [header("x-a", &["1", "2"]), header("x-bin", &["/w"])]);
    }

    #[test]
    fn bytes_that_are_no_base64_are_refused() {
        let header = |value: &str| Header { name: "x-bin".to_owned(), value: vec![value.to_owned()] };
        assert_eq!(set_trailers(&[header("/w"), header("/w==")]), Ok(()));
        let failure = set_trailers(&[header("?")]).expect_err("no base64");
        assert!(failure.message().starts_with("x-bin: \"?\""), "{failure}");
    }
}
