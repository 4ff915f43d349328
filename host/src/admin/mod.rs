//! What a host tells of itself under `/_microhost/`: health, metrics and what it serves.
//!
//! Health is open to all, so that any balancer can ask. The rest is for this machine, and for
//! others only with the token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use crate::rpc::Router;
use crate::stats::{CacheStats, EdgeStats, ServiceStats};

mod access;
mod catalog;
mod health;
mod metrics;
mod services;

pub use access::Access;
pub use catalog::{Catalog, CatalogError, Clash, Listing};
pub use health::{Health, Phase, Snapshot};

/// The start of every path that is the host's own.
pub const PREFIX: &str = "/_microhost/";

/// All that the surfaces show of a host. The app fills it; the edge and this module read it.
pub struct Overview {
    /// The endpoints.
    pub router: Arc<Router>,
    /// The descriptors of what is served.
    pub catalog: Catalog,
    /// Whether the host and each service are well.
    pub health: Health,
    /// What is counted of the listener.
    pub edge: EdgeStats,
    /// What is counted of the compile cache.
    pub cache: Arc<CacheStats>,
    services: ArcSwap<BTreeMap<String, Arc<ServiceStats>>>,
    writing: Mutex<()>,
}

impl Overview {
    /// The overview of a host that is starting and serves nothing yet.
    pub fn new(router: Arc<Router>, cache: Arc<CacheStats>) -> Overview {
        Overview {
            router,
            catalog: Catalog::default(),
            health: Health::default(),
            edge: EdgeStats::default(),
            cache,
            services: ArcSwap::default(),
            writing: Mutex::default(),
        }
    }

    /// Shows a service's figures under its name in the settings, in place of those it had.
    pub fn count_service(&self, name: &str, stats: Arc<ServiceStats>) {
        self.change(|services| services.insert(name.to_owned(), stats));
    }

    /// Stops to show a service's figures.
    pub fn forget_service(&self, name: &str) {
        self.change(|services| services.remove(name));
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<ServiceStats>>) -> T) {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut services = BTreeMap::clone(&self.services.load());
        change(&mut services);
        self.services.store(Arc::new(services));
    }
}

/// Answers a request for a path under [`PREFIX`].
pub fn answer(
    overview: &Arc<Overview>,
    access: &Access,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Response<Bytes> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("{path} is read with GET"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path.strip_prefix(PREFIX).unwrap_or(path) {
        "health/live" => return json(StatusCode::OK, &json!({ "status": "live" })),
        "health/ready" => return ready(&overview.health.snapshot()),
        _ => {}
    }
    // Before the path is looked at: whoever may not read learns nothing of what there is.
    if let Err(refused) = access.check(peer, headers) {
        let mut response = problem(refused.status(), refused.what_to_do());
        if refused.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"microhost\""));
        }
        return response;
    }
    match path.strip_prefix(PREFIX).unwrap_or(path) {
        "metrics" => reply(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(overview).into()),
        "services" => json(StatusCode::OK, &services::list(overview)),
        _ => problem(
            StatusCode::NOT_FOUND,
            &format!("there is no {path}; there are {PREFIX}health/live, {PREFIX}health/ready, {PREFIX}metrics and {PREFIX}services"),
        ),
    }
}

fn ready(snapshot: &Snapshot) -> Response<Bytes> {
    let status = if snapshot.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let services: serde_json::Map<_, _> =
        snapshot.services.iter().map(|(name, serving)| (name.clone(), json!(if *serving { "serving" } else { "not_serving" }))).collect();
    json(status, &json!({ "status": snapshot.phase.name(), "services": services, "failed": snapshot.failed }))
}

/// An error as JSON: `{"error": "…"}`.
fn problem(status: StatusCode, what: &str) -> Response<Bytes> {
    json(status, &json!({ "error": what }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Bytes> {
    reply(status, "application/json", format!("{value}\n").into())
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Of the moment: a cache on the way must not keep it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn get(overview: &Arc<Overview>, path: &str) -> (StatusCode, String) {
        let response = answer(overview, &Access::new(None), &Method::GET, path, &HeaderMap::new(), HERE);
        (response.status(), String::from_utf8(response.body().to_vec()).expect("text"))
    }

    #[test]
    fn ready_follows_the_phase_and_live_does_not() {
        let overview = Arc::new(Overview::new(Arc::default(), Arc::default()));
        overview.health.set("example.Greet", true);
        for (phase, expected) in [
            (Phase::Starting, StatusCode::SERVICE_UNAVAILABLE),
            (Phase::Ready, StatusCode::OK),
            (Phase::Draining, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            overview.health.enter(phase);
            let (status, text) = get(&overview, "/_microhost/health/ready");
            assert_eq!(status, expected, "{phase:?}");
            assert!(text.contains(phase.name()) && text.contains("example.Greet"), "{text}");
            assert_eq!(get(&overview, "/_microhost/health/live").0, StatusCode::OK);
        }
    }

    #[test]
    fn a_host_is_ready_without_the_services_that_failed_and_names_them() {
        let overview = Arc::new(Overview::new(Arc::default(), Arc::default()));
        overview.health.enter(Phase::Ready);
        overview.health.miss("stock", true);
        let (status, text) = get(&overview, "/_microhost/health/ready");
        assert!(status == StatusCode::OK && text.contains("\"failed\":[\"stock\"]"), "{text}");
        overview.health.miss("stock", false);
        assert!(get(&overview, "/_microhost/health/ready").1.contains("\"failed\":[]"));
    }

    #[test]
    fn an_unknown_page_is_answered_with_those_there_are() {
        let (status, text) = get(&Arc::new(Overview::new(Arc::default(), Arc::default())), "/_microhost/metric");
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("/_microhost/metrics"), "{text}");
    }

    #[test]
    fn writing_is_refused() {
        let overview = Arc::new(Overview::new(Arc::default(), Arc::default()));
        let response = answer(&overview, &Access::new(None), &Method::POST, "/_microhost/metrics", &HeaderMap::new(), HERE);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
