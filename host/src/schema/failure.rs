//! How a function's error becomes a status: which code, which message, which detail.

use wit_parser::{Function, Type, TypeDefKind};

use super::build::Builder;
use super::fault::Fault;
use super::model::Types;
use super::read::Export;
use super::source::{Resolved, Source};
use super::{Value, json, proto, unwritable};
use crate::status::{Code, Detail, Status};

/// A status' message is cut here; protocols carry it in a header.
const MAX_MESSAGE: usize = 1024;

/// Cases that stand for whatever has no case of its own, by their words.
const CATCH_ALL: [&str; 3] = ["other", "unknown", "internal"];

/// The plan for the errors of one function.
#[derive(Debug)]
pub(super) struct Failure {
    speech: Speech,
    /// The message that the error is attached as.
    detail: Option<usize>,
}

/// What of the error becomes code and message.
#[derive(Debug)]
enum Speech {
    /// There is no payload.
    Silent,
    /// The payload is the message.
    Text,
    /// Each case has its own.
    Cases(Vec<Case>),
    /// A record's fields.
    Record(Record),
    /// Nothing: the value is quoted.
    Quoted,
}

#[derive(Debug)]
struct Case {
    /// `Unknown` where the name is no code's.
    code: Code,
    /// The name, hyphens as spaces.
    words: String,
    message: Message,
    /// Its name is that of its code.
    named: bool,
    /// It has no payload.
    bare: bool,
}

/// Where a case's message is.
#[derive(Clone, Copy, Debug)]
enum Message {
    Words,
    Payload,
    /// The field at this place of the payload.
    Field(usize),
}

#[derive(Debug)]
struct Record {
    /// The field that is an enum, and the code of each of its cases that has one.
    code: Option<(usize, Vec<Option<Code>>)>,
    message: Option<usize>,
    /// The name of the type, hyphens as spaces.
    words: String,
    /// Code and message are all there is.
    bare: bool,
}

/// Plans the errors of a function whose result has the error type `ty`.
pub(super) fn plan(builder: &mut Builder<'_>, source: &Source, export: &Export<'_>, function: &Function, ty: Type) -> Failure {
    let speech = match source.resolved(ty) {
        Resolved::Scalar(Type::String) => return Failure { speech: Speech::Text, detail: None },
        Resolved::Scalar(_) => Speech::Quoted,
        Resolved::Defined(id, kind) => match kind {
            TypeDefKind::Variant(variant) => Speech::Cases(
                variant.cases.iter().map(|case| Case::of(&case.name, message_of(source, case.ty), case.ty.is_none())).collect(),
            ),
            TypeDefKind::Enum(cases) => Speech::Cases(cases.cases.iter().map(|case| Case::of(&case.name, Message::Words, true)).collect()),
            TypeDefKind::Record(record) => {
                let code = record.fields.iter().enumerate().find(|(_, field)| field.name == "code").and_then(|(place, field)| {
                    let Resolved::Defined(_, TypeDefKind::Enum(cases)) = source.resolved(field.ty) else { return None };
                    let codes: Vec<Option<Code>> = cases.cases.iter().map(|case| code_named(&case.name)).collect();
                    codes.iter().any(Option::is_some).then_some((place, codes))
                });
                let message = string_field(source, ty);
                let bare = record.fields.len() == 2 && code.is_some() && message.is_some();
                let words = source.resolve.types[id].name.as_deref().unwrap_or("error").replace('-', " ");
                Speech::Record(Record { code, message, words, bare })
            }
            _ => Speech::Quoted,
        },
    };
    Failure { speech, detail: Some(builder.error(export, function, ty)) }
}

impl Case {
    fn of(name: &str, message: Message, bare: bool) -> Case {
        let code = code_named(name);
        Case { code: code.unwrap_or(Code::Unknown), words: name.replace('-', " "), message, named: code.is_some(), bare }
    }
}

fn code_named(name: &str) -> Option<Code> {
    // An error is never `ok`, whatever it calls itself.
    Code::from_name(name).filter(|code| *code != Code::Ok)
}

fn message_of(source: &Source, payload: Option<Type>) -> Message {
    let Some(ty) = payload else { return Message::Words };
    match source.resolved(ty) {
        Resolved::Scalar(Type::String) => Message::Payload,
        _ => string_field(source, ty).map_or(Message::Words, Message::Field),
    }
}

/// The place of a record's field `message: string`.
fn string_field(source: &Source, ty: Type) -> Option<usize> {
    let Resolved::Defined(_, TypeDefKind::Record(record)) = source.resolved(ty) else { return None };
    let is_text = |ty: Type| matches!(source.resolved(ty), Resolved::Scalar(Type::String));
    record.fields.iter().position(|field| field.name == "message" && is_text(field.ty))
}

impl Failure {
    /// For functions without an error, or with one that says nothing.
    pub(super) fn silent() -> Failure {
        Failure { speech: Speech::Silent, detail: None }
    }

    /// The message that errors are attached as.
    pub(super) fn detail(&self) -> Option<usize> {
        self.detail
    }

    /// The status of an error.
    pub(super) fn status(&self, types: &Types, value: Option<Value>, limit: usize) -> Status {
        match self.tell(types, value, limit) {
            Ok(status) => status,
            Err(fault) => unwritable(fault),
        }
    }

