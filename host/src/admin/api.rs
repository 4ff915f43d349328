//! The admin API: what a host tells, and does, for those who may run it. The same over its door, a
//! Unix socket, and over the listener for whoever brings the token. docs/admin.md describes it.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Level;

use super::change::Change;
use super::journal::{Tail, Wanted};
use super::view::{ClusterView, Description, HealthView, HostView, LogEntry, Problem, ServiceHealth, ServiceView};
use super::{Control, Overview, PREFIX, Phase, Snapshot, figures};
use crate::status::{Code, Status};

/// What the paths of the API have behind [`PREFIX`].
pub const PATH: &str = "admin/";

/// Lines of the log that are told unless the request says how many.
const LINES: usize = 100;

/// How long a part of the host may take to answer, whose health is asked for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The body of a request, in bytes, and how long it may take to come.
const MAX_BODY: usize = 64 << 10;
const BODY_TIME: Duration = Duration::from_secs(30);

/// The body of an answer.
pub type ApiBody = UnsyncBoxBody<Bytes, Infallible>;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the door, which stays open while the host drains.
    Door,
    /// Through the listener, whose connections are waited for when the host drains.
    Listener,
}

/// The API of a host.
pub struct Api {
    name: String,
    started: SystemTime,
    /// Where the host serves, once it does.
    url: OnceLock<String>,
    control: Arc<dyn Control>,
    overview: Arc<Overview>,
}

impl Api {
    /// The API of a host that is called by this name, or, without one, by its process id.
    pub fn new(name: Option<String>, control: Arc<dyn Control>, overview: Arc<Overview>) -> Api {
        let name = name.unwrap_or_else(|| std::process::id().to_string());
        Api { name, started: SystemTime::now(), url: OnceLock::new(), control, overview }
    }

    /// Tells from now on where the host serves. It is told once.
    pub fn serves_at(&self, url: String) {
        self.url.get_or_init(|| url);
    }

    /// Answers a request for a path that begins with [`PREFIX`] and [`PATH`]. Whether its sender may
    /// ask has been decided.
    pub async fn answer<B>(&self, head: &Parts, body: B, way: Way) -> Response<ApiBody>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let path = head.uri.path();
        let segments = match segments(path) {
            Ok(segments) => segments,
            Err(status) => return refusal(&status),
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let answered = match head.method {
            Method::GET | Method::HEAD if segments[..] == ["health"] => match Query::of(head).only(&[]) {
                Ok(()) => Ok(json(&self.health().await)),
                Err(status) => Err(status),
            },
            Method::GET | Method::HEAD => self.tell(path, &segments, head, way),
            Method::POST => match timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await {
                Ok(Ok(body)) => self.change(path, &segments, &body.to_bytes()).await,
                Ok(Err(error)) => Err(invalid(format!("the request's body cannot be read: {error}"))),
                Err(_) => Err(invalid(format!("the request's body did not come within {BODY_TIME:?}"))),
            },
            _ => Ok(wrong_method(path)),
        };
        answered.unwrap_or_else(|status| refusal(&status))
    }

    /// Answers a GET.
    fn tell(&self, path: &str, segments: &[&str], head: &Parts, way: Way) -> Result<Response<ApiBody>, Status> {
        let query = Query::of(head);
        match segments[..] {
            ["host"] => query.only(&[]).map(|()| json(&self.host())),
            ["services"] => query.only(&[]).map(|()| json(&self.services())),
            ["services", name] => query.only(&[]).and_then(|()| self.describe(name)).map(|found| json(&found)),
            ["cluster"] => query.only(&[]).map(|()| json(&self.cluster())),
            ["stats"] => {
                query.only(&["service"])?;
                let service = query.get("service");
                service.map_or(Ok(()), |name| self.known(name))?;
                Ok(json(&figures::stats(&self.overview, service)))
            }
            ["logs"] => self.logs(&query, way),
            _ => Err(nowhere(path)),
        }
    }

