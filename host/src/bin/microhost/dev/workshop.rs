//! What is done about changes: settings are read anew, projects built, services swapped or started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use microhost::app::{Failed, Host, Load, Swap};
use microhost::project::Cancel;
use microhost::settings::Grants;
use tokio::runtime::Handle;

use super::standing::Standing;
use super::tended::Tended;
use crate::paint::Paint;
use crate::run::{Asked, Plan};

/// How often the sources are looked at. A change counts once it has been there for two looks.
const PACE: Duration = Duration::from_millis(150);

/// Looking takes at most one part in so many of the time.
const REST: u32 = 20;

/// How long the calls of a version have that was swapped for a newer one. Whoever writes a service swaps
/// often, and few versions are kept at once.
const GRACE: Duration = Duration::from_secs(5);

/// Tends the services of a host while they are written.
pub struct Workshop {
    asked: Arc<Asked>,
    force: bool,
    cancel: Arc<Cancel>,
    tended: Vec<Tended>,
    /// The settings files with their texts, as the services have them.
    settings: BTreeMap<PathBuf, Option<String>>,
    /// The same, as they were last seen.
    seen: BTreeMap<PathBuf, Option<String>>,
    /// The settings cannot be read as they are: nothing is built until they can, as builds read them too.
    are_wrong: bool,
    /// What the host began with and keeps.
    standing: Standing,
    /// The same by the settings as they were last read, so that a difference is told once.
    standing_told: Standing,
    /// The services that run and that the settings do not name any more.
    unnamed: BTreeSet<String>,
    /// Why services do not run, so that it is told once.
    told: BTreeMap<String, String>,
}

impl Workshop {
    /// Tends the services of this plan, which is what was asked for.
    pub fn new(asked: Arc<Asked>, plan: &Plan, force: bool, cancel: Arc<Cancel>) -> Workshop {
        let settings = settings(&asked);
        let standing = Standing::of(plan);
        Workshop {
            asked,
            force,
            cancel,
            tended: plan.services.iter().cloned().map(Tended::new).collect(),
            seen: settings.clone(),
            settings,
            are_wrong: false,
            standing_told: standing.clone(),
            standing,
            unnamed: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    /// Builds all services for the first time: what the host begins with, and what could not be built.
    pub fn begin(&mut self) -> (Vec<Load>, Vec<Failed>) {
        let (mut services, mut failed): (Vec<Load>, Vec<Failed>) = (Vec::new(), Vec::new());
        for at in 0..self.tended.len() {
            self.tended[at].wanted.announce(self.tended.iter().map(|tended| &tended.wanted));
            let tended = &mut self.tended[at];
            match tended.build(&self.cancel) {
                Ok(()) => services.extend(tended.offer()),
                Err(error) => failed.push((tended.wanted.load().clone(), error.into())),
            }
            if tended.is_cut() {
                let name = tended.wanted.name();
                tracing::warn!(service = name, "there are too many files to watch all of them; name what is no source in .gitignore");
            }
        }
        (services, failed)
    }

    /// Tends the services of this host until `stopped` is closed.
    pub fn tend(&mut self, host: &Arc<Host>, runtime: &Handle, stopped: &Receiver<()>) {
        self.told = host.missing().into_iter().map(|missing| (missing.load.name, missing.why)).collect();
        let mut pace = PACE;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pace) {
            let began = Instant::now();
            self.reread();
            if self.are_wrong {
                continue;
            }
            let changes: Vec<(usize, String)> =
                self.tended.iter_mut().enumerate().filter_map(|(at, tended)| Some((at, tended.changed()?))).collect();
            pace = PACE.max(began.elapsed() * REST);
            for (at, what) in changes {
                self.rebuild(at, &what, host);
            }
            self.deliver(host, runtime);
        }
    }

    /// Reads the settings anew where they have changed.
    fn reread(&mut self) {
        let now = settings(&self.asked);
        let is_quiet = now == self.seen;
        self.seen = now;
        if !is_quiet || self.seen == self.settings {
            return;
        }
        self.settings = self.seen.clone();
        let plan = match self.asked.plan() {
            Ok(plan) => plan,
            Err(failure) => {
                self.are_wrong = true;
                tracing::error!("the settings have changed and are not taken over: {}", failure.text(Paint::none()).trim_end());
                return;
            }
        };
        self.are_wrong = false;
        self.tell_what_waits(&plan);
        for wanted in plan.services {
            match self.tended.iter_mut().find(|tended| tended.wanted.name() == wanted.name()) {
                Some(tended) => tended.set(wanted),
                None => self.tended.push(Tended::new(wanted)),
            }
        }
    }

    /// Tells, once for each change, which of the settings the running host does not take over.
    fn tell_what_waits(&mut self, plan: &Plan) {
        let standing = Standing::of(plan);
        let waiting = self.standing.differing(&standing);
        if standing != self.standing_told && !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!("the settings have changed; the host has to be started anew for {keys}, and goes on as it began");
        }
        self.standing_told = standing;
        let is_named = |name: &str| plan.services.iter().any(|wanted| wanted.name() == name);
        let unnamed: BTreeSet<String> =
            self.tended.iter().map(|tended| tended.wanted.name()).filter(|name| !is_named(name)).map(str::to_owned).collect();
        for name in unnamed.difference(&self.unnamed) {
            tracing::warn!(service = name, "the settings do not name it any more; it goes on until the host is started anew");
        }
        self.unnamed = unnamed;
    }

