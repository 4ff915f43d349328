//! A whole host, put together from its parts: the only module that knows them all.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::admin::{Overview, Phase};
use crate::edge;
use crate::lanes::Lanes;
use crate::rpc::Router;
use crate::schema::Handled;
use crate::settings::SettingsError;
use crate::stats::CacheStats;
use crate::wasm::cache::{self, DEFAULT_CAPACITY};
use crate::wasm::engine::GuestEngine;
use crate::wasm::load::Loader;
use crate::wasm::service::{Plan, Service, Starter};

mod options;
mod stop;

pub use options::{Cache, Load, Options, Ready, ReadyEndpoint, ReadyService};

/// How long calls that run may take to end once the host is told to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// How long the lanes may take to end when all calls have.
const LANES_GRACE: Duration = Duration::from_secs(2);

/// Loads the services, serves them, and returns when the host was asked to stop and has drained.
///
/// Fails where a service cannot be loaded or the address cannot be bound; nothing is served then.
pub fn run(options: Options) -> anyhow::Result<()> {
    let Options { listen, services: loads, cache, on_ready } = options;
    let lanes = Lanes::start(available_parallelism().unwrap_or(NonZeroUsize::MIN)).context("cannot start the lanes")?;
    let cache_stats = Arc::new(CacheStats::default());
    let cache = match cache {
        Cache::Off => None,
        Cache::Folder(folder) => Some(cache::Cache::open(&folder, DEFAULT_CAPACITY, Arc::clone(&cache_stats))?),
    };
    let engine = GuestEngine::new()?;
    let starter = Starter::new(&engine, &lanes)?;
    let loader = Loader::new(engine, cache);
    let overview = Arc::new(Overview::new(Arc::new(Router::default()), cache_stats));
    // Every service before the address: what cannot be loaded must not be called.
    let services = loads.into_iter().map(|load| start(&loader, &starter, &overview, load)).collect::<anyhow::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the host's own runtime")?;
    runtime.block_on(async {
        let mut stop = stop::Stop::listen().context("cannot listen for signals")?;
        let serving = edge::serve(&listen, Arc::clone(&overview), &lanes)?;
        overview.health.enter(Phase::Ready);
        on_ready(&Ready {
            address: serving.address(),
            tls: listen.tls.is_some(),
            services: services.iter().map(|(service, name)| ready(service, name)).collect(),
        });
        let signal = stop.next().await;
        tracing::info!(signal, "stopping: calls that run may end, a second signal stops at once");
        overview.health.enter(Phase::Draining);
        let began = Instant::now();
        tokio::select! {
            cut = serving.drain(DRAIN_GRACE) => {
                tracing::info!(seconds = began.elapsed().as_secs_f64(), connections_cut = cut, "stopped");
            }
            signal = stop.next() => tracing::warn!(signal, "stopped at once; calls that ran were cut off"),
        }
        anyhow::Ok(())
    })?;
    for (service, _) in &services {
        service.close();
    }
    lanes.stop(LANES_GRACE);
    Ok(())
}

/// Loads one service and makes it known to all that shows or routes.
fn start(loader: &Loader, starter: &Starter, overview: &Overview, load: Load) -> anyhow::Result<(Service, String)> {
    let Load { name, component, isolation, safe, handles, http, limits, grants } = load;
    let began = Instant::now();
    let loaded = loader.load(&component, &limits)?;
    tracing::debug!(service = name, compiled = loaded.compiled, seconds = began.elapsed().as_secs_f64(), "loaded");
    if !handles.is_empty() && !loaded.schema.handled.as_ref().is_some_and(Handled::takes_anything) {
        let why = "only a component that exports `microhost:service/handler` and brings no descriptors takes the calls of other services";
        anyhow::bail!(SettingsError::Value { what: format!("`handles` of {name}"), why: why.to_owned() });
    }
    let descriptors = loaded.schema.descriptors();
    let service = starter.start(Plan { name: name.clone(), limits, grants, isolation, safe, http }, loaded)?;
    for refused in &service.schema().refused {
        tracing::warn!(service = name, function = refused.function, "not served: {}", refused.why);
    }
    overview.router.set(&name, service.endpoints()).with_context(|| format!("cannot serve {name}"))?;
    overview.router.set_http(&name, service.http()).with_context(|| format!("cannot serve {name}"))?;
    if let Some(gateway) = service.gateway() {
        overview.router.set_gateway(&name, &handles, gateway).with_context(|| format!("cannot serve {name}"))?;
    }
    overview.catalog.set(&name, descriptors).with_context(|| format!("cannot describe {name}"))?;
    overview.count_service(&name, Arc::clone(service.stats()));
    for exported in service.schema().names() {
        overview.health.set(exported, true);
    }
    Ok((service, name))
}

fn ready(service: &Service, name: &str) -> ReadyService {
    let schema = service.schema();
    let typed = schema.services.iter().flat_map(|of| {
        of.methods.iter().map(|method| ReadyEndpoint {
            service: of.name.clone(),
            method: method.name.clone(),
            kind: method.kind,
            example: method.example(),
        })
    });
    let handled = schema.handled.iter().flat_map(|handled| &handled.services).flat_map(|of| {
        of.methods.iter().map(|method| ReadyEndpoint {
            service: of.name.clone(),
            method: method.name.clone(),
            kind: method.kind,
            example: method.example(),
        })
    });
    ReadyService {
        name: name.to_owned(),
        endpoints: typed.chain(handled).collect(),
        gateway: service.gateway().is_some(),
        http: service.http_route().cloned(),
        refused: schema.refused.clone(),
    }
}