    /// Does what a POST asks for, by what its body says in JSON.
    async fn change(&self, path: &str, segments: &[&str], body: &[u8]) -> Result<Response<ApiBody>, Status> {
        let (service, change) = match segments[..] {
            ["services", name, "swap"] => (name, Change::Swap(order(body)?)),
            ["services", name, "promote"] => (name, Change::Promote(order(body)?)),
            ["services", name, "rollback"] => (name, Change::Rollback(order(body)?)),
            _ => return Ok(wrong_method(path)),
        };
        Ok(json(&Arc::clone(&self.control).change(service.to_owned(), change).await?))
    }

    fn host(&self) -> HostView {
        HostView {
            name: self.name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            url: self.url.get().cloned(),
            phase: self.overview.health.snapshot().phase.name().to_owned(),
            started: humantime::format_rfc3339_seconds(self.started).to_string(),
            services: self.control.services().into_iter().map(|service| service.name).collect(),
        }
    }

    fn services(&self) -> Vec<ServiceView> {
        let mut services = self.control.services();
        for service in &mut services {
            self.fill(service);
        }
        services
    }

    async fn health(&self) -> HealthView {
        let trouble = match self.overview.vitals.get() {
            Some(vitals) => vitals.able(PATIENCE).await.err(),
            None => None,
        };
        let snapshot = self.overview.health.snapshot();
        let health = |service: ServiceView| {
            let unwell = snapshot.standings.get(&service.name).and_then(|standing| standing.since);
            let since = unwell.map(|since| humantime::format_rfc3339_seconds(since).to_string()).or(service.since);
            let ServiceView { name, version, state, why, canary, .. } = service;
            ServiceHealth { name, version, state, why, since, canary }
        };
        let services = self.control.services().into_iter().map(health).collect();
        HealthView { phase: snapshot.phase.name().to_owned(), trouble, services }
    }

    fn cluster(&self) -> ClusterView {
        let own = self.overview.node().map(|node| node.borrow().id.clone());
        ClusterView { addresses: self.overview.addresses(), ..ClusterView::of(own, &self.overview.view) }
    }

    fn describe(&self, name: &str) -> Result<Description, Status> {
        let mut found = self.control.describe(name).ok_or_else(|| self.unknown(name))?;
        self.fill(&mut found.service);
        Ok(found)
    }

    /// Adds a service's figures.
    fn fill(&self, service: &mut ServiceView) {
        let (calls, _) = figures::calls(&self.overview, &service.name);
        service.instances = self.overview.instances(&service.name);
        service.calls = calls.ended;
        service.errors = calls.errors;
        service.under_way = calls.under_way;
    }

    fn known(&self, name: &str) -> Result<(), Status> {
        if self.control.services().iter().any(|service| service.name == name) { Ok(()) } else { Err(self.unknown(name)) }
    }

