//! `microhost:service/context`: the call that the running code serves.

use std::time::Instant;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::metadata::{Entry, Unfit, count, header, told};
use super::{Row, define};
use crate::rpc;
use crate::wasm::state::{State, current_call};

pub(super) const FUNCTIONS: &[Row] = &[
    ("service", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| call.target.service.to_string()),)))),
    ("method", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| call.target.method.to_string()),)))),
    ("get-caller", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| Caller::of(&call.caller)),)))),
    ("time-left", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| Some(time_left(call.deadline))),)))),
    ("metadata", |link, name, kind| define(link, name, kind, |store, ()| Ok((of_call(store, |call| told(&call.headers)),)))),
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

impl From<Unfit> for MetadataError {
    fn from(unfit: Unfit) -> MetadataError {
        match unfit {
            Unfit::Name(name) => MetadataError::InvalidName(name),
            Unfit::Value(name) => MetadataError::InvalidValue(name),
            Unfit::Size => MetadataError::TooMuch,
        }
    }
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

fn add(mut store: StoreContextMut<'_, State>, entry: Entry, place: Place) -> std::result::Result<(), MetadataError> {
    let (name, value) = header(entry)?;
    // Outside of any call there is no reply to add to.
    let Some(call) = current_call(&mut store) else { return Ok(()) };
    let mut reply = call.reply.lock().expect("no holder panics");
    if place == Place::Header && reply.begun {
        return Err(MetadataError::TooLate);
    }
    count(&mut reply.size, &name, &value)?;
    match place {
        Place::Header => reply.headers.append(name, value),
        Place::Trailer => reply.trailers.append(name, value),
    };
    Ok(())
}
