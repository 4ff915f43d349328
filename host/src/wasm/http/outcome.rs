//! What a caller is told where a guest gave an error instead of a response.

use wasmtime_wasi_http::Error;

use crate::status::{Code, Status};

/// The status of a guest's error. Most are those of a call that the guest made itself and passed on,
/// so that the caller sees of a gateway what gateways tell.
pub fn status(error: &Error) -> Status {
    let (code, what) = match error {
        Error::DnsTimeout
        | Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout
        | Error::HttpResponseTimeout => (Code::DeadlineExceeded, "the service waited for another in vain"),
        Error::DnsError { .. }
        | Error::DestinationNotFound
        | Error::DestinationUnavailable
        | Error::DestinationIpUnroutable
        | Error::ConnectionRefused
        | Error::ConnectionTerminated
        | Error::ConnectionLimitReached => (Code::Unavailable, "the service could not reach another"),
        Error::HttpRequestBodySize(_) | Error::HttpRequestHeaderSectionSize(_) | Error::HttpRequestHeaderSize { .. } => {
            (Code::OutOfRange, "the request is larger than the service takes")
        }
        Error::HttpRequestMethodInvalid
        | Error::HttpRequestUriInvalid
        | Error::HttpRequestUriTooLong
        | Error::HttpRequestLengthRequired => (Code::InvalidArgument, "the service does not take such a request"),
        _ => (Code::Internal, "the service failed while it served the request"),
    };
    Status::new(code, what).because(format!("the handler returned an error: {error}"))
}

/// What a guest is told where the body of a request breaks off.
pub fn broken_request(_: Status) -> Error {
    Error::ConnectionTerminated
}
