//! From a path to the endpoint that serves it. Read on every call, written when a service comes,
//! changes or goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::split::Split;
use super::{Gateway, HttpServed, Offer, Route, Served};
use crate::settings::Share;

/// A service that cannot be routed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouterError {
    /// Two services in one host offer the same endpoint; `/a.B/*` stands for all of a service, `/*` for
    /// whatever nobody else serves.
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
    ///
    /// The names are shared by the tables that follow one another: each is a copy of the one before, so
    /// that a thousand services which start one by one make a thousand of them.
    routes: HashMap<Arc<str>, Route>,
    /// By the name that its owner gave: the paths of its endpoints.
    owners: HashMap<Arc<str>, Arc<[Arc<str>]>>,
    /// Few, so they are looked through one by one.
    gateways: Vec<Open>,
    /// The routes of plain HTTP with their owners, the longest first.
    http: Vec<(String, Arc<HttpServed>)>,
    /// Versions that are tried with a share of their service's calls; mostly none.
    splits: Vec<Arc<Split>>,
}

/// A gateway with what it is asked for.
#[derive(Clone)]
struct Open {
    owner: String,
    /// Sorted; none stands for all that nobody else serves.
    services: Option<Arc<[String]>>,
    gateway: Arc<dyn Gateway>,
}

impl Open {
    /// What is shown of it: the method `*` of the services that it has, or of `*`.
    fn shown(&self) -> Route {
        let services = self.services.as_ref().map_or_else(|| "*".to_owned(), |services| services.join(","));
        Arc::new(self.gateway.endpoint(&services, "*"))
    }

    fn names(&self, service: &str) -> bool {
        self.services.as_ref().is_some_and(|services| services.binary_search_by(|name| name.as_str().cmp(service)).is_ok())
    }
}

impl Table {
    /// The endpoint at a path of the first gateway that takes its service.
    fn open(&self, path: &str, takes: impl Fn(&Open, &str) -> bool) -> Option<Route> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        if service.is_empty() || method.is_empty() || method.contains('/') {
            return None;
        }
        let open = self.gateways.iter().find(|open| takes(open, service))?;
        let tried = self.splits.iter().find(|split| split.owner == open.owner).and_then(|split| split.gateway());
        Some(Arc::new(tried.unwrap_or(&open.gateway).endpoint(service, method)))
    }

    fn set(&mut self, owner: &str, endpoints: Vec<Served>) -> Result<(), RouterError> {
        let before = self.owners.remove(owner).unwrap_or_default();
        let before: HashMap<Arc<str>, Route> = before.iter().filter_map(|path| self.routes.remove_entry(path)).collect();
        let mut paths = Vec::with_capacity(endpoints.len());
        for mut served in endpoints {
            let path: Arc<str> = served.endpoint.path().into();
            if let Some(before) = before.get(&path) {
                served.stats = Arc::clone(&before.stats);
            }
            if self.routes.insert(path.clone(), Arc::new(served)).is_some() {
                let by = self.owners.iter().find(|(_, paths)| paths.contains(&path)).map_or(owner, |(by, _)| by);
                return Err(RouterError::Taken { path: path.to_string(), by: by.to_owned() });
            }
            paths.push(path);
        }
        self.owners.insert(owner.into(), paths.into());
        Ok(())
    }

    fn set_http(&mut self, owner: &str, served: Option<HttpServed>) -> Result<(), RouterError> {
        let before = self.http.iter().position(|(by, _)| by == owner).map(|place| self.http.remove(place).1);
        let Some(mut served) = served else { return Ok(()) };
        if let Some((by, _)) = self.http.iter().find(|(_, other)| other.route == served.route) {
            return Err(RouterError::RouteTaken { route: served.route.to_string(), by: by.clone() });
        }
        if let Some(before) = before {
            served.stats = Arc::clone(&before.stats);
        }
        let place = self.http.partition_point(|(_, other)| other.route.as_str().len() >= served.route.as_str().len());
        self.http.insert(place, (owner.to_owned(), Arc::new(served)));
        Ok(())
    }

    fn set_gateway(&mut self, owner: &str, gateway: Option<(Vec<String>, Arc<dyn Gateway>)>) -> Result<(), RouterError> {
        self.gateways.retain(|other| other.owner != owner);
        let Some((mut services, gateway)) = gateway else { return Ok(()) };
        services.sort_unstable();
        services.dedup();
        let services = (!services.is_empty()).then(|| services.into());
        let open = Open { owner: owner.to_owned(), services, gateway };
        for other in &self.gateways {
            let shared = match &open.services {
                None => other.services.is_none().then(|| "/*".to_owned()),
                Some(services) => services.iter().find(|service| other.names(service)).map(|service| format!("/{service}/*")),
            };
            if let Some(path) = shared {
                return Err(RouterError::Taken { path, by: other.owner.clone() });
            }
        }
        self.gateways.push(open);
        Ok(())
    }
}

