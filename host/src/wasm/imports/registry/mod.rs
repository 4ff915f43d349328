//! `microhost:service/registry`: which services there are, and what this one says of itself.

use std::sync::Arc;

use wasmtime::component::StreamReader;
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::{Row, define};
use crate::registry::Outlook;
use crate::wasm::state::State;

mod watching;
mod wire;

use watching::Reading;
pub use watching::Watches;
use wire::{Change, Error, Health, Label, LabelError, Offer, Summary};

pub(super) const FUNCTIONS: &[Row] = &[
    ("list", |link, name, kind| define(link, name, kind, |store, ()| Ok((list(store.data()),)))),
    ("look-up", |link, name, kind| define(link, name, kind, |store, (service,): (String,)| Ok((look_up(store.data(), &service),)))),
    ("watch", |link, name, kind| define(link, name, kind, watch)),
    ("labels", |link, name, kind| define(link, name, kind, |store, ()| Ok((wire::labels(store.data().voice.labels()),)))),
    ("set-label", |link, name, kind| define(link, name, kind, |store, (label,): (Label,)| Ok((set_label(store.data(), label),)))),
    ("remove-label", |link, name, kind| {
        define(link, name, kind, |store, (label,): (String,)| {
            store.data().voice.unlabel(&label);
            Ok(())
        })
    }),
    ("report-health", |link, name, kind| {
        define(link, name, kind, |store, (health,): (Health,)| {
            store.data().voice.report(health.into());
            Ok(())
        })
    }),
];

/// Services, or offers of one, that a guest is told at once: all of them are in its memory then, and its
/// lane waits for as long as it takes to tell them.
pub const MAX_TOLD: usize = 10_000;

type Answer<T> = std::result::Result<T, Error>;

/// Which services there are, where the guest may know.
fn outlook(state: &State) -> Answer<&Arc<Outlook>> {
    let pool = &state.pool;
    if pool.grants().registry {
        return Ok(pool.outlook());
    }
    let name = pool.name();
    Err(Error::Denied(format!(
        "the service may not see which services there are; grant it with registry = true under [service.{name}.grants], or --allow-registry"
    )))
}

fn list(state: &State) -> Answer<Vec<Summary>> {
    let sight = outlook(state)?.now();
    let services = sight.services();
    within(services.len())?;
    Ok(services.into_iter().map(|service| Summary::of(service, sight.offers(service))).collect())
}

fn look_up(state: &State, service: &str) -> Answer<Vec<Offer>> {
    let sight = outlook(state)?.now();
    within(sight.offers(service).count())?;
    let mut offers: Vec<Offer> = sight.offers(service).map(|offer| Offer::of(service, offer, sight.is_own(&offer.node))).collect();
    offers.sort_by(|a, b| a.node().cmp(b.node()));
    Ok(offers)
}

fn within(count: usize) -> Answer<()> {
    if count <= MAX_TOLD { Ok(()) } else { Err(Error::TooMany(wire::count(MAX_TOLD))) }
}

fn watch(mut store: StoreContextMut<'_, State>, (service,): (Option<String>,)) -> Result<(Answer<StreamReader<Change>>,)> {
    let state = store.data();
    let reading = outlook(state).and_then(|outlook| Ok(Reading::new(state.watches.begin()?, outlook, service)));
    let answer = match reading {
        Ok(reading) => Ok(StreamReader::new(store.as_context_mut(), reading)?),
        Err(error) => Err(error),
    };
    Ok((answer,))
}

fn set_label(state: &State, Label { name, value }: Label) -> std::result::Result<(), LabelError> {
    Ok(state.voice.label(name, value)?)
}
