//! The page on which this host tells others of itself, as [`registry::fetch`](crate::registry::fetch)
//! asks for it. It answers when there is something new, so that others hear of changes at once.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::ETAG;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};
use url::form_urlencoded;

use super::{ApiBody, Overview, Phase, problem, reply};
use crate::registry::fetch::{MAX_WAIT, Seen};
use crate::registry::{Node, Others, Peers};

/// The page's path behind [`PREFIX`](super::PREFIX).
pub(super) const PATH: &str = "node";

/// Hosts that may wait for something new at once. Further ones are answered without waiting, and come
/// back later.
pub(super) const MAX_WAITING: usize = 4096;

/// What the page has beside the node that it tells.
pub(super) struct Page {
    /// Who hears of those that ask.
    peers: OnceLock<Arc<Peers>>,
    waiting: Semaphore,
    /// What was told last, as it was written.
    written: Mutex<Option<(Told, Bytes)>>,
}

impl Default for Page {
    fn default() -> Page {
        Page { peers: OnceLock::new(), waiting: Semaphore::new(MAX_WAITING), written: Mutex::default() }
    }
}

/// What is told: this host, and those that it knows. They are equal if they are the very same.
#[derive(Clone)]
struct Told {
    node: Arc<Node>,
    others: Option<Arc<Others>>,
}

/// The same as its JSON says it.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    node: &'a Node,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<&'a Others>,
}

impl Told {
    fn is(&self, other: &Told) -> bool {
        let same = match (&self.others, &other.others) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same && Arc::ptr_eq(&self.node, &other.node)
    }
}

/// What one who asks knows already, and how long it waits.
#[derive(Debug, Default, PartialEq)]
struct Question {
    after: Option<Seen>,
    /// The revision of those whom this host knows; none where the one who asks does not ask for them.
    others: Option<u64>,
    wait: Duration,
}

impl Question {
    /// Reads what follows the path. What it does not know it leaves alone: a newer host may ask for more.
    fn of(head: &Parts) -> Result<Question, String> {
        let (mut id, mut after, mut others, mut wait) = (None, None, None, Duration::ZERO);
        for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "id" => id = Some(value.into_owned()),
                "after" => after = Some(value.parse().map_err(|_| format!("after={value:?} is no revision"))?),
                "peers" => others = Some(value.parse().map_err(|_| format!("peers={value:?} is no revision"))?),
                "wait" => wait = seconds(&value).ok_or_else(|| format!("wait={value:?} is no number of seconds"))?,
                _ => {}
            }
        }
        // Without an id, the revision is taken for that of this host.
        let after = after.map(|revision| Seen { id: id.unwrap_or_default(), revision });
        Ok(Question { after, others, wait: wait.min(MAX_WAIT) })
    }

    /// Whether that is nothing new.
    fn knows(&self, Told { node, others }: &Told) -> bool {
        let known = |others: &Arc<Others>| self.others.is_none_or(|known| known == others.revision);
        others.as_ref().is_none_or(known)
            && self.after.as_ref().is_some_and(|seen| (seen.id.is_empty() || seen.id == node.id) && node.revision <= seen.revision)
    }
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

impl Overview {
    /// From now on, those who ask for this host's page are made known to `peers`, and its goodbye is told
    /// on the page.
    pub fn meet(&self, peers: Arc<Peers>) {
        // It begins once.
        self.page.peers.get_or_init(|| peers);
    }
}

/// Answers a request for the page.
pub(super) async fn answer(overview: &Overview, head: &Parts) -> Response<ApiBody> {
    let page = &overview.page;
    let Some(node) = overview.node() else {
        return problem(StatusCode::NOT_FOUND, "this host tells others nothing of itself: it is starting, or takes part in no cluster");
    };
    let question = match Question::of(head) {
        Ok(question) => question,
        Err(what) => return problem(StatusCode::BAD_REQUEST, &what),
    };
    let peers = page.peers.get();
    if let Some(Err(stranger)) = peers.map(|peers| peers.asked(&head.headers)) {
        return problem(StatusCode::FORBIDDEN, &stranger.to_string());
    }
    let (mut node, mut health) = (node.clone(), overview.health.watch());
    let mut standing = peers.map_or_else(|| watch::Sender::default().subscribe(), |peers| peers.standing());
    let mut others = peers.map(|peers| peers.others());
    let place = page.waiting.try_acquire();
    let mut end = std::pin::pin!(sleep(if place.is_ok() { question.wait } else { Duration::ZERO }));
    loop {
        let now = *standing.borrow_and_update();
        if now.left || health.borrow_and_update().phase == Phase::Draining {
            return leaving();
        }
        if now.until.is_some_and(|until| until <= Instant::now()) {
            let what = "this host is not well, and does not renew its lease; its log tells why";
            return problem(StatusCode::SERVICE_UNAVAILABLE, what);
        }
        let told = Told {
            node: Arc::clone(&node.borrow_and_update()),
            others: others.as_mut().map(|others| Arc::clone(&others.borrow_and_update())),
        };
        if !question.knows(&told) {
            return page.tell(told);
        }
        tokio::select! {
            changed = node.changed() => if changed.is_err() { return leaving() },
            // They fail where nothing changes any more.
            Ok(()) = health.changed() => {}
            Ok(()) = standing.changed() => {}
            Ok(()) = changed(&mut others) => {}
            () = &mut end => return tagged(reply(StatusCode::NOT_MODIFIED, "application/json", Bytes::new()), &told.node),
        }
    }
}

/// The next change; none where there is nothing that changes.
async fn changed<T>(watched: &mut Option<watch::Receiver<T>>) -> Result<(), watch::error::RecvError> {
    match watched {
        Some(watched) => watched.changed().await,
        None => std::future::pending().await,
    }
}

fn leaving() -> Response<ApiBody> {
    problem(StatusCode::GONE, "this host is leaving")
}

fn tagged(mut response: Response<ApiBody>, node: &Node) -> Response<ApiBody> {
    let tag = HeaderValue::try_from(format!("\"{}\"", node.revision)).expect("a number in quotes");
    response.headers_mut().insert(ETAG, tag);
    response
}

impl Page {
    fn tell(&self, told: Told) -> Response<ApiBody> {
        let mut written = self.written.lock().expect("no holder panics");
        let bytes = match written.as_ref() {
            Some((last, bytes)) if last.is(&told) => bytes.clone(),
            _ => {
                let page = Written { node: &told.node, peers: told.others.as_deref() };
                let bytes = Bytes::from(serde_json::to_vec(&page).expect("a page is JSON: its keys are text"));
                *written = Some((told.clone(), bytes.clone()));
                bytes
            }
        };
        tagged(reply(StatusCode::OK, "application/json", bytes), &told.node)
    }
}
