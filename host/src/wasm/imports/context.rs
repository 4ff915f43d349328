//! `microhost:service/context`: the call that the running code serves.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Row, define};
use crate::rpc;
use crate::wasm::state::{State, current_call};

/// The most metadata of one reply, in bytes: names, values, and 32 for each, as HTTP/2 counts.
const MAX_REPLY_METADATA: usize = 16 << 10;

pub(super) const FUNCTIONS: &[Row] = &[
    ("service", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| call.target.service.to_string()),)))),
    ("method", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| call.target.method.to_string()),)))),
    ("get-caller", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| Caller::of(&call.caller)),)))),
    ("time-left", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| Some(time_left(call.deadline))),)))),
    ("metadata", |link, name, kind| {
        define(link, name, kind, |store, ()| {
            Ok((of_call(store, |call| entries(&call.headers).map(|(name, value)| Entry { name, value }).collect::<Vec<_>>()),))
        })
    }),
    ("add-header", |link, name, kind| define(link, name, kind, |store, (entry,): (Entry,)| Ok((add(store, entry, Place::Header),)))),
    ("add-trailer", |link, name, kind| define(link, name, kind, |store, (entry,): (Entry,)| Ok((add(store, entry, Place::Trailer),)))),
];

#[derive(Default, ComponentType, Lift, Lower)]
#[component(record)]
struct Caller {
    peer: Option<String>,
    service: Option<String>,
}

impl Caller {
    fn of(caller: &rpc::Caller) -> Caller {
        Caller { peer: caller.peer.map(|peer| peer.to_string()), service: caller.service.as_ref().map(|service| service.to_string()) }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Entry {
    name: String,
    value: Vec<u8>,
}

#[derive(Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
enum MetadataError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "invalid-value")]
    InvalidValue(String),
    #[component(name = "too-much")]
    TooMuch,
    #[component(name = "too-late")]
    TooLate,
}

/// When metadata is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Trailer,
}

/// Something of the current call; nothing outside of any.
fn of_call<R: Default>(mut store: StoreContextMut<'_, State>, read: impl FnOnce(&crate::wasm::call::Call) -> R) -> R {
    current_call(&mut store).map_or_else(R::default, |call| read(&call))
}

fn time_left(deadline: Instant) -> u64 {
    u64::try_from(deadline.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(u64::MAX)
}

/// The metadata among the headers: names and bytes.
pub fn entries(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> {
    rpc::metadata(headers).filter_map(|(name, value)| Some((name.as_str().to_owned(), decoded(name, value)?)))
}

/// The bytes behind a header: those of `-bin` ones travel as base64, padded or not (gRPC,
/// "PROTOCOL-HTTP2"). One that is not base64 is no metadata.
fn decoded(name: &HeaderName, value: &HeaderValue) -> Option<Vec<u8>> {
    if !name.as_str().ends_with("-bin") {
        return Some(value.as_bytes().to_vec());
    }
    let text = value.as_bytes();
    let unpadded = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    STANDARD_NO_PAD.decode(&text[..unpadded]).or_else(|_| STANDARD.decode(text)).ok()
}

fn add(mut store: StoreContextMut<'_, State>, entry: Entry, place: Place) -> std::result::Result<(), MetadataError> {
    let (name, value) = header(entry)?;
    // Outside of any call there is no reply to add to.
    let Some(call) = current_call(&mut store) else { return Ok(()) };
    let mut reply = call.reply.lock().expect("no holder panics");
    if place == Place::Header && reply.begun {
        return Err(MetadataError::TooLate);
    }
    let size = reply.size + name.as_str().len() + value.len() + 32;
    if size > MAX_REPLY_METADATA {
        return Err(MetadataError::TooMuch);
    }
    reply.size = size;
    match place {
        Place::Header => reply.headers.append(name, value),
        Place::Trailer => reply.trailers.append(name, value),
    };
    Ok(())
}

fn header(Entry { name, value }: Entry) -> std::result::Result<(HeaderName, HeaderValue), MetadataError> {
    let invalid = || MetadataError::InvalidName(name.clone());
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) || rpc::is_reserved(&name) {
        return Err(invalid());
    }
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    let text = if name.ends_with("-bin") { STANDARD_NO_PAD.encode(value).into_bytes() } else { value };
    // Stricter than HTTP, as gRPC is: printable ASCII alone.
    if !text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Err(MetadataError::InvalidValue(name));
    }
    let value = HeaderValue::from_bytes(&text).map_err(|_| MetadataError::InvalidValue(name))?;
    Ok((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &[u8]) -> Entry {
        Entry { name: name.to_owned(), value: value.to_vec() }
    }

    #[test]
    fn reserved_and_malformed_metadata_is_refused() {
        for name in ["grpc-status", "content-type", "Upper", "", "with space", "connect-x"] {
            assert_eq!(header(entry(name, b"x")).expect_err(name), MetadataError::InvalidName(name.to_owned()));
        }
        assert_eq!(header(entry("x-a", b"a\r\nb: c")).expect_err("a header of its own"), MetadataError::InvalidValue("x-a".to_owned()));
    }

    #[test]
    fn binary_metadata_travels_as_base64() {
        let (name, value) = header(entry("x-bin", &[0, 255, 1])).expect("valid");
        assert_eq!(value, "AP8B");
        assert_eq!(decoded(&name, &value).expect("base64"), [0, 255, 1]);
        assert_eq!(decoded(&name, &HeaderValue::from_static("AP8=")).expect("padded too"), [0, 255]);
        assert!(decoded(&name, &HeaderValue::from_static("%%")).is_none());
    }
}
