//! What a content type says: the protocol, and the codec of the messages.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

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
const NAMES: [(&str, Content); 18] = [
    ("application/json", Content::Connect(Codec::Json)),
    ("application/proto", Content::Connect(Codec::Proto)),
    ("application/msgpack", Content::Connect(Codec::Msgpack)),
    ("application/vnd.msgpack", Content::Connect(Codec::Msgpack)),
    ("application/x-msgpack", Content::Connect(Codec::Msgpack)),
    ("application/cbor", Content::Connect(Codec::Cbor)),
    ("application/bson", Content::Connect(Codec::Bson)),
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

/// What a call of an endpoint of this kind can be sent as, for a sentence: Connect's, a name a codec.
pub(super) fn connect_names(kind: Option<MethodKind>) -> String {
    let is_first = |(name, content): &&(&str, Content)| match content {
        Content::Connect(codec) => codec.content_types()[0] == *name,
        Content::ConnectStream(_) => true,
        Content::Grpc(_) | Content::GrpcWeb(_) | Content::GrpcWebText(_) => false,
    };
    let names: Vec<&str> = NAMES.iter().filter(|row| row.1.fits(kind)).filter(is_first).map(|row| row.0).collect();
    names.join(", ")
}

fn is_foreign_charset(parameter: &[u8]) -> bool {
    let Some((name, value)) = parameter.split_at_checked(b"charset=".len()) else { return false };
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    name.eq_ignore_ascii_case(b"charset=") && !value.eq_ignore_ascii_case(b"utf-8")
}

/// The content type of a Connect reply: the request's own name for the codec, else the first.
pub(super) fn connect_name(codec: Codec, headers: &HeaderMap) -> &'static str {
    match codec.content_types() {
        // Nearly always there is one, and nothing to look up.
        [only] => only,
        names => headers.get(CONTENT_TYPE).and_then(Content::of).map_or(names[0], |(_, name)| name),
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
        assert_eq!(
            connect_names(Some(MethodKind::Unary)),
            "application/json, application/proto, application/msgpack, application/cbor, application/bson"
        );
        assert_eq!(connect_names(Some(MethodKind::ServerStream)), "application/connect+json, application/connect+proto");
    }

    #[test]
    fn every_codec_is_known_by_each_of_its_content_types_and_answers_in_the_same() {
        let mut known = 0;
        for codec in Codec::ALL {
            for name in codec.content_types() {
                assert_eq!(of(name), Some(Content::Connect(codec)));
                let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(name))]);
                assert_eq!(connect_name(codec, &headers), *name);
                known += 1;
            }
            // A GET has none.
            assert_eq!(connect_name(codec, &HeaderMap::new()), codec.content_types()[0]);
        }
        assert_eq!(NAMES.iter().filter(|row| matches!(row.1, Content::Connect(_))).count(), known);
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
