//! The services of a host: loaded together, started one by one, so that the order in which they are
//! named does not matter, and one that fails takes no other down.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use anyhow::Context;

use super::failed::{Failed, told};
use super::{Load, NotRunning, ReadyEndpoint, ReadyService};
use crate::admin::Overview;
use crate::schema::Handled;
use crate::settings::SettingsError;
use crate::wasm::directory::Directory;
use crate::wasm::load::{Loaded, Loader};
use crate::wasm::service::{Plan, Service, StartError, Starter};

/// The services of a host, and what it takes to start more.
pub struct Host {
    loader: Loader,
    starter: Starter,
    directory: Arc<Directory>,
    overview: Arc<Overview>,
    running: Mutex<BTreeMap<String, Arc<Running>>>,
    /// The services that were asked for and do not run, with why.
    missing: Mutex<BTreeMap<String, String>>,
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

impl Host {
    /// A host without services.
    pub fn new(loader: Loader, starter: Starter, directory: Arc<Directory>, overview: Arc<Overview>) -> Host {
        Host { loader, starter, directory, overview, running: Mutex::default(), missing: Mutex::default() }
    }

    /// Loads and starts services. What one of them needs of another is found whichever comes first. One
    /// that fails takes along only those that import it and are not granted to do so late.
    pub fn start(&self, loads: Vec<Load>) -> Vec<Failed> {
        let mut failed = Vec::new();
        let mut loaded = Vec::with_capacity(loads.len());
        let mut schemas = Vec::with_capacity(loads.len());
        for load in loads {
            match self.load(&load) {
                Ok(component) => {
                    self.directory.offer(&load.name, Arc::clone(&component.schema));
                    schemas.push(Arc::clone(&component.schema));
                    loaded.push((load, component));
                }
                Err(error) => failed.push((load.name, error)),
            }
        }
        let mut started = Vec::with_capacity(loaded.len());
        for (load, component) in loaded {
            let name = load.name.clone();
            match self.serve(load, component) {
                Ok(running) => started.push(Arc::new(running)),
                Err(error) => {
                    self.retire(&name);
                    failed.push((name, error));
                }
            }
        }
        self.settle(&mut started, &mut failed);
        self.running.lock().expect("no holder panics").extend(started.into_iter().map(|running| (running.load.name.clone(), running)));
        if !failed.is_empty() {
            // What is known by name and not served is told apart from what nobody has heard of.
            let served: HashSet<String> = self.running().iter().flat_map(|running| running.exported()).collect();
            for name in schemas.iter().flat_map(|schema| schema.names()).filter(|name| !served.contains(*name)) {
                self.overview.health.set(name, false);
            }
        }
        failed
    }

    /// Takes back what was started for naught: when it was linked, what it imports was on offer, and who
    /// offered it has failed since.
    fn settle(&self, started: &mut Vec<Arc<Running>>, failed: &mut Vec<Failed>) {
        let lacks = |running: &Arc<Running>| {
            let Load { name, grants, .. } = &running.load;
            self.directory.check(name, running.service.schema(), grants).err()
        };
        while let Some((at, needs)) = started.iter().enumerate().find_map(|(at, running)| Some((at, lacks(running)?))) {
            let running = started.remove(at);
            let name = running.load.name.clone();
            self.retire(&name);
            running.service.close();
            failed.push((name.clone(), StartError::Needs { name, needs }.into()));
        }
    }

    /// Takes a service out of all that shows or routes.
    fn retire(&self, name: &str) {
        self.directory.withdraw(name);
        self.overview.router.remove(name);
        self.overview.catalog.remove(name);
        self.overview.forget_service(name);
    }

    /// Notes services that do not run, for all who ask what became of them, and logs why.
    pub fn miss(&self, failed: &[Failed]) {
        for (name, error) in failed {
            let why = told(error);
            tracing::error!(service = name, error = why, "a service cannot start; the others go on without it");
            self.overview.health.miss(name, true);
            self.missing.lock().expect("no holder panics").insert(name.clone(), why);
        }
    }

    /// The services that were asked for and do not run, by name.
    pub fn missing(&self) -> Vec<NotRunning> {
        let missing = self.missing.lock().expect("no holder panics");
        missing.iter().map(|(name, why)| NotRunning { name: name.clone(), why: why.clone() }).collect()
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
        for exported in service.schema().names() {
            overview.health.set(exported, true);
        }
        overview.health.miss(&name, false);
        self.missing.lock().expect("no holder panics").remove(&name);
        Ok(Running { load, service, since: SystemTime::now() })
    }

    /// The services that run, by name.
    pub fn running(&self) -> Vec<Arc<Running>> {
        self.running.lock().expect("no holder panics").values().cloned().collect()
    }

    /// Takes no more calls, and ends every instance when it has none.
    pub fn close(&self) {
        for running in self.running() {
            running.service.close();
        }
    }
}

impl Running {
    /// Its version: the one that the settings tell, else that of the package that it exports.
    pub fn version(&self) -> Option<&str> {
        let exported = || self.service.schema().services.iter().find_map(|service| Some(service.interface.split_once('@')?.1));
        self.load.version.as_deref().or_else(exported)
    }

    /// The full names of the services that callers see.
    fn exported(&self) -> Vec<String> {
        self.service.schema().names().map(str::to_owned).collect()
    }

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
            version: self.version().map(str::to_owned),
            endpoints: typed.chain(handled).collect(),
            gateway: self.service.gateway().is_some(),
            http: self.service.http_route().cloned(),
            refused: schema.refused.clone(),
        }
    }
}
