//! The services of a host: loaded together, started one by one, so that the order in which they are
//! named does not matter, and one that fails takes no other down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use anyhow::Context;

use super::{Load, ReadyEndpoint, ReadyService};
use crate::admin::Overview;
use crate::schema::Handled;
use crate::settings::SettingsError;
use crate::wasm::directory::Directory;
use crate::wasm::load::{Loaded, Loader};
use crate::wasm::service::{Plan, Service, Starter};

/// The services of a host, and what it takes to start more.
pub struct Host {
    loader: Loader,
    starter: Starter,
    directory: Arc<Directory>,
    overview: Arc<Overview>,
    running: Mutex<BTreeMap<String, Arc<Running>>>,
    /// What could not be started, and why.
    failed: Mutex<BTreeMap<String, (Load, String)>>,
}

/// A service that runs.
pub struct Running {
    /// What it was started from.
    pub load: Load,
    /// What takes its calls.
    pub service: Service,
    /// When it started.
    pub since: SystemTime,
}

/// A service that could not be started, by its name.
pub type Failed = (String, anyhow::Error);

impl Host {
    /// A host without services.
    pub fn new(loader: Loader, starter: Starter, directory: Arc<Directory>, overview: Arc<Overview>) -> Host {
        Host { loader, starter, directory, overview, running: Mutex::default(), failed: Mutex::default() }
    }

    /// Loads and starts services. What one of them needs of another is found whichever comes first.
    pub fn start(&self, loads: Vec<Load>) -> Vec<Failed> {
        let mut failed = Vec::new();
        let mut loaded = Vec::with_capacity(loads.len());
        for load in loads {
            match self.load(&load) {
                Ok(component) => {
                    self.directory.offer(&load.name, Arc::clone(&component.schema));
                    loaded.push((load, component));
                }
                Err(error) => {
                    self.note_failure(&load, &error);
                    failed.push((load.name, error));
                }
            }
        }
        for (load, component) in loaded {
            let name = load.name.clone();
            match self.serve(load.clone(), component) {
                Ok(running) => drop(self.running.lock().expect("no holder panics").insert(name, Arc::new(running))),
                Err(error) => {
                    self.directory.withdraw(&name);
                    self.note_failure(&load, &error);
                    failed.push((name, error));
                }
            }
        }
        failed
    }

    fn note_failure(&self, load: &Load, error: &anyhow::Error) {
        let noted = (load.clone(), format!("{error:#}"));
        self.failed.lock().expect("no holder panics").insert(load.name.clone(), noted);
    }

    fn load(&self, load: &Load) -> anyhow::Result<Loaded> {
        let began = Instant::now();
        let loaded = self.loader.load(&load.component, &load.limits)?;
        tracing::debug!(service = load.name, compiled = loaded.compiled, seconds = began.elapsed().as_secs_f64(), "loaded");
        if !load.handles.is_empty() && !loaded.schema.handled.as_ref().is_some_and(Handled::takes_anything) {
            let why =
                "only a component that exports `microhost:service/handler` and brings no descriptors takes the calls of other services";
            anyhow::bail!(SettingsError::Value { what: format!("`handles` of {}", load.name), why: why.to_owned() });
        }
        Ok(loaded)
    }

    /// Starts a loaded service, and makes it known to all that shows or routes.
    fn serve(&self, load: Load, loaded: Loaded) -> anyhow::Result<Running> {
        let Load { name, isolation, safe, handles, http, limits, grants, .. } = load.clone();
        let overview = &self.overview;
        let descriptors = loaded.schema.descriptors();
        let service = self.starter.start(Plan { name: name.clone(), limits, grants, isolation, safe, http }, loaded)?;
        for refused in &service.schema().refused {
            tracing::warn!(service = name, function = refused.function, "not served: {}", refused.why);
        }
        overview.router.set(&name, service.endpoints()).with_context(|| format!("cannot serve {name}"))?;
        overview.router.set_http(&name, service.http()).with_context(|| format!("cannot serve {name}"))?;
        if let Some(gateway) = service.gateway() {
            overview.router.set_gateway(&name, &handles, gateway).with_context(|| format!("cannot serve {name}"))?;
        }
        for clash in overview.catalog.set(&name, descriptors).with_context(|| format!("cannot describe {name}"))? {
            let (other, what) = (clash.other, clash.name);
            tracing::warn!(service = name, other, what, "both bring this, in different shapes: reflection shows the other's");
        }
        overview.count_service(&name, Arc::clone(service.stats()));
        overview.journal.know(&name, service.schema().names());
        for exported in service.schema().names() {
            overview.health.set(exported, true);
        }
        Ok(Running { load, service, since: SystemTime::now() })
    }

    /// The services that run, by name.
    pub fn running(&self) -> Vec<Arc<Running>> {
        self.running.lock().expect("no holder panics").values().cloned().collect()
    }

    /// The services that could not be started, and why.
    pub fn failed(&self) -> Vec<(Load, String)> {
        self.failed.lock().expect("no holder panics").values().cloned().collect()
    }

    /// Who offers what.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Takes no more calls, and ends every instance when it has none.
    pub fn close(&self) {
        for running in self.running() {
            running.service.close();
        }
    }
}

impl Running {
    /// What is told of it once the host serves.
    pub fn ready(&self) -> ReadyService {
        let schema = self.service.schema();
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
            name: self.load.name.clone(),
            endpoints: typed.chain(handled).collect(),
            gateway: self.service.gateway().is_some(),
            http: self.service.http_route().cloned(),
            refused: schema.refused.clone(),
        }
    }
}
