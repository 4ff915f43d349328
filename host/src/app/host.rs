//! The services of a host: loaded together, started one by one, so that the order in which they are
//! named does not matter, and one that fails takes no other down.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use tokio::runtime::Handle;

use super::disks::Needed;
use super::failed::{Failed, told};
use super::standing::{self, Followed, Part};
use super::versions::Line;
use super::{Load, NotRunning, ReadyEndpoint, ReadyService};
use crate::admin::{Clash, Overview};
use crate::schema::Handled;
use crate::settings::SettingsError;
use crate::status::{Code, Status};
use crate::wasm::directory::Directory;
use crate::wasm::load::{Loaded, Loader};
use crate::wasm::service::{Figures, Service};
use crate::wasm::start::{Plan, StartError, Starter};

/// The services of a host, and what it takes to start more.
pub struct Host {
    loader: Loader,
    pub(super) starter: Starter,
    pub(super) directory: Arc<Directory>,
    pub(super) overview: Arc<Overview>,
    running: Mutex<BTreeMap<String, Arc<Running>>>,
    /// The versions of each service beside the one that runs.
    lines: Mutex<BTreeMap<String, Arc<Line>>>,
    /// Held while what is served changes: in several places, and to others all at once.
    publishing: Mutex<()>,
    /// The services that were asked for and do not run, with why.
    missing: Mutex<BTreeMap<String, (Load, String)>>,
    /// What makes known how the services are that run, by name.
    followed: Mutex<BTreeMap<String, Followed>>,
    /// Where that runs.
    pub(super) runtime: Handle,
}

/// A service that runs.
pub struct Running {
    /// What it was started from.
    pub load: Load,
    /// What takes its calls.
    pub service: Service,
    /// When it started.
    pub since: SystemTime,
    /// Which version of the service it is, from 1.
    pub version: u32,
    /// Its compiled component, for a way back.
    pub(super) loaded: Loaded,
}

impl Host {
    /// A host without services, which looks after them in this runtime.
    pub fn new(loader: Loader, starter: Starter, directory: Arc<Directory>, overview: Arc<Overview>, runtime: Handle) -> Host {
        Host {
            loader,
            starter,
            directory,
            overview,
            running: Mutex::default(),
            lines: Mutex::default(),
            publishing: Mutex::default(),
            missing: Mutex::default(),
            followed: Mutex::default(),
            runtime,
        }
    }