/// All endpoints of a host.
#[derive(Default)]
pub struct Router {
    table: ArcSwap<Table>,
    writing: Mutex<()>,
}

impl Router {
    /// The endpoint at a path such as `/example.greeter.Greet/Hello`: the one of that name, else that
    /// of the gateway for its service.
    pub fn find(&self, path: &str) -> Option<Route> {
        let table = self.table.load();
        if let Some(route) = table.routes.get(path) {
            let tried = table.splits.iter().find_map(|split| split.route(path));
            return Some(Arc::clone(tried.unwrap_or(route)));
        }
        if table.gateways.is_empty() { None } else { table.open(path, Open::names) }
    }

    /// The endpoint that the gateway for all the rest has at a path. To be asked when nothing else is
    /// found there, the host's own pages and services included.
    pub fn rest(&self, path: &str) -> Option<Route> {
        self.table.load().open(path, |open, _| open.services.is_none())
    }

    /// Every endpoint, sorted by path. A gateway is one of the method `*`, of the services that it has
    /// or of `*`.
    pub fn all(&self) -> Vec<Route> {
        let table = self.table.load();
        let mut all: Vec<_> = table.routes.values().cloned().collect();
        all.extend(table.gateways.iter().map(Open::shown));
        all.sort_by(|a, b| (&a.endpoint.service, &a.endpoint.method).cmp(&(&b.endpoint.service, &b.endpoint.method)));
        all
    }

    /// The endpoints of `owner`, sorted by path, its gateway as in [`Router::all`].
    pub fn of(&self, owner: &str) -> Vec<Route> {
        let table = self.table.load();
        let paths = table.owners.get(owner).into_iter().flat_map(|paths| paths.iter());
        let mut own: Vec<Route> = paths.filter_map(|path| table.routes.get(path).cloned()).collect();
        own.sort_by(|a, b| (&a.endpoint.service, &a.endpoint.method).cmp(&(&b.endpoint.service, &b.endpoint.method)));
        own.extend(table.gateways.iter().filter(|open| open.owner == owner).map(Open::shown));
        own
    }

    /// The route of plain HTTP that `owner` has.
    pub fn http_of(&self, owner: &str) -> Option<Arc<HttpServed>> {
        self.table.load().http.iter().find(|(by, _)| by == owner).map(|(_, served)| Arc::clone(served))
    }

    /// Sets what `owner` offers to exactly this, at once: a call finds all of what was before, or all of
    /// this. What is counted of a path goes on. A version that was tried is tried no more.
    ///
    /// Fails, and changes nothing, where another owner has one of the paths, the route or a service of
    /// the gateway.
    pub fn put(&self, owner: &str, offer: Offer) -> Result<(), RouterError> {
        self.change(|table| {
            table.splits.retain(|split| split.owner != owner);
            table.set(owner, offer.endpoints)?;
            table.set_http(owner, offer.http)?;
            table.set_gateway(owner, offer.gateway)
        })
    }

    /// Has a share of the calls of `owner` answered by another version of it: of what both offer. What
    /// is counted is counted as one. What is returned can hold the share back.
    pub fn split(&self, owner: &str, offer: Offer, share: Share) -> Arc<Split> {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut new = Table::clone(&self.table.load());
        let http = new.http.iter().find(|(by, _)| by == owner).map(|(_, served)| served);
        let split = Arc::new(Split::new(owner, offer, share, |path| new.routes.get(path), http));
        new.splits.retain(|split| split.owner != owner);
        new.splits.push(Arc::clone(&split));
        self.table.store(Arc::new(new));
        split
    }

    /// Has all calls of `owner` answered by the one version that was not merely tried.
    pub fn join(&self, owner: &str) {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut new = Table::clone(&self.table.load());
        new.splits.retain(|split| split.owner != owner);
        self.table.store(Arc::new(new));
    }

    fn change(&self, change: impl FnOnce(&mut Table) -> Result<(), RouterError>) -> Result<(), RouterError> {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut new = Table::clone(&self.table.load());
        change(&mut new)?;
        self.table.store(Arc::new(new));
        Ok(())
    }

    /// Sets the endpoints of `owner` to exactly these, at once.
    ///
    /// Fails, and changes nothing, where another owner has one of the paths.
    pub fn set(&self, owner: &str, endpoints: Vec<Served>) -> Result<(), RouterError> {
        self.change(|table| table.set(owner, endpoints))
    }

