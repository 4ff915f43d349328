//! From a path to the endpoint that serves it. Read on every call, written when a service comes,
//! changes or goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::{HttpServed, Served};

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
    /// Two services in one host answer plain HTTP under the same route.
    #[error("the HTTP route {route} is {by}'s already: give one of them another, as http = \"/path\" in its table of the settings")]
    RouteTaken {
        /// The route.
        route: String,
        /// The service that has it.
        by: String,
    },
}

#[derive(Clone, Default)]
struct Table {
    /// By path: `/example.greeter.Greet/Hello`.
    routes: HashMap<Box<str>, Route>,
    /// By the name that its owner gave: the paths of its endpoints.
    owners: HashMap<String, Vec<Box<str>>>,
    /// The routes of plain HTTP with their owners, the longest first.
    http: Vec<(String, Arc<HttpServed>)>,
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
        let mut new = Table::clone(&old);
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

    /// What answers plain HTTP at a path: of the routes that cover it, the longest.
    pub fn find_http(&self, path: &str) -> Option<Arc<HttpServed>> {
        self.table.load().http.iter().find(|(_, served)| served.route.covers(path)).map(|(_, served)| Arc::clone(served))
    }

    /// Every route of plain HTTP, the longest first.
    pub fn all_http(&self) -> Vec<Arc<HttpServed>> {
        self.table.load().http.iter().map(|(_, served)| Arc::clone(served)).collect()
    }

    /// Sets the route of `owner`, in place of the one that it had.
    ///
    /// Fails, and changes nothing, where another owner has the same.
    pub fn set_http(&self, owner: &str, served: Option<HttpServed>) -> Result<(), RouterError> {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut new = Table::clone(&self.table.load());
        new.http.retain(|(by, _)| by != owner);
        if let Some(served) = served {
            if let Some((by, _)) = new.http.iter().find(|(_, other)| other.route == served.route) {
                return Err(RouterError::RouteTaken { route: served.route.to_string(), by: by.clone() });
            }
            let place = new.http.partition_point(|(_, other)| other.route.as_str().len() >= served.route.as_str().len());
            new.http.insert(place, (owner.to_owned(), Arc::new(served)));
        }
        self.table.store(Arc::new(new));
        Ok(())
    }

    /// Takes away all endpoints of `owner`, and its route.
    pub fn remove(&self, owner: &str) {
        let _writing = self.writing.lock().expect("no writer panics");
        let old = self.table.load();
        let mut new = Table::clone(&old);
        for path in new.owners.remove(owner).unwrap_or_default() {
            new.routes.remove(&path);
        }
        new.http.retain(|(by, _)| by != owner);
        self.table.store(Arc::new(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::{HttpFuture, HttpHandler, HttpRequest};

    struct Nobody;

    impl HttpHandler for Nobody {
        fn serve(&self, _: HttpRequest) -> HttpFuture {
            Box::pin(std::future::pending())
        }
    }

    fn served(service: &str, route: &str) -> HttpServed {
        HttpServed { service: service.into(), route: route.parse().expect("a route"), handler: Arc::new(Nobody), stats: Arc::default() }
    }

    #[test]
    fn the_longest_route_answers() {
        let router = Router::default();
        for (owner, route) in [("site", "/"), ("api", "/api"), ("users", "/api/users")] {
            router.set_http(owner, Some(served(owner, route))).expect("free");
        }
        let at = |path: &str| router.find_http(path).map(|served| served.service.to_string()).unwrap_or_default();
        assert_eq!([at("/"), at("/apis"), at("/api/x"), at("/api/users/7"), at("/api/users7")], ["site", "site", "api", "users", "api"]);
        router.remove("site");
        assert_eq!(at("/"), "");
    }

    #[test]
    fn a_route_that_another_has_is_refused_and_changes_nothing() {
        let router = Router::default();
        router.set_http("a", Some(served("a", "/"))).expect("free");
        let error = router.set_http("b", Some(served("b", "/"))).expect_err("taken").to_string();
        assert!(error.contains("is a's already") && error.contains("http = "), "{error}");
        router.set_http("a", Some(served("a", "/x"))).expect("its own may change");
        assert_eq!(router.all_http().len(), 1);
    }
}