    /// Loads and starts services. What one of them needs of another is found whichever comes first. One
    /// that fails takes along only those that import it and are not granted to do so late.
    ///
    /// `wait` is called before the first is linked, with a way to ask whether something is needed that
    /// nobody offers yet: another host may.
    pub fn start(&self, loads: Vec<Load>, wait: impl FnOnce(&dyn Fn() -> bool)) -> Vec<Failed> {
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
                Err(error) => failed.push((load, error)),
            }
        }
        wait(&|| loaded.iter().any(|(load, component)| self.directory.lacks(&load.name, &component.schema, &load.grants)));
        let mut started = Vec::with_capacity(loaded.len());
        for (load, component) in loaded {
            let name = load.name.clone();
            match self.serve(load.clone(), component) {
                Ok(running) => started.push(running),
                Err(error) => {
                    self.retire(&name);
                    failed.push((load, error));
                }
            }
        }
        self.settle(&mut started, &mut failed);
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
            failed.push((running.load.clone(), StartError::Needs { name, needs }.into()));
        }
    }

    /// Takes a service out of all that shows or routes.
    fn retire(&self, name: &str) {
        let _publishing = self.publishing();
        self.directory.withdraw(name);
        self.overview.router.remove(name);
        self.overview.catalog.remove(name);
        self.overview.forget_service(name);
        self.followed().remove(name);
        self.overview.health.leave(name);
        self.running.lock().expect("no holder panics").remove(name);
    }

    /// Notes services that do not run, for all who ask what became of them, and logs why.
    pub fn miss(&self, failed: &[Failed]) {
        for (load, error) in failed {
            let (name, why) = (&load.name, told(error));
            tracing::error!(service = name, error = why, "a service cannot start; the others go on without it");
            self.overview.health.miss(name, true);
            self.missing.lock().expect("no holder panics").insert(name.clone(), (load.clone(), why));
        }
    }

    /// The services that were asked for and do not run, by name.
    pub fn missing(&self) -> Vec<NotRunning> {
        let missing = self.missing.lock().expect("no holder panics");
        missing.values().map(|(load, why)| NotRunning { load: load.clone(), why: why.clone() }).collect()
    }

    pub(super) fn load(&self, load: &Load) -> anyhow::Result<Loaded> {
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

    /// Whether what is in the file of a service now is this component.
    pub(super) fn is_in(&self, load: &Load, loaded: &Loaded) -> bool {
        self.loader.is_in(&load.component, &load.limits, loaded)
    }

    /// Starts a loaded service, and makes it known to all that shows or routes.
    fn serve(&self, load: Load, loaded: Loaded) -> anyhow::Result<Arc<Running>> {
        let running = Arc::new(self.begin(load, loaded, 1, Figures::default())?);
        for refused in &running.service.schema().refused {
            tracing::warn!(service = running.load.name, function = refused.function, "not served: {}", refused.why);
        }
        let publishing = self.publishing();
        self.publish(&publishing, Arc::clone(&running), None)?;
        Ok(running)
    }

    /// Links a version of a service, which is not known to anybody yet.
    pub(super) fn begin(&self, load: Load, loaded: Loaded, version: u32, figures: Figures) -> Result<Running, StartError> {
        let Load { name, isolation, safe, http, limits, grants, .. } = load.clone();
        let service = self.starter.start(Plan { name, limits, grants, isolation, safe, http, figures }, loaded.clone())?;
        Ok(Running { load, service, since: SystemTime::now(), version, loaded })
    }

    /// The right to change what is served.
    pub(super) fn publishing(&self) -> MutexGuard<'_, ()> {
        self.publishing.lock().expect("no holder panics")
    }

    /// Makes a version known to all that shows or routes, in place of the one before it. Calls find the
    /// one or the other, whole.
    ///
    /// Fails, and changes nothing, where another service has what this one offers.
    pub(super) fn publish(&self, _: &MutexGuard<'_, ()>, running: Arc<Running>, before: Option<&Running>) -> anyhow::Result<()> {
        let (overview, name, schema) = (&self.overview, &running.load.name, running.service.schema());
        let clashes = overview.catalog.set(name, schema.descriptors()).with_context(|| format!("cannot describe {name}"))?;
        if let Err(error) = overview.router.put(name, running.service.offer(&running.load.handles)) {
            match before {
                Some(before) => drop(overview.catalog.set(name, before.service.schema().descriptors())?),
                None => overview.catalog.remove(name),
            }
            return Err(anyhow::Error::from(error).context(format!("cannot serve {name}")));
        }
        for Clash { other, name: what } in clashes {
            tracing::warn!(service = name, other, what, "both bring this, in different shapes: reflection shows the other's");
        }
        self.directory.offer(name, Arc::clone(schema));
        overview.count_service(name, Arc::clone(running.service.stats()));
        overview.journal.know(name, schema.names());
        self.missing.lock().expect("no holder panics").remove(name);
        self.running.lock().expect("no holder panics").insert(name.clone(), Arc::clone(&running));
        // From here on, the one before has nothing to say.
        self.followed().remove(name);
        // Last: who hears of it looks at what runs.
        let gone = before.iter().flat_map(|before| before.service.schema().names());
        overview.health.replace(name, gone, schema.names(), standing::of(&running, None));
        self.followed().insert(name.clone(), standing::follow(&self.runtime, overview, &running, Part::Serving));
        Ok(())
    }

    fn followed(&self) -> MutexGuard<'_, BTreeMap<String, Followed>> {
        self.followed.lock().expect("no holder panics")
    }

    /// The version of a service that runs.
    pub fn serving(&self, name: &str) -> Option<Arc<Running>> {
        self.running.lock().expect("no holder panics").get(name).cloned()
    }

    /// The other versions of a service.
    pub(super) fn line(&self, name: &str) -> Arc<Line> {
        Arc::clone(self.lines.lock().expect("no holder panics").entry(name.to_owned()).or_default())
    }

    /// The services that run, by name.
    pub fn running(&self) -> Vec<Arc<Running>> {
        self.running.lock().expect("no holder panics").values().cloned().collect()
    }

    /// The folders that the services may use, each once.
    pub(super) fn folders(&self) -> Vec<Needed> {
        let running = self.running();
        let granted = running.iter().flat_map(|running| running.load.grants.folders.values());
        let folders: HashSet<Needed> = granted.map(|folder| Needed { path: folder.path.clone(), write: folder.write }).collect();
        folders.into_iter().collect()
    }

    /// Who offers what.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Takes no more calls, and ends all that run, whichever version has them: they fail with `unavailable`.
    /// How many somebody still waited for.
    pub fn cut(&self) -> usize {
        let why = || Status::new(Code::Unavailable, "the host stops, and its last calls have had their time");
        let beside: Vec<_> = self.lines.lock().expect("no holder panics").values().flat_map(|line| line.beside()).collect();
        self.running().iter().chain(&beside).map(|running| running.service.cut(why)).sum()
    }

    /// Takes no more calls, and ends every instance when it has none.
    pub fn close(&self) {
        for line in self.lines.lock().expect("no holder panics").values() {
            line.close();
        }
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
            gateway: self.service.is_gateway(),
            http: self.service.http_route().cloned(),
            refused: schema.refused.clone(),
        }
    }
}