    /// What answers plain HTTP at a path: of the routes that cover it, the longest.
    pub fn find_http(&self, path: &str) -> Option<Arc<HttpServed>> {
        let table = self.table.load();
        let (owner, served) = table.http.iter().find(|(_, served)| served.route.covers(path))?;
        let tried = table.splits.iter().find(|split| split.owner == *owner).and_then(|split| split.http());
        Some(Arc::clone(tried.unwrap_or(served)))
    }

    /// Every route of plain HTTP, the longest first.
    pub fn all_http(&self) -> Vec<Arc<HttpServed>> {
        self.table.load().http.iter().map(|(_, served)| Arc::clone(served)).collect()
    }

    /// Sets the route of `owner`, in place of the one that it had.
    ///
    /// Fails, and changes nothing, where another owner has the same.
    pub fn set_http(&self, owner: &str, served: Option<HttpServed>) -> Result<(), RouterError> {
        self.change(|table| table.set_http(owner, served))
    }

    /// Sets the gateway of `owner`, in place of the one it had: for these services, or, where none is
    /// named, for all that nobody else serves.
    ///
    /// Fails, and changes nothing, where another owner's gateway has one of them.
    pub fn set_gateway(&self, owner: &str, services: &[String], gateway: Arc<dyn Gateway>) -> Result<(), RouterError> {
        self.change(|table| table.set_gateway(owner, Some((services.to_vec(), gateway))))
    }

