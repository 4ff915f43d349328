//! From a path to the endpoint that serves it. Read on every call, written when a service comes,
//! changes or goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::Served;

/// A path's endpoint.
pub type Route = Arc<Served>;

/// A service that cannot be routed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouterError {
    /// Two services in one host offer the same endpoint.
    #[error("{path} is served already, by {by}")]
    Taken {
        /// The endpoint's path.
        path: String,
        /// The service that has it.
        by: String,
    },
}

#[derive(Default)]
struct Table {
    /// By path: `/example.greeter.Greet/Hello`.
    routes: HashMap<Box<str>, Route>,
    /// By the name that its owner gave: the paths of its endpoints.
    owners: HashMap<String, Vec<Box<str>>>,
}

/// All endpoints of a host.
#[derive(Default)]
pub struct Router {
    table: ArcSwap<Table>,
    writing: Mutex<()>,
}

impl Router {
    /// The endpoint at a path such as `/example.greeter.Greet/Hello`.
    pub fn find(&self, path: &str) -> Option<Route> {
        self.table.load().routes.get(path).cloned()
    }

    /// Every endpoint, sorted by path.
    pub fn all(&self) -> Vec<Route> {
        let mut all: Vec<_> = self.table.load().routes.values().cloned().collect();
        all.sort_by(|a, b| (&a.endpoint.service, &a.endpoint.method).cmp(&(&b.endpoint.service, &b.endpoint.method)));
        all
    }

    /// Sets the endpoints of `owner` to exactly these, at once.
    ///
    /// Fails, and changes nothing, where another owner has one of the paths.
    pub fn set(&self, owner: &str, endpoints: Vec<Served>) -> Result<(), RouterError> {
        let _writing = self.writing.lock().expect("no writer panics");
        let old = self.table.load();
        let mut new = Table { routes: old.routes.clone(), owners: old.owners.clone() };
        for path in new.owners.remove(owner).unwrap_or_default() {
            new.routes.remove(&path);
        }
        let mut paths = Vec::with_capacity(endpoints.len());
        for served in endpoints {
            let path: Box<str> = served.endpoint.path().into();
            if new.routes.insert(path.clone(), Arc::new(served)).is_some() {
                let by = new.owners.iter().find(|(_, paths)| paths.contains(&path)).map_or(owner, |(by, _)| by);
                return Err(RouterError::Taken { path: path.into(), by: by.to_owned() });
            }
            paths.push(path);
        }
        new.owners.insert(owner.to_owned(), paths);
        self.table.store(Arc::new(new));
        Ok(())
    }

    /// Takes away all endpoints of `owner`.
    pub fn remove(&self, owner: &str) {
        let _writing = self.writing.lock().expect("no writer panics");
        let old = self.table.load();
        let mut new = Table { routes: old.routes.clone(), owners: old.owners.clone() };
        for path in new.owners.remove(owner).unwrap_or_default() {
            new.routes.remove(&path);
        }
        self.table.store(Arc::new(new));
    }
}
