//! What a service has seen of a call, and how it tells that.

use microhost_sdk::handler::Detail;
use microhost_sdk::proto::Failure;
use microhost_sdk::proto::prost::Name;
use microhost_sdk::proto::types::Any;
use microhost_sdk::{Code, context};

use crate::proto::connectrpc::conformance::v1::conformance_payload::RequestInfo;
use crate::proto::connectrpc::conformance::v1::{ConformancePayload, Error};
use crate::{limit, metadata};

/// The requests that have come and have not been told of.
#[derive(Default)]
pub struct Seen {
    requests: Vec<Any>,
    told: bool,
}

impl Seen {
    /// Keeps a request, to be told of.
    pub fn add<M: Name>(&mut self, request: &M) {
        self.requests.push(Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: request.encode_to_vec() });
    }

    /// The payload of a reply. The first one tells of the call too, later ones of the requests since
    /// the last one, if there are any.
    pub fn payload(&mut self, data: Vec<u8>) -> Option<ConformancePayload> {
        let request_info = (!self.told || !self.requests.is_empty()).then(|| self.info());
        Some(ConformancePayload { data, request_info })
    }

    /// The failure that is asked for; where no reply told what was seen, this does.
    pub fn failure(&mut self, error: Error) -> Failure {
        let code = code(error.code);
        let details = error.details.into_iter().map(|detail| {
            let type_name = detail.type_url.rsplit('/').next().unwrap_or_default().to_owned();
            Detail { type_name, value: detail.value }
        });
        let failure = details.fold(Failure::new(code, error.message.unwrap_or_default()), Failure::with);
        if self.told { failure } else { failure.with_detail(&self.info()) }
    }

    fn info(&mut self) -> RequestInfo {
        let requests = std::mem::take(&mut self.requests);
        if std::mem::replace(&mut self.told, true) {
            return RequestInfo { requests, ..RequestInfo::default() };
        }
        let timeout_ms = limit::time_left().map(|left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX));
        RequestInfo { request_headers: metadata::headers(&context::metadata()), timeout_ms, requests }
    }
}

fn code(number: i32) -> Code {
    use crate::proto::connectrpc::conformance::v1::Code as Asked;
    match Asked::try_from(number).unwrap_or_default() {
        Asked::Canceled => Code::Canceled,
        Asked::Unspecified | Asked::Unknown => Code::Unknown,
        Asked::InvalidArgument => Code::InvalidArgument,
        Asked::DeadlineExceeded => Code::DeadlineExceeded,
        Asked::NotFound => Code::NotFound,
        Asked::AlreadyExists => Code::AlreadyExists,
        Asked::PermissionDenied => Code::PermissionDenied,
        Asked::ResourceExhausted => Code::ResourceExhausted,
        Asked::FailedPrecondition => Code::FailedPrecondition,
        Asked::Aborted => Code::Aborted,
        Asked::OutOfRange => Code::OutOfRange,
        Asked::Unimplemented => Code::Unimplemented,
        Asked::Internal => Code::Internal,
        Asked::Unavailable => Code::Unavailable,
        Asked::DataLoss => Code::DataLoss,
        Asked::Unauthenticated => Code::Unauthenticated,
    }
}
