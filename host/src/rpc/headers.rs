//! Metadata on its way out. A service names its own; what a protocol reserves stays the protocol's.
//!
//! A `-bin` value is base64 in a header map, in every protocol and both ways, as HTTP carries no
//! bytes.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;

use super::is_reserved;

/// Written without padding and read with or without: what gRPC and Connect ask for.
pub const BASE64: GeneralPurpose = lenient(&alphabet::STANDARD);

/// The same with the alphabet for URLs, for Connect's GET.
pub const BASE64_URL: GeneralPurpose = lenient(&alphabet::URL_SAFE);

const fn lenient(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// Takes out the names that are a protocol's own, so that a service cannot garble its reply.
pub fn own(mut headers: HeaderMap) -> HeaderMap {
    while let Some(name) = headers.keys().find(|name| is_reserved(name.as_str())).cloned() {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reserved_names_are_taken_out_and_others_stay() {
        let mut headers = HeaderMap::new();
        for name in ["content-length", "x-a", "grpc-status", "connect-x", "transfer-encoding", "x-b-bin"] {
            headers.append(name, HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        let own = own(headers);
        assert_eq!(own.keys_len(), 2);
        for name in ["x-a", "x-b-bin"] {
            assert_eq!(own.get_all(name).iter().count(), 2, "{name}");
        }
    }
}
