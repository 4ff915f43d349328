//! What a host tells of itself under `/_microhost/`: health, metrics, what it serves, and the admin
//! API, by which it is looked into and changed.
//!
//! Health is open to all, so that any balancer can ask; what other hosts ask for, to all but pages of the
//! web. The rest is for this machine, and for
//! others only with the token. The API is for whoever has the token, and, over its door, for the
//! user that the host runs as.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::sync::watch;

use crate::registry::{Node, View};
use crate::rpc::Router;
use crate::stats::{CacheStats, CalleesStats, EdgeStats, ServiceStats};

mod access;
mod api;
mod catalog;
pub mod change;
mod control;
pub mod door;
mod figures;
mod health;
pub mod journal;
mod metrics;
mod node;
mod probes;
mod rows;
mod services;
pub mod view;
mod vitals;

use access::Refused;
use view::AddressView;

pub use access::Access;
pub use api::{Api, ApiBody, PATH, Way};
pub use catalog::{Catalog, CatalogError, Clash, Listing};
pub use control::Control;
pub use health::{Health, Phase, Snapshot, Standing};
pub use journal::Journal;
pub use vitals::Vitals;

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
    /// What calls of services on other hosts are counted by.
    pub callees: Arc<CalleesStats>,
    /// The last lines of the log.
    pub journal: Arc<Journal>,
    /// What is known of other hosts, and of this one as they know it.
    pub view: Arc<View>,
    /// What this host tells others of itself, once it does.
    node: OnceLock<watch::Receiver<Arc<Node>>>,
    /// Where it says that it is, and what came of trying that.
    addresses: OnceLock<watch::Receiver<Vec<AddressView>>>,
    page: node::Page,
    /// Whether the host itself is well, once that can be asked.
    vitals: OnceLock<Arc<dyn Vitals>>,
    services: ArcSwap<BTreeMap<String, Arc<ServiceStats>>>,
    writing: Mutex<()>,
}

impl Overview {
    /// The overview of a host that is starting and serves nothing yet.
    pub fn new(router: Arc<Router>, cache: Arc<CacheStats>, journal: Arc<Journal>) -> Overview {
        Overview {
            router,
            catalog: Catalog::default(),
            health: Health::default(),
            edge: EdgeStats::default(),
            cache,
            callees: Arc::default(),
            journal,
            view: Arc::default(),
            node: OnceLock::new(),
            addresses: OnceLock::new(),
            page: node::Page::default(),
            vitals: OnceLock::new(),
            services: ArcSwap::default(),
            writing: Mutex::default(),
        }
    }

    /// Notes what tells whether the host itself is well.
    pub fn look_after(&self, vitals: Arc<dyn Vitals>) {
        // It is one for the whole life.
        self.vitals.get_or_init(|| vitals);
    }

    /// Notes what this host tells others of itself, from now on.
    pub fn tell(&self, node: watch::Receiver<Arc<Node>>) {
        // It begins once.
        self.node.get_or_init(|| node);
    }

    /// What this host tells others of itself, now and as it changes; none before it does.
    pub fn node(&self) -> Option<&watch::Receiver<Arc<Node>>> {
        self.node.get()
    }

    /// Notes where this host says that it is, from now on.
    pub fn locate(&self, addresses: watch::Receiver<Vec<AddressView>>) {
        // It begins once.
        self.addresses.get_or_init(|| addresses);
    }

    /// Where this host says that it is, and what came of trying that; nothing before it says so.
    fn addresses(&self) -> Vec<AddressView> {
        self.addresses.get().map(|addresses| addresses.borrow().clone()).unwrap_or_default()
    }

    /// Shows a service's figures under its name in the settings, in place of those it had.
    pub fn count_service(&self, name: &str, stats: Arc<ServiceStats>) {
        self.change(|services| services.insert(name.to_owned(), stats));
    }

    /// Stops to show a service's figures.
    pub fn forget_service(&self, name: &str) {
        self.change(|services| services.remove(name));
    }

    /// The instances of a service that are alive.
    fn instances(&self, name: &str) -> i64 {
        self.services.load().get(name).map_or(0, |stats| stats.instances.load(Relaxed))
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<ServiceStats>>) -> T) {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut services = BTreeMap::clone(&self.services.load());
        change(&mut services);
        self.services.store(Arc::new(services));
    }
}

