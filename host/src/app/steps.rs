//! The steps of a swap, in the order in which they are taken: bring the component in, look whether
//! everybody can do with it, bring instances up, and switch.

use std::sync::Arc;

use super::change::{Change, Why};
use super::standing::{self, Part};
use super::versions::{Canary, Kept};
use super::{Host, Load, Running};
use crate::schema::{Handled, Schema};
use crate::settings::{Grants, Share};
use crate::status::Status;
use crate::wasm::difference::Difference;
use crate::wasm::directory::unfit;
use crate::wasm::load::Loaded;

impl Host {
    /// Loads the component of a new version, on threads of low priority: whoever is called meanwhile goes
    /// first.
    pub(super) async fn bring(self: &Arc<Host>, load: &Load, force: bool) -> Result<Loaded, Why> {
        let (host, mut asked) = (Arc::clone(self), load.clone());
        if force {
            // What a gateway handled is let go, if the new version is none.
            asked.handles.clear();
        }
        let loading = self.starter.lanes().heavy().spawn_blocking(move || host.load(&asked));
        loading.await.map_err(|error| Why::Component(error.into()))?.map_err(Why::Component)
    }

    /// Looks whether the services of this host that import another one's interfaces can do with its new
    /// version. What those lose that take it as it comes is told.
    pub(super) fn callers(&self, service: &str, before: &Schema, after: &Schema) -> Result<Vec<String>, Why> {
        let (mut broken, mut lost) = (Vec::new(), Vec::new());
        for caller in self.running().iter().filter(|caller| caller.load.name != service) {
            for need in &caller.service.schema().needs {
                let why = match after.services.iter().find(|offered| offered.name == need.name) {
                    Some(offered) => unfit(need, offered),
                    None => before.services.iter().any(|had| had.name == need.name).then(|| "it is not offered any more".to_owned()),
                };
                let Some(why) = why else { continue };
                let line = format!("{} imports {}: {why}", caller.load.name, need.interface);
                let late = caller.load.grants.late.iter().any(|late| late.covers(&need.name, ""));
                if late { lost.push(line) } else { broken.push(line) }
            }
        }
        if broken.is_empty() {
            return Ok(lost);
        }
        Err(Why::Needed { callers: broken, difference: Box::new(Difference::of(before, after)) })
    }

    /// What of a version a host that is started again does not have. `origin` is what it begins with.
    pub(super) async fn passing(self: &Arc<Host>, origin: Load, load: &Load, loaded: &Loaded) -> Vec<String> {
        let mut notes = Vec::new();
        let (host, file, loaded) = (Arc::clone(self), origin.clone(), loaded.clone());
        // By what is in the file: it may have been replaced, or be the same in another place.
        let looking = self.starter.lanes().heavy().spawn_blocking(move || host.is_in(&file, &loaded));
        if !looking.await.unwrap_or(true) {
            let whole = std::path::absolute(&origin.component).unwrap_or_else(|_| origin.component.clone());
            let other = match load.component == origin.component {
                true => String::new(),
                false => format!(", or name {} where the host is started or in its settings", load.component.display()),
            };
            notes.push(format!(
                "a host that is started again begins with {} as it is then; to have this version last, put it there{other}",
                whole.display()
            ));
        }
        if origin.grants != load.grants {
            let name = &origin.name;
            notes.push(format!(
                "a host that is started again has the grants of its settings; to have what was granted here last, write it under [service.{name}.grants]"
            ));
        }
        notes
    }

    /// Starts a version that nobody calls yet, and makes its first instances.
    pub(super) async fn warmed(self: &Arc<Host>, change: &Change, version: Kept) -> Result<Arc<Running>, super::SwapError> {
        let (host, figures) = (Arc::clone(self), change.serving.service.figures().clone());
        let Kept { version, load, loaded } = version;
        let starting = self.starter.lanes().heavy().spawn_blocking(move || host.begin(load, loaded, version, figures));
        let started = starting.await.map_err(|error| change.refuse(Why::Component(error.into())))?;
        let new = Arc::new(started.map_err(|error| change.refuse(error))?);
        let unwell = |status: Status| Why::Unwell { service: change.service().to_owned(), why: told(&status) };
        new.service.warm().await.map_err(|status| change.refuse(unwell(status)))?;
        Ok(new)
    }

