//! What a call is told whose connection failed it, and whether it is certain that nobody has seen it.

use h2::Reason;

use crate::rpc::envelope::Wrong;
use crate::status::{Code, Status};

/// What a call is told that was sent, and whose connection or stream broke. `begun` says whether anything of
/// the reply came.
pub fn lost(error: h2::Error, begun: bool) -> Status {
    let remote = error.is_remote();
    let refused = match error.reason() {
        // Of the streams that are open, h2 ends those with it that are above the last one that the other host
        // has or will have processed (RFC 9113, section 6.8); the others go on.
        Some(_) if error.is_go_away() && remote => Some("the other host takes no more calls"),
        // Not processed in any way (section 8.7).
        Some(Reason::REFUSED_STREAM) if error.is_reset() && remote => Some("the other host refused the call"),
        _ => None,
    };
    match refused {
        Some(why) if !begun => return Status::new(Code::Unavailable, why).because(error).unseen(),
        _ => {}
    }
    let (code, why) = match error.reason() {
        Some(Reason::ENHANCE_YOUR_CALM) if remote => (Code::ResourceExhausted, "the other host was asked for too much"),
        Some(Reason::INADEQUATE_SECURITY) if remote => (Code::PermissionDenied, "the other host wants a safer connection"),
        _ if error.is_reset() && remote => (Code::Unavailable, "the other host gave the call up"),
        _ if error.is_io() => (Code::Unavailable, "the connection to the other host was lost"),
        _ => (Code::Unavailable, "the other host does not keep to HTTP/2"),
    };
    Status::new(code, why).because(error)
}

/// What a call is told that could not be sent.
pub fn unsent(error: h2::Error) -> Status {
    Status::new(Code::Unavailable, "the connection to the other host takes no more calls").because(error).unseen()
}

/// What a call is told whose deadline has passed.
pub fn late() -> Status {
    Status::new(Code::DeadlineExceeded, "the deadline passed before the other host answered")
}

/// What a call is told whose reply has a wrong envelope.
pub fn garbled(wrong: Wrong, limit: usize) -> Status {
    match wrong {
        Wrong::TooLong => Status::new(Code::ResourceExhausted, format!("the other host's reply is longer than {limit} bytes")),
        Wrong::Flags(flags) => {
            Status::new(Code::Internal, format!("the other host's reply has unknown flags in its envelope: {flags:#04x}"))
        }
    }
}

/// What a call is told whose reply is compressed, which it did not ask for.
pub fn packed() -> Status {
    Status::new(Code::Internal, "the other host compressed its reply without being asked")
}

/// What a call is told whose reply ends within a message.
pub fn cut() -> Status {
    Status::new(Code::Internal, "the other host's reply ends within a message")
}
