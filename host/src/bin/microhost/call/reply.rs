//! What came back: a message, or how the call ended without one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::StatusCode;
use microhost::status::Code;
use serde::Deserialize;

use super::json::pretty;
use crate::exit::Exit;
use crate::failure::Failure;

/// A Connect error (the Connect protocol, "Error end-stream").
#[derive(Deserialize)]
struct Wrong {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    value: String,
    debug: Option<serde_json::Value>,
}

/// Reads the error that a Connect server sent, or makes one of what something else did.
pub fn failure(status: StatusCode, body: &str) -> Failure {
    let sent = serde_json::from_str::<Wrong>(body).ok();
    let known = sent.as_ref().and_then(|sent| Some((Code::from_name(&sent.code).filter(|code| *code != Code::Ok)?, sent)));
    let Some((code, sent)) = known else {
        return stranger(status, body);
    };
    let what = if sent.message.is_empty() { code.to_string() } else { format!("{code}: {}", sent.message) };
    sent.details.iter().fold(Failure::new(Exit::Status(code), what), |failure, detail| failure.note(shown(detail)))
}

fn shown(detail: &Detail) -> String {
    match &detail.debug {
        Some(debug) => format!("{} {}", detail.name, pretty(&debug.to_string())),
        None => {
            let bytes = STANDARD_NO_PAD.decode(detail.value.trim_end_matches('=')).map_or(0, |bytes| bytes.len());
            format!("{} ({bytes} bytes of protobuf: {})", detail.name, detail.value)
        }
    }
}

/// How much is shown of an answer that is none of ours.
const EXCERPT: usize = 200;

/// The Connect protocol's table "HTTP to error code", for answers without a code of their own.
fn stranger(status: StatusCode, body: &str) -> Failure {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    let failure = Failure::new(Exit::Status(code), format!("{code}: the answer is HTTP {status}, not a reply of a Connect server"));
    let excerpt: String = body.chars().take(EXCERPT).collect();
    let failure = if excerpt.trim().is_empty() { failure } else { failure.note(excerpt) };
    failure.advise("--at with the address of a microhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    #[test]
    fn a_status_is_told_with_its_details() {
        let body = r#"{"code":"not_found","message":"no Ada","details":[{"type":"example.greeter.Who","value":"CgNBZGE","debug":{"name":"Ada"}},{"type":"a.B","value":"CgNBZGE"}]}"#;
        let failure = failure(StatusCode::NOT_FOUND, body);
        assert_eq!(failure.exit(), Exit::Status(Code::NotFound));
        assert_eq!(
            failure.text(Paint::plain()),
            "error: not_found: no Ada\n  example.greeter.Who {\n      \"name\": \"Ada\"\n    }\n  a.B (5 bytes of protobuf: CgNBZGE)\n"
        );
    }

    #[test]
    fn an_answer_from_something_else_is_called_that() {
        let failure = failure(StatusCode::BAD_GATEWAY, "<html>");
        assert_eq!(failure.exit(), Exit::Status(Code::Unavailable));
        assert!(failure.text(Paint::plain()).contains("<html>"));
    }
}