    /// Gives a share of the calls to a version that is tried, for as long as it is well.
    pub(super) fn try_out(&self, change: Change, new: Arc<Running>, share: Share) {
        let _publishing = self.publishing();
        new.service.tally().watch();
        let split = self.overview.router.split(change.service(), new.service.offer(&new.load.handles), share);
        self.overview.health.stand_trial(change.service(), standing::of(&new, None), || false);
        let followed = standing::follow(&self.runtime, &self.overview, &new, Part::Tried(split));
        change.line.others().canary = Some(Canary { running: new, share, _followed: followed });
    }

    /// Gives all calls to the version that serves, none to one that is tried.
    pub(super) fn join(&self, change: &Change) {
        let _publishing = self.publishing();
        self.overview.router.join(change.service());
    }

    /// Gives all calls to a version, at one moment. The one before is kept for a way back.
    pub(super) fn switch(&self, change: &Change, new: Arc<Running>) -> Result<(), Why> {
        let publishing = self.publishing();
        // Once more: others may have come or changed since.
        let schema = new.service.schema();
        self.callers(change.service(), change.serving.service.schema(), schema)?;
        let needs = self.directory.check(change.service(), schema, &new.load.grants);
        needs.map_err(|needs| Why::Grants {
            needs: needs.iter().map(ToString::to_string).collect(),
            difference: Box::new(Difference::of(change.serving.service.schema(), schema)),
        })?;
        self.publish(&publishing, new, Some(&change.serving)).map_err(Why::Component)?;
        change.line.others().previous = Some(Kept::of(&change.serving));
        Ok(())
    }
}

/// What a version needs that it is not granted, and how to grant it. By force it may go without what its
/// start does not need.
pub(super) fn missing(difference: &Difference, after: &Schema, grants: &Grants, force: bool) -> Result<Vec<String>, Why> {
    let (mut needed, mut wanted) = (Vec::new(), Vec::new());
    for need in &after.needs {
        let granted = |method: &str| grants.calls.iter().any(|grant| grant.covers(&need.name, method));
        if !need.methods.iter().all(|method| granted(&method.name)) {
            needed.push(format!("{}: allow its calls with --grant calls={}", need.interface, need.name));
        }
    }
    for import in &difference.imports_added {
        let begins = |name: &str| import.starts_with(name);
        if grants.http.is_empty() && ["wasi:http/outgoing-handler", "wasi:http/client", "wasi:http/handler"].into_iter().any(begins) {
            wanted.push(format!("{import}: allow requests of HTTP with --grant http=HOST"));
        }
        if grants.calls.is_empty() && begins("microhost:service/rpc") {
            wanted.push(format!("{import}: allow calls of other services with --grant calls=SERVICE"));
        }
    }
    if needed.is_empty() && (force || wanted.is_empty()) {
        return Ok(wanted);
    }
    needed.append(&mut wanted);
    Err(Why::Grants { needs: needed, difference: Box::new(difference.clone()) })
}

/// Drops from the settings of a service what speaks of what its new version does not have; what was
/// dropped.
pub(super) fn trim(load: &mut Load, after: &Schema) -> Vec<String> {
    let mut notes = Vec::new();
    let typed =
        after.services.iter().flat_map(|service| service.methods.iter().map(move |method| format!("{}/{}", service.name, method.name)));
    let handled = after.handled.iter().flat_map(|handled| &handled.services);
    let handled = handled.flat_map(|service| service.methods.iter().map(move |method| format!("{}/{}", service.name, method.name)));
    let endpoints: Vec<String> = typed.chain(handled).collect();
    load.safe.retain(|safe| {
        let kept = endpoints.contains(safe);
        if !kept {
            notes.push(format!("{safe} is gone, which the setting `safe` names"));
        }
        kept
    });
    if after.http.is_none()
        && let Some(route) = load.http.take()
    {
        notes.push(format!("it answers no plain HTTP, for which the setting `http` names {route}"));
    }
    if !after.handled.as_ref().is_some_and(Handled::takes_anything) && !load.handles.is_empty() {
        notes.push(format!("it takes no calls of {}, which the setting `handles` names", load.handles.join(", ")));
        load.handles.clear();
    }
    notes
}

/// All that a status says, to whoever runs the host.
fn told(status: &Status) -> String {
    match status.cause() {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}