    fn rebuild(&mut self, at: usize, what: &str, host: &Host) {
        let tended = &mut self.tended[at];
        let name = tended.wanted.name().to_owned();
        tracing::info!(service = name, changed = what, "building");
        let Err(error) = tended.build(&self.cancel) else { return };
        if self.cancel.is_cancelled() {
            return;
        }
        if host.serving(&name).is_some() {
            tracing::error!(service = name, "not built, and the version before goes on serving: {error}");
        } else {
            host.miss(&[(tended.wanted.load().clone(), error.into())]);
        }
    }

    /// Gives the host what was built since.
    fn deliver(&mut self, host: &Arc<Host>, runtime: &Handle) {
        let offers: Vec<Load> = self.tended.iter_mut().filter_map(Tended::offer).collect();
        let (mut fresh, mut has_changed) = (Vec::new(), false);
        for load in offers {
            match host.serving(&load.name) {
                Some(_) => has_changed |= self.swap(host, runtime, load),
                None => fresh.push(load),
            }
        }
        if has_changed || !fresh.is_empty() {
            self.start(host, fresh);
        }
    }

    /// Swaps a service that runs; whether it was.
    fn swap(&self, host: &Arc<Host>, runtime: &Handle, load: Load) -> bool {
        let began = Instant::now();
        let name = load.name.clone();
        let swap = Swap {
            service: name.clone(),
            component: load.component.clone(),
            settings: Some(load),
            grants: Grants::default(),
            canary: None,
            grace: GRACE,
            force: self.force,
            watch: None,
        };
        let (done, swapped) = mpsc::channel();
        let host = Arc::clone(host);
        runtime.spawn(async move {
            // Nobody waits for it any more where the program is ending.
            let _ = done.send(host.swap(swap).await);
        });
        match swapped.recv() {
            Ok(Ok(swapped)) => {
                let seconds = began.elapsed().as_secs_f64();
                let (difference, notes) = (swapped.difference.to_string(), swapped.notes.join("\n"));
                let news: Vec<&str> = [difference.trim_end(), &notes].into_iter().filter(|text| !text.is_empty()).collect();
                let news = if news.is_empty() { String::new() } else { format!("; other than before:\n{}", news.join("\n")) };
                tracing::info!(service = name, version = swapped.to, seconds, "what was built serves{news}");
                true
            }
            Ok(Err(error)) => {
                tracing::error!(service = name, "{error}");
                false
            }
            // The host has ended.
            Err(_) => false,
        }
    }

    /// Starts services that do not run: new ones, and all that could not start, as they may have lacked
    /// what is there now.
    fn start(&mut self, host: &Host, mut loads: Vec<Load>) {
        for load in self.tended.iter().filter_map(Tended::offered) {
            if host.serving(&load.name).is_none() && !loads.iter().any(|other| other.name == load.name) {
                loads.push(load.clone());
            }
        }
        if loads.is_empty() {
            return;
        }
        let names: Vec<String> = loads.iter().map(|load| load.name.clone()).collect();
        let failed = host.start(loads, |_| {});
        for name in names.iter().filter(|name| !failed.iter().any(|(load, _)| load.name == **name)) {
            self.told.remove(name);
            tracing::info!(service = name, "started");
        }
        let told = &mut self.told;
        let news = failed.into_iter().filter(|(load, error)| {
            let why = error.to_string();
            told.insert(load.name.clone(), why.clone()).is_none_or(|before| before != why)
        });
        host.miss(&news.collect::<Vec<Failed>>());
    }
}

/// The settings files that the command line names, or that would count if they were there, with their
/// texts.
fn settings(asked: &Asked) -> BTreeMap<PathBuf, Option<String>> {
    let files = asked.paths.iter().filter_map(|path| match path.extension() {
        Some(extension) if extension == "toml" => Some(path.clone()),
        _ => path.is_dir().then(|| path.join("microhost.toml")),
    });
    files.map(|file| (file.clone(), fs::read_to_string(&file).ok())).collect()
}
