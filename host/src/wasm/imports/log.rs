//! `microhost:service/log`: lines with fields, which belong to the call that wrote them.

use wasmtime::component::{ComponentType, Lift, Lower};
use wasmtime::{Result, StoreContextMut};

use super::{Row, define};
use crate::wasm::log::enabled;
use crate::wasm::state::{State, current_call};

pub(super) const FUNCTIONS: &[Row] = &[
    ("enabled", |link, name, kind| define(link, name, kind, |_, (level,): (Level,)| Ok((enabled(level.into()),)))),
    ("write", |link, name, kind| define(link, name, kind, write)),
];

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

const LEVELS: [(Level, tracing::Level); 5] = [
    (Level::Trace, tracing::Level::TRACE),
    (Level::Debug, tracing::Level::DEBUG),
    (Level::Info, tracing::Level::INFO),
    (Level::Warn, tracing::Level::WARN),
    (Level::Error, tracing::Level::ERROR),
];

impl From<Level> for tracing::Level {
    fn from(level: Level) -> tracing::Level {
        LEVELS[level as usize].1
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Field {
    name: String,
    value: String,
}

fn write(mut store: StoreContextMut<'_, State>, (level, message, fields): (Level, String, Vec<Field>)) -> Result<()> {
    let call = current_call(&mut store);
    let method = call.as_ref().map_or("", |call| &call.target.method);
    let fields = fields.iter().map(|field| (field.name.as_str(), field.value.as_str()));
    store.data().log.write(level.into(), method, &message, fields);
    Ok(())
}