    fn tell(&self, types: &Types, value: Option<Value>, limit: usize) -> Result<Status, Fault> {
        let Some(value) = value else {
            return match self.speech {
                Speech::Silent => Ok(Status::new(Code::Unknown, "the service failed and gave no reason")),
                _ => Err(Fault::mismatch()),
            };
        };
        let detail = match self.detail {
            Some(message) if !self.says_all(&value) => {
                let message = types.message(message);
                let bytes = proto::encode(types, message, &value, limit)?;
                let text = String::from_utf8(json::encode(types, message, &value, limit)?).map_err(|_| Fault::mismatch())?;
                Some(Detail { type_name: message.name.clone().into(), value: bytes.into(), debug: Some(text) })
            }
            _ => None,
        };
        let debug = detail.as_ref().and_then(|detail| detail.debug.as_deref());
        let (code, message) = self.words(value, debug)?;
        let status = Status::new(code, shorten(message));
        Ok(match detail {
            Some(detail) => status.with_detail(detail),
            None => status,
        })
    }

    /// The error that a status carries as its detail, where it does.
    pub(super) fn read(&self, types: &Types, status: &Status) -> Option<Value> {
        let message = types.message(self.detail?);
        let detail = status.details().iter().find(|detail| detail.type_name == message.name)?;
        proto::decode(types, message, &detail.value).ok()
    }

    /// The code of an error.
    pub(super) fn code(&self, value: Option<&Value>) -> Code {
        let code = match (&self.speech, value) {
            (Speech::Cases(cases), Some(Value::Variant(case, _))) => cases.get(*case as usize).map(|case| case.code),
            (Speech::Record(Record { code: Some((place, codes)), .. }), Some(Value::Record(fields))) => match fields.get(*place) {
                Some(Value::Variant(case, None)) => codes.get(*case as usize).copied().flatten(),
                _ => None,
            },
            _ => None,
        };
        code.unwrap_or(Code::Unknown)
    }

    /// The error that says what a status says; `None` where the type has none. The inner `None` is the
    /// error without a payload.
    pub(super) fn express(&self, status: &Status) -> Option<Option<Value>> {
        let text = || Value::String(status.message().to_owned());
        match &self.speech {
            Speech::Silent => Some(None),
            Speech::Text => Some(Some(text())),
            Speech::Cases(cases) => {
                let sayable = |case: &&Case| case.bare || matches!(case.message, Message::Payload);
                let same = cases.iter().position(|case| case.named && case.code == status.code() && sayable(&case));
                let place =
                    same.or_else(|| CATCH_ALL.iter().find_map(|name| cases.iter().position(|case| case.words == *name && sayable(&case))))?;
                let payload = (!cases[place].bare).then(|| Box::new(text()));
                Some(Some(Value::Variant(u32::try_from(place).ok()?, payload)))
            }
            Speech::Record(Record { code: Some((place, codes)), message: Some(message), bare: true, .. }) => {
                let case = codes.iter().position(|code| *code == Some(status.code()))?;
                let mut fields = [text(), text()];
                fields[*place] = Value::Variant(u32::try_from(case).ok()?, None);
                fields[*message] = text();
                Some(Some(Value::Record(fields.into())))
            }
            Speech::Record(_) | Speech::Quoted => None,
        }
    }

    /// Whether code and message hold all of the error.
    fn says_all(&self, value: &Value) -> bool {
        let (Speech::Record(Record { code: Some((place, codes)), bare: true, .. }), Value::Record(fields)) = (&self.speech, value) else {
            return false;
        };
        matches!(fields.get(*place), Some(Value::Variant(case, None)) if matches!(codes.get(*case as usize), Some(Some(_))))
    }

    fn words(&self, value: Value, debug: Option<&str>) -> Result<(Code, String), Fault> {
        match (&self.speech, value) {
            (Speech::Text, Value::String(text)) => Ok((Code::Unknown, text)),
            (Speech::Cases(cases), Value::Variant(case, payload)) => {
                let case = cases.get(case as usize).ok_or_else(Fault::mismatch)?;
                let message = match (case.message, payload.map(|payload| *payload)) {
                    (Message::Words, _) => case.words.clone(),
                    (Message::Payload, Some(Value::String(text))) => text,
                    (Message::Field(place), Some(Value::Record(fields))) => text_at(fields, place)?,
                    _ => return Err(Fault::mismatch()),
                };
                Ok((case.code, message))
            }
            (Speech::Record(record), Value::Record(fields)) => {
                let code = match &record.code {
                    Some((place, codes)) => match fields.get(*place) {
                        Some(Value::Variant(case, None)) => codes.get(*case as usize).copied().flatten(),
                        _ => return Err(Fault::mismatch()),
                    },
                    None => None,
                };
                let message = match record.message {
                    Some(place) => text_at(fields, place)?,
                    None => record.words.clone(),
                };
                Ok((code.unwrap_or(Code::Unknown), message))
            }
            (Speech::Quoted, _) => Ok((Code::Unknown, format!("the service failed with {}", debug.unwrap_or("an error")))),
            _ => Err(Fault::mismatch()),
        }
    }
}

fn text_at(mut fields: Vec<Value>, place: usize) -> Result<String, Fault> {
    match fields.get_mut(place) {
        Some(Value::String(text)) => Ok(std::mem::take(text)),
        _ => Err(Fault::mismatch()),
    }
}

fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    message
}