    fn unknown(&self, name: &str) -> Status {
        let services = self.control.services();
        let names = || services.iter().map(|service| service.name.as_str());
        let all = names().collect::<Vec<_>>().join(", ");
        let near = crate::settings::nearest(name, names()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Status::new(Code::NotFound, format!("this host has no service {name:?}, it has {all}{near}"))
    }

    fn logs(&self, query: &Query, way: Way) -> Result<Response<ApiBody>, Status> {
        query.only(&["service", "level", "lines", "follow"])?;
        let service = query.get("service").map(str::to_owned);
        if let Some(name) = &service {
            self.known(name)?;
        }
        let level = query.read("level", "error, warn, info, debug or trace")?.unwrap_or(Level::TRACE);
        let last = query.read("lines", "a number of lines")?.unwrap_or(LINES);
        let follow = query.read("follow", "true or false")?.unwrap_or(false);
        let wanted = Wanted { service, level, last };
        let lines = |lines: &[Arc<super::view::LogLine>]| {
            let mut text = BytesMut::new();
            for line in lines {
                append(&mut text, &**line);
            }
            text.freeze()
        };
        if !follow {
            return Ok(reply(
                StatusCode::OK,
                "application/x-ndjson",
                Full::new(lines(&self.overview.journal.last(&wanted))).boxed_unsync(),
            ));
        }
        let (before, tail) = self.overview.journal.follow(wanted)?;
        let following = Following { before: Some(lines(&before)), tail, health: self.overview.health.watch(), way };
        let body = StreamBody::new(stream::unfold(following, Following::step));
        Ok(reply(StatusCode::OK, "application/x-ndjson", BodyExt::boxed_unsync(body)))
    }
}

/// A log that is being read along.
struct Following {
    before: Option<Bytes>,
    tail: Tail,
    health: watch::Receiver<Arc<Snapshot>>,
    way: Way,
}

impl Following {
    async fn step(mut self) -> Option<(Result<Frame<Bytes>, Infallible>, Following)> {
        // Even if it is empty, so that the reader knows at once that it is heard.
        if let Some(before) = self.before.take() {
            return Some((Ok(Frame::data(before)), self));
        }
        let entries = tokio::select! {
            entries = self.tail.next() => entries?,
            () = draining(&mut self.health), if self.way == Way::Listener => return None,
        };
        let mut text = BytesMut::new();
        for entry in &entries {
            append::<LogEntry>(&mut text, entry);
        }
        Some((Ok(Frame::data(text.freeze())), self))
    }
}

/// Waits until the host drains.
async fn draining(health: &mut watch::Receiver<Arc<Snapshot>>) {
    // An error means that the host is gone, which is as good.
    let _ = health.wait_for(|snapshot| snapshot.phase == Phase::Draining).await;
}

fn append<T: Serialize>(text: &mut BytesMut, entry: &T) {
    text.extend_from_slice(&serde_json::to_vec(entry).expect("what the API tells has text for keys"));
    text.extend_from_slice(b"\n");
}

/// The query of a request.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(head: &Parts) -> Query {
        let parts = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        Query(parts.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Refuses what is none of these.
    fn only(&self, known: &[&str]) -> Result<(), Status> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) if known.is_empty() => Err(invalid(format!("the path takes no query, and got {name:?}"))),
            Some((name, _)) => Err(invalid(format!("unknown {name:?} in the query; it takes {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn read<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Status> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| invalid(format!("{name}={value:?} in the query: expected {expected}")))
    }
}

/// The parts of a path behind the API's own beginning.
fn segments(path: &str) -> Result<Vec<String>, Status> {
    let rest = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(PATH)).ok_or_else(|| nowhere(path))?;
    rest.split('/').map(decoded).collect()
}

/// What a POST asks for; no body at all asks for nothing in particular.
fn order<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| invalid(format!("the request's body: {error}")))
}

fn wrong_method(path: &str) -> Response<ApiBody> {
    let message = format!("{path} is read with GET");
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, Problem { code: Code::Unimplemented.name().to_owned(), message });
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn decoded(segment: &str) -> Result<String, Status> {
    percent_decode_str(segment).decode_utf8().map(String::from).map_err(|_| invalid("the path is not UTF-8".to_owned()))
}

fn invalid(what: String) -> Status {
    Status::new(Code::InvalidArgument, what)
}

fn nowhere(path: &str) -> Status {
    let there = [
        "host",
        "services",
        "services/NAME",
        "health",
        "cluster",
        "stats",
        "logs",
        "services/NAME/swap",
        "services/NAME/promote",
        "services/NAME/rollback",
    ]
    .map(|page| format!("{PREFIX}{PATH}{page}"))
    .join(", ");
    Status::new(Code::NotFound, format!("there is no {path}; there are {there}"))
}

/// A status as an answer.
pub(super) fn refusal(status: &Status) -> Response<ApiBody> {
    problem(status.code().http(), Problem { code: status.code().name().to_owned(), message: status.message().to_owned() })
}

fn problem(http: StatusCode, problem: Problem) -> Response<ApiBody> {
    let mut response = json(&problem);
    *response.status_mut() = http;
    response
}

fn json(value: &impl Serialize) -> Response<ApiBody> {
    let mut text = BytesMut::new();
    append(&mut text, value);
    reply(StatusCode::OK, "application/json", Full::new(text.freeze()).boxed_unsync())
}

fn reply(status: StatusCode, content_type: &'static str, body: ApiBody) -> Response<ApiBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Of the moment: a cache on the way must not keep it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
