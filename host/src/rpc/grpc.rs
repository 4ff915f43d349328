//! How gRPC tells in trailers how a call ended: written by the edge, read from other hosts.
//!
//! Source: gRPC, "PROTOCOL-HTTP2".

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use prost::Message as _;

use super::headers::{self, BASE64};
use super::{UNSEEN, metadata};
use crate::status::{Code, Detail, Status};

pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What `grpc-message` carries as it is ends here ("PROTOCOL-HTTP2", "Status-Message"); other than
/// ASCII is always encoded.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The length of a status message, before it is encoded: clients bound all headers of a reply, many
/// at 8 KiB.
const MAX_MESSAGE: usize = 2 << 10;

/// The length of a status with its details, before base64, for the same reason.
const MAX_DETAILS: usize = 4 << 10;

/// The prefix of a detail's type that is no part of its name.
const TYPE_URL: &str = "type.googleapis.com/";

/// `google.rpc.Status`, what `grpc-status-details-bin` holds.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The trailers after a reply.
pub fn ok_trailers(metadata: HeaderMap) -> HeaderMap {
    let mut trailers = headers::own(metadata);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    trailers
}

/// The trailers of a call that failed.
pub fn error_trailers(status: &Status) -> HeaderMap {
    let mut trailers = headers::own(status.metadata().clone());
    trailers.insert(STATUS, HeaderValue::from(u16::from(status.code().number())));
    if !status.message().is_empty() {
        let message = &status.message()[..status.message().floor_char_boundary(MAX_MESSAGE)];
        let message = utf8_percent_encode(message, ESCAPED).to_string();
        trailers.insert(MESSAGE, HeaderValue::try_from(message).expect("percent-encoded text is printable ASCII"));
    }
    if let Some(details) = details(status) {
        trailers.insert(DETAILS, details);
    }
    if status.is_unseen() {
        trailers.insert(UNSEEN, HeaderValue::from_static("1"));
    }
    trailers
}

fn details(status: &Status) -> Option<HeaderValue> {
    if status.details().is_empty() {
        return None;
    }
    let any = |detail: &Detail| prost_types::Any { type_url: [TYPE_URL, &*detail.type_name].concat(), value: detail.value.to_vec() };
    let message = RpcStatus {
        code: status.code().number().into(),
        message: status.message().to_owned(),
        details: status.details().iter().map(any).collect(),
    };
    let length = message.encoded_len();
    if length > MAX_DETAILS {
        tracing::debug!(code = %status.code(), length, "the details of an error are left out: more than {MAX_DETAILS} bytes do not fit into trailers");
        return None;
    }
    Some(HeaderValue::try_from(BASE64.encode(message.encode_to_vec())).expect("base64 is printable ASCII"))
}

/// How a call ended, by its trailers; `None` where they do not say. Metadata is that of the trailers and
/// what was there `before` them.
///
/// What is garbled in them is left out, as far as the code: what is no code is `unknown`.
pub fn ended(trailers: HeaderMap, before: HeaderMap) -> Option<Result<HeaderMap, Status>> {
    let number = trailers.get(STATUS)?.as_bytes();
    if number == b"0" {
        return Some(Ok(headers::own(trailers)));
    }
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    let code = number.and_then(Code::from_number).filter(|code| *code != Code::Ok).unwrap_or(Code::Unknown);
    let message = trailers.get(MESSAGE).map_or("".into(), |message| percent_decode(message.as_bytes()).decode_utf8_lossy().into_owned());
    let mut status = Status::new(code, message);
    for detail in trailers.get(DETAILS).and_then(read_details).unwrap_or_default() {
        status = status.with_detail(detail);
    }
    if trailers.contains_key(UNSEEN) {
        status = status.unseen();
    }
    let mut all = headers::own(before);
    all.extend(metadata(&trailers).map(|(name, value)| (name.clone(), value.clone())));
    Some(Err(if all.is_empty() { status } else { status.with_metadata(all) }))
}

fn read_details(value: &HeaderValue) -> Option<Vec<Detail>> {
    let message = RpcStatus::decode(&*BASE64.decode(value.as_bytes()).ok()?).ok()?;
    let detail = |any: prost_types::Any| Detail {
        type_name: any.type_url.rsplit_once('/').map_or(any.type_url.as_str(), |(_, name)| name).to_owned().into(),
        value: any.value.into(),
        debug: None,
    };
    Some(message.details.into_iter().map(detail).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_printable_whatever_it_was() {
        let trailers = error_trailers(&Status::new(Code::NotFound, "no 100% \u{fc}ber\r\n\u{7f}"));
        assert_eq!(trailers[STATUS], "5");
        assert_eq!(trailers[MESSAGE], "no 100%25 %C3%BCber%0D%0A%7F");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let trailers = error_trailers(&Status::new(Code::Internal, "\u{20ac}".repeat(MAX_MESSAGE)));
        assert_eq!(trailers[MESSAGE].len() % "%E2%82%AC".len(), 0);
        assert!(trailers[MESSAGE].len() <= MAX_MESSAGE * 3);
    }

    fn detail(length: usize) -> Detail {
        Detail { type_name: "a.B".into(), value: vec![7; length].into(), debug: None }
    }

    #[test]
    fn details_are_a_google_rpc_status_unless_they_are_too_long() {
        let trailers = error_trailers(&Status::new(Code::Aborted, "m").with_detail(detail(3)));
        let decoded = RpcStatus::decode(&*BASE64.decode(&trailers[DETAILS]).expect("base64")).expect("a status");
        assert_eq!((decoded.code, &*decoded.message), (10, "m"));
        assert_eq!((&*decoded.details[0].type_url, &decoded.details[0].value[..]), ("type.googleapis.com/a.B", &[7; 3][..]));
        assert!(!trailers[DETAILS].as_bytes().ends_with(b"="));
        assert!(!error_trailers(&Status::new(Code::Aborted, "m").with_detail(detail(MAX_DETAILS))).contains_key(DETAILS));
    }

    #[test]
    fn a_status_is_read_as_it_was_written() {
        for code in Code::all().filter(|code| *code != Code::Ok) {
            let own = HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("b"))]);
            let sent = Status::new(code, "no 100% \u{fc}ber\r\n").with_detail(detail(9)).with_metadata(own.clone());
            for sent in [sent.unseen(), Status::new(code, "")] {
                let read = ended(error_trailers(&sent), HeaderMap::new()).expect("it is told").expect_err("a failure");
                assert_eq!((read.code(), read.message(), read.details()), (sent.code(), sent.message(), sent.details()));
                assert_eq!((read.metadata(), read.is_unseen()), (sent.metadata(), sent.is_unseen()));
            }
        }
        assert_eq!(ended(ok_trailers(HeaderMap::new()), HeaderMap::new()).expect("it is told").expect("well"), HeaderMap::new());
    }

    #[test]
    fn garbled_trailers_are_a_failure_of_which_the_rest_is_told() {
        assert!(ended(HeaderMap::new(), HeaderMap::new()).is_none());
        for number in ["", "99", "-1", "00", "x"] {
            let mut trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_str(number).expect("text"))]);
            trailers.insert(MESSAGE, HeaderValue::from_static("a%zz%ff"));
            trailers.insert(DETAILS, HeaderValue::from_static("!"));
            let status = ended(trailers, HeaderMap::new()).expect("it is told").expect_err("a failure");
            assert_eq!((status.code(), status.message(), status.details().len()), (Code::Unknown, "a%zz\u{fffd}", 0), "{number:?}");
        }
    }
}