/// Answers a request for a path under [`PREFIX`] that came through the listener. `api` is what answers
/// below [`PATH`], where there is one.
pub async fn answer<B>(
    overview: &Arc<Overview>,
    access: &Access,
    api: Option<&Api>,
    head: &Parts,
    body: B,
    peer: IpAddr,
) -> Response<ApiBody>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let path = head.uri.path();
    let page = path.strip_prefix(PREFIX).unwrap_or(path);
    if page.starts_with(PATH)
        && let Some(api) = api
    {
        return match access.token(&head.headers) {
            Ok(()) => api.answer(head, body, Way::Listener).await,
            Err(refused) => refusal(refused),
        };
    }
    let method = &head.method;
    if method != Method::GET && method != Method::HEAD {
        let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("{path} is read with GET"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match page {
        "health/live" => return probes::live(overview).await,
        "health/ready" => return probes::ready(overview, head).await,
        node::PATH => {
            return match access.host(head) {
                Ok(()) => node::answer(overview, head).await,
                Err(refused) => refusal(refused),
            };
        }
        _ => {}
    }
    // Before the path is looked at: whoever may not read learns nothing of what there is.
    if let Err(refused) = access.check(peer, head) {
        return refusal(refused);
    }
    match page {
        "metrics" => reply(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(overview).into()),
        "services" => json(StatusCode::OK, &services::list(overview)),
        _ => problem(
            StatusCode::NOT_FOUND,
            &format!(
                "there is no {path}; there are {PREFIX}health/live, {PREFIX}health/ready, {PREFIX}metrics, {PREFIX}services and, with the token, {PREFIX}{PATH}"
            ),
        ),
    }
}

fn refusal(refused: Refused) -> Response<ApiBody> {
    let mut response = problem(refused.status(), refused.what_to_do());
    if refused.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"microhost\""));
    }
    response
}

/// An error as JSON: `{"error": "…"}`.
fn problem(status: StatusCode, what: &str) -> Response<ApiBody> {
    json(status, &json!({ "error": what }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<ApiBody> {
    reply(status, "application/json", format!("{value}\n").into())
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ApiBody> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
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

    fn overview() -> Arc<Overview> {
        Arc::new(Overview::new(Arc::default(), Arc::default(), Arc::default()))
    }

    async fn ask(overview: &Arc<Overview>, method: Method, path: &str) -> Response<ApiBody> {
        let request = http::Request::builder().method(method).uri(path).header("host", "localhost").body(()).expect("a valid request");
        answer(overview, &Access::new(None), None, &request.into_parts().0, Full::new(Bytes::new()), HERE).await
    }

    async fn get(overview: &Arc<Overview>, path: &str) -> (StatusCode, String) {
        let response = ask(overview, Method::GET, path).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("it is whole").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn ready_follows_the_phase_and_live_does_not() {
        let overview = overview();
        overview.health.set("example.Greet", true);
        for (phase, expected) in [
            (Phase::Starting, StatusCode::SERVICE_UNAVAILABLE),
            (Phase::Ready, StatusCode::OK),
            (Phase::Draining, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            overview.health.enter(phase);
            let (status, text) = get(&overview, "/_microhost/health/ready").await;
            assert_eq!(status, expected, "{phase:?}");
            assert!(text.contains(phase.name()) && text.contains("example.Greet"), "{text}");
            assert_eq!(get(&overview, "/_microhost/health/live").await.0, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn a_host_is_ready_without_the_services_that_failed_and_names_them() {
        let overview = overview();
        overview.health.enter(Phase::Ready);
        overview.health.miss("stock", true);
        let (status, text) = get(&overview, "/_microhost/health/ready").await;
        assert!(status == StatusCode::OK && text.contains("\"failed\":[\"stock\"]"), "{text}");
        overview.health.miss("stock", false);
        assert!(get(&overview, "/_microhost/health/ready").await.1.contains("\"failed\":[]"));
    }

    #[tokio::test]
    async fn an_unknown_page_is_answered_with_those_there_are() {
        let (status, text) = get(&overview(), "/_microhost/metric").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("/_microhost/metrics"), "{text}");
    }

    #[tokio::test]
    async fn writing_is_refused() {
        let response = ask(&overview(), Method::POST, "/_microhost/metrics").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