    /// Takes away all endpoints of `owner`, its gateway and its route.
    pub fn remove(&self, owner: &str) {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut new = Table::clone(&self.table.load());
        for path in new.owners.remove(owner).unwrap_or_default().iter() {
            new.routes.remove(path);
        }
        new.gateways.retain(|open| open.owner != owner);
        new.http.retain(|(by, _)| by != owner);
        new.splits.retain(|split| split.owner != owner);
        self.table.store(Arc::new(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::{CallFuture, Endpoint, Handler, HttpFuture, HttpHandler, HttpRequest, OpenFuture, Request, StreamRequest, wrong_kind};

    struct Silent;

    impl HttpHandler for Silent {
        fn serve(&self, _: HttpRequest) -> HttpFuture {
            Box::pin(std::future::pending())
        }
    }

    fn routed(service: &str, route: &str) -> HttpServed {
        HttpServed { service: service.into(), route: route.parse().expect("a route"), handler: Arc::new(Silent), stats: Arc::default() }
    }

    #[test]
    fn the_longest_route_answers() {
        let router = Router::default();
        for (owner, route) in [("site", "/"), ("api", "/api"), ("users", "/api/users")] {
            router.set_http(owner, Some(routed(owner, route))).expect("free");
        }
        let at = |path: &str| router.find_http(path).map(|served| served.service.to_string()).unwrap_or_default();
        assert_eq!([at("/"), at("/apis"), at("/api/x"), at("/api/users/7"), at("/api/users7")], ["site", "site", "api", "users", "api"]);
        router.remove("site");
        assert_eq!(at("/"), "");
    }

    #[test]
    fn a_route_that_another_has_is_refused_and_changes_nothing() {
        let router = Router::default();
        router.set_http("a", Some(routed("a", "/"))).expect("free");
        let error = router.set_http("b", Some(routed("b", "/"))).expect_err("taken").to_string();
        assert!(error.contains("is a's already") && error.contains("http = "), "{error}");
        router.set_http("a", Some(routed("a", "/x"))).expect("its own may change");
        assert_eq!(router.all_http().len(), 1);
    }

    struct Nobody;

    impl Handler for Nobody {
        fn call(&self, _: Request) -> CallFuture {
            Box::pin(std::future::ready(Err(wrong_kind())))
        }

        fn open(&self, _: StreamRequest) -> OpenFuture {
            Box::pin(std::future::ready(Err(wrong_kind())))
        }
    }

    /// An endpoint; which one of several was found is told by the bound of its requests.
    fn served(service: &str, method: &str, mark: usize) -> Served {
        let endpoint = Endpoint { service: service.into(), method: method.into(), safe: false, kind: None };
        Served { endpoint, handler: Arc::new(Nobody), stats: Arc::default(), max_request: mark }
    }

    struct Marked(usize);

    impl Gateway for Marked {
        fn endpoint(&self, service: &str, method: &str) -> Served {
            served(service, method, self.0)
        }
    }

    fn found(router: &Router, path: &str) -> Option<usize> {
        router.find(path).or_else(|| router.rest(path)).map(|route| route.max_request)
    }

    #[test]
    fn names_come_before_gateways_and_a_gateway_for_a_service_before_that_for_the_rest() {
        let router = Router::default();
        router.set("typed", vec![served("a.A", "One", 1)]).expect("free");
        router.set_gateway("some", &["a.A".to_owned(), "b.B".to_owned()], Arc::new(Marked(2))).expect("free");
        router.set_gateway("rest", &[], Arc::new(Marked(3))).expect("free");
        assert_eq!(found(&router, "/a.A/One"), Some(1));
        assert_eq!(found(&router, "/a.A/Two"), Some(2));
        assert_eq!(found(&router, "/b.B/One"), Some(2));
        assert_eq!(found(&router, "/c.C/One"), Some(3));
        for path in ["/", "//", "/a.A", "/a.A/", "//One", "/c.C/One/Two", "c.C/One", ""] {
            assert_eq!(found(&router, path), None, "{path}");
        }
        assert!(router.find("/c.C/One").is_none(), "others may come before the rest");
        let route = router.rest("/c.C/One").expect("the rest");
        assert_eq!(route.endpoint.path(), "/c.C/One");
        let all: Vec<_> = router.all().iter().map(|route| route.endpoint.path()).collect();
        assert_eq!(all, ["/*/*", "/a.A/One", "/a.A,b.B/*"]);
    }

    #[test]
    fn what_a_service_offers_is_replaced_at_once_and_counted_on() {
        let router = Router::default();
        let offer =
            |endpoints: Vec<Served>, route: Option<&str>| Offer { endpoints, gateway: None, http: route.map(|route| routed("a", route)) };
        router.put("a", offer(vec![served("a.A", "One", 1), served("a.A", "Two", 1)], Some("/x"))).expect("free");
        router.set("b", vec![served("b.B", "One", 9)]).expect("free");
        let before = router.find("/a.A/One").expect("routed");
        // Half of it is another's: all stays as it was.
        let taken = router.put("a", offer(vec![served("a.A", "One", 2), served("b.B", "One", 2)], None));
        assert_eq!(taken, Err(RouterError::Taken { path: "/b.B/One".into(), by: "b".into() }));
        assert!(found(&router, "/a.A/One") == Some(1) && router.find_http("/x").is_some());
        router.put("a", offer(vec![served("a.A", "One", 3)], None)).expect("its own");
        assert_eq!((found(&router, "/a.A/One"), found(&router, "/a.A/Two")), (Some(3), None));
        assert!(router.find_http("/x").is_none());
        assert!(Arc::ptr_eq(&before.stats, &router.find("/a.A/One").expect("routed").stats));
    }

    #[test]
    fn a_version_that_is_tried_gets_its_share_of_what_both_offer() {
        let router = Router::default();
        let offer = |mark: usize, more: &[&str]| {
            let endpoints = ["One"].iter().chain(more).map(|method| served("a.A", method, mark)).collect();
            Offer { endpoints, gateway: Some((Vec::new(), Arc::new(Marked(mark)))), http: Some(routed("a", "/x")) }
        };
        router.put("a", offer(1, &["Two"])).expect("free");
        let split = router.split("a", offer(2, &["Three"]), "25%".parse().expect("a share"));
        let tried = |path: &str| (0..100).filter(|_| found(&router, path) == Some(2)).count();
        assert_eq!((tried("/a.A/One"), tried("/a.A/Two"), tried("/c.C/Any")), (25, 0, 25));
        // The gateway of the version that serves takes what only the other one describes.
        assert_eq!(tried("/a.A/Three"), 25);
        let serving = router.http_of("a").expect("routed");
        let first = router.find_http("/x").expect("routed");
        assert_eq!((0..100).filter(|_| Arc::ptr_eq(&router.find_http("/x").expect("routed"), &first)).count(), 25, "the first was tried");
        split.hold_back(true);
        assert_eq!((tried("/a.A/One"), tried("/c.C/Any")), (0, 0));
        assert!((0..100).all(|_| Arc::ptr_eq(&router.find_http("/x").expect("routed"), &serving)), "none is tried");
        split.hold_back(false);
        assert_eq!(tried("/a.A/One"), 25);
        router.join("a");
        assert_eq!(tried("/a.A/One"), 0);
    }

    #[test]
    fn two_gateways_do_not_have_the_same_service_or_the_rest() {
        let router = Router::default();
        router.set_gateway("one", &["a.A".to_owned()], Arc::new(Marked(1))).expect("free");
        let error = router.set_gateway("two", &["b.B".to_owned(), "a.A".to_owned()], Arc::new(Marked(2))).expect_err("taken");
        assert_eq!(error.to_string(), "/a.A/* is served already, by one");
        assert_eq!(found(&router, "/b.B/One"), None, "nothing was changed");
        router.set_gateway("one", &[], Arc::new(Marked(1))).expect("its own may change");
        assert!(router.set_gateway("two", &[], Arc::new(Marked(2))).is_err());
        router.remove("one");
        assert_eq!(found(&router, "/a.A/One"), None);
    }
}
