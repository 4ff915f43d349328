//! What a content type says: the protocol, and the codec of the messages.

use http::HeaderValue;

use crate::schema::{Codec, MethodKind};

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Connect, unary: the body is the message.
    Connect(Codec),
    /// Connect, a stream of envelopes.
    ConnectStream(Codec),
    /// gRPC over HTTP/2.
    Grpc(Codec),
    /// gRPC-Web.
    GrpcWeb(Codec),
    /// gRPC-Web in base64.
    GrpcWebText(Codec),
}

/// The content types, and each as it is answered. The first of a protocol and codec is the one that
/// replies carry, except where a request used another name.
const NAMES: [(&str, Content); 13] = [
    ("application/json", Content::Connect(Codec::Json)),
    ("application/proto", Content::Connect(Codec::Proto)),
    ("application/grpc", Content::Grpc(Codec::Proto)),
    ("application/grpc+proto", Content::Grpc(Codec::Proto)),
    ("application/grpc+json", Content::Grpc(Codec::Json)),
    ("application/grpc-web", Content::GrpcWeb(Codec::Proto)),
    ("application/grpc-web+proto", Content::GrpcWeb(Codec::Proto)),
    ("application/grpc-web+json", Content::GrpcWeb(Codec::Json)),
    ("application/grpc-web-text", Content::GrpcWebText(Codec::Proto)),
    ("application/grpc-web-text+proto", Content::GrpcWebText(Codec::Proto)),
    ("application/grpc-web-text+json", Content::GrpcWebText(Codec::Json)),
    ("application/connect+json", Content::ConnectStream(Codec::Json)),
    ("application/connect+proto", Content::ConnectStream(Codec::Proto)),
];

impl Content {
    /// Reads a content type, and the name that the reply is to carry.
    ///
    /// Parameters are skipped but for a charset, which JSON has only one of (RFC 8259, section 8.1).
    pub(super) fn of(value: &HeaderValue) -> Option<(Content, &'static str)> {
        let value = value.as_bytes();
        // Nearly every request has one of the names in lower case and without parameters.
        let found = NAMES.iter().find(|(name, _)| name.as_bytes() == value).or_else(|| {
            let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next()?;
            if parts.any(is_foreign_charset) {
                return None;
            }
            NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
        });
        found.map(|(name, content)| (*content, *name))
    }

    /// Whether an endpoint of this kind takes it.
    pub(super) fn fits(self, kind: Option<MethodKind>) -> bool {
        match self {
            Content::Connect(_) => matches!(kind, None | Some(MethodKind::Unary)),
            Content::ConnectStream(_) => kind != Some(MethodKind::Unary),
            Content::Grpc(_) | Content::GrpcWeb(_) | Content::GrpcWebText(_) => true,
        }
    }
}

/// What an endpoint of this kind takes, as `accept-post` lists it.
pub(super) fn accept_post(kind: Option<MethodKind>) -> HeaderValue {
    let names: Vec<&str> = NAMES.iter().filter(|row| row.1.fits(kind)).map(|row| row.0).collect();
    HeaderValue::try_from(names.join(", ")).expect("the names are visible ASCII")
}

fn is_foreign_charset(parameter: &[u8]) -> bool {
    let Some((name, value)) = parameter.split_at_checked(b"charset=".len()) else { return false };
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    name.eq_ignore_ascii_case(b"charset=") && !value.eq_ignore_ascii_case(b"utf-8")
}

/// The content type of a Connect reply in a codec.
pub(super) fn connect_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Json => "application/json",
        Codec::Proto => "application/proto",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &'static str) -> Option<Content> {
        Content::of(&HeaderValue::from_static(text)).map(|(content, _)| content)
    }

    #[test]
    fn every_name_is_known_in_any_case_and_with_parameters() {
        for (name, content) in NAMES {
            assert_eq!(of(name), Some(content));
            assert_eq!(
                Content::of(&HeaderValue::from_str(&format!("{} ; x=y", name.to_uppercase())).expect("valid")),
                Some((content, name))
            );
        }
    }

    #[test]
    fn an_endpoint_is_offered_what_its_kind_takes() {
        let of = |kind| accept_post(kind).to_str().expect("text").to_owned();
        let unary = of(Some(MethodKind::Unary));
        assert!(unary.starts_with("application/json, application/proto") && !unary.contains("connect+"), "{unary}");
        let stream = of(Some(MethodKind::BidiStream));
        assert!(stream.contains("application/connect+json, application/connect+proto"), "{stream}");
        assert!(stream.contains("application/grpc,") && !stream.contains("application/json"), "{stream}");
        assert_eq!(of(None).split(", ").count(), NAMES.len());
    }

    #[test]
    fn only_utf_8_is_taken() {
        assert_eq!(of("application/json; charset=UTF-8"), Some(Content::Connect(Codec::Json)));
        assert_eq!(of("application/json;charset=\"utf-8\""), Some(Content::Connect(Codec::Json)));
        assert_eq!(of("application/json; charset=latin1"), None);
    }

    #[test]
    fn other_names_are_not_known() {
        for other in ["", "text/plain", "application/jsonx", "application/grpc+cbor", "application/"] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
