//! Asks a host what it tells of itself: its page is the whole truth about it, however it was heard of.
//!
//! The page answers when there is something new or a while has passed, so that changes are heard at once
//! and each answer is a sign of life. docs/cluster.md describes it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use http::header::{ACCEPT, HOST};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};

use super::dial::dial;
use super::{Address, MAX_NODE, Node, Others, PATIENCE, RegistryError};

/// The page on which a host tells of itself.
pub const PATH: &str = "/_microhost/node";

/// By this header a host that asks says who it is and where it can be asked: `ID URL`.
pub const PEER: HeaderName = HeaderName::from_static("microhost-peer");

/// By this header a host that asks says to which cluster it belongs.
pub const CLUSTER: HeaderName = HeaderName::from_static("microhost-cluster");

/// The longest that the page waits for something new.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// Bytes of an id at most.
pub const MAX_ID: usize = 128;

/// How long the body of an answer may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Bytes of an answer that refuses.
const MAX_REFUSAL: usize = 4 << 10;

/// From one question to the next, whatever is answered.
const PACE: Duration = Duration::from_millis(50);

/// The first pause after a host was not reached; each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What a host answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What it tells of itself.
    Node(Arc<Node>),
    /// It is there, and tells what it told before.
    Unchanged,
    /// It says goodbye.
    Leaving,
}

/// An answer, and what came with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What the host tells of itself.
    pub answer: Answer,
    /// Whom else it knows, where it says so.
    pub others: Option<Others>,
}

/// What is known of a host already: its id and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The node's id. Another one tells at once.
    pub id: String,
    /// The node's revision. Only a higher one tells.
    pub revision: u64,
}

/// Asks a host once. With `after`, it answers when it has something newer to tell, or after `wait`, which
/// is [`MAX_WAIT`] at most.
pub async fn once(address: &Address, after: Option<&Seen>, wait: Duration) -> Result<Answer, RegistryError> {
    let mut connection = Connection::open(address, None).await?;
    connection.ask(address, Known { node: after, others: None }, wait, HeaderMap::new()).await.map(|told| told.answer)
}

/// Asks a host again and again: a stream of what it answers, each of which is a sign of life, and of why
/// it could not be reached. `wait` is how long the host may be silent; `headers` is what each request
/// carries. The stream has no end.
pub fn follow<H>(address: Address, wait: Duration, headers: H) -> impl Stream<Item = Result<Told, RegistryError>> + Send
where
    H: Fn() -> HeaderMap + Send + 'static,
{
    follow_by(None, address, wait, headers)
}

fn follow_by<H>(
    tls: Option<Arc<ClientConfig>>,
    address: Address,
    wait: Duration,
    headers: H,
) -> impl Stream<Item = Result<Told, RegistryError>> + Send
where
    H: Fn() -> HeaderMap + Send + 'static,
{
    let following =
        Following { address, wait, headers, tls, connection: None, seen: None, others: None, next: Instant::now(), pause: FIRST_PAUSE };
    stream::unfold(following, |mut following| async move { Some((following.next().await, following)) })
}

/// What need not be told again.
#[derive(Clone, Copy)]
struct Known<'a> {
    node: Option<&'a Seen>,
    others: Option<u64>,
}

struct Following<H> {
    address: Address,
    wait: Duration,
    headers: H,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    seen: Option<Seen>,
    /// The revision of those whom the host knows.
    others: Option<u64>,
    /// When the host may be asked again.
    next: Instant,
    /// How long to wait if it is not reached.
    pause: Duration,
}

impl<H: Fn() -> HeaderMap> Following<H> {
    async fn next(&mut self) -> Result<Told, RegistryError> {
        sleep_until(self.next).await;
        let asked = Instant::now();
        let told = self.ask().await;
        let answer = told.as_ref().map(|told| &told.answer);
        self.next = match &answer {
            Ok(Answer::Node(node)) => {
                self.seen = Some(Seen { id: node.id.clone(), revision: node.revision });
                self.others = told.as_ref().ok().and_then(|told| told.others.as_ref()).map(|others| others.revision);
                asked + PACE
            }
            // A host with too many who wait does not make them wait.
            Ok(Answer::Unchanged) => asked + self.wait.max(PACE),
            Ok(Answer::Leaving) | Err(_) => {
                self.connection = None;
                // All of it is told again when the host is back.
                self.seen = None;
                let pause = self.pause;
                self.pause = (pause * 2).min(LAST_PAUSE);
                Instant::now() + jittered(pause)
            }
        };
        if matches!(answer, Ok(Answer::Node(_) | Answer::Unchanged)) {
            self.pause = FIRST_PAUSE;
        }
        told
    }

    async fn ask(&mut self) -> Result<Told, RegistryError> {
        let (after, wait) = (Known { node: self.seen.as_ref(), others: self.others }, self.wait);
        if let Some(connection) = &mut self.connection {
            // The host may have closed it meanwhile, which says nothing of the host.
            if let Ok(answer) = connection.ask(&self.address, after, wait, (self.headers)()).await {
                return Ok(answer);
            }
        }
        let mut connection = Connection::open(&self.address, self.tls.as_ref()).await?;
        let answer = connection.ask(&self.address, after, wait, (self.headers)()).await;
        self.connection = Some(connection);
        answer
    }
}

/// From half to all of a pause, so that hosts which were cut off together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 4];
    // Without randomness they do.
    let _ = getrandom::fill(&mut random);
    pause / 2 + (pause / 2).mul_f64(f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX))
}

/// A connection of HTTP/1.1. It moves only while somebody waits for an answer: no task has to.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Driver,
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    async fn open(address: &Address, tls: Option<&Arc<ClientConfig>>) -> Result<Connection, RegistryError> {
        let opened = async {
            let wire = dial(address, tls).await.map_err(|error| error.to_string())?;
            http1::handshake(TokioIo::new(wire)).await.map_err(|error| error.to_string())
        };
        let opened = timeout(PATIENCE, opened).await.unwrap_or_else(|_| Err(format!("no connection within {PATIENCE:?}")));
        let (sender, connection) = opened.map_err(|why| RegistryError::Unreachable(address.to_string(), why))?;
        let driver = Box::pin(async move {
            // Why it ended is told to whoever waits for an answer.
            let _ = connection.await;
            std::future::pending().await
        });
        Ok(Connection { sender, driver })
    }

    async fn ask(&mut self, address: &Address, after: Known<'_>, wait: Duration, headers: HeaderMap) -> Result<Told, RegistryError> {
        let wait = if after.node.is_some() { wait.min(MAX_WAIT) } else { Duration::ZERO };
        let unreachable = |why: String| RegistryError::Unreachable(address.to_string(), why);
        let Connection { sender, driver } = self;
        let request = request(address, after, wait, headers).map_err(|error| unreachable(error.to_string()))?;
        let sent = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let late = |time: Duration| unreachable(format!("no answer within {time:?}"));
        let patience = wait + PATIENCE;
        let response = along(driver, timeout(patience, sent)).await.map_err(|_| late(patience))?;
        let response = response.map_err(|error| unreachable(because(&error)))?;
        along(driver, timeout(BODY_TIME, read(address, response))).await.map_err(|_| late(BODY_TIME))?
    }
}

/// Drives a connection for as long as work needs it.
async fn along<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        let Poll::Pending = driver.as_mut().poll(cx) else { unreachable!("a driver goes on") };
        work.as_mut().poll(cx)
    })
    .await
}

fn request(address: &Address, after: Known<'_>, wait: Duration, headers: HeaderMap) -> Result<Request<Empty<Bytes>>, http::Error> {
    let path = match after.node {
        None => PATH.to_owned(),
        Some(Seen { id, revision }) => {
            let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
            let others = after.others.map(|revision| format!("&peers={revision}")).unwrap_or_default();
            format!("{PATH}?id={id}&after={revision}&wait={}{others}", wait.as_secs_f64())
        }
    };
    let host = match address {
        Address::Tcp { .. } => {
            let url = address.to_string();
            url.split_once("://").map_or(String::new(), |(_, authority)| authority.to_owned())
        }
        Address::Unix(_) | Address::Nats(_) => "localhost".to_owned(),
    };
    let mut request = Request::get(path).header(HOST, host).header(ACCEPT, "application/json").body(Empty::new())?;
    request.headers_mut().extend(headers);
    Ok(request)
}

async fn read(address: &Address, response: Response<Incoming>) -> Result<Told, RegistryError> {
    let refused = |why: String| RegistryError::Refused(address.to_string(), why);
    let status = response.status();
    match status {
        StatusCode::NOT_MODIFIED => return Ok(Told { answer: Answer::Unchanged, others: None }),
        StatusCode::GONE => return Ok(Told { answer: Answer::Leaving, others: None }),
        StatusCode::OK => {}
        _ if status.is_redirection() => return Err(refused(format!("it answers with {status}, and nobody is followed elsewhere"))),
        _ => {
            let body = Limited::new(response.into_body(), MAX_REFUSAL).collect().await.map(|body| body.to_bytes());
            let said = body.ok().and_then(|body| serde_json::from_slice::<Refusal>(&body).ok()).map(|refusal| refusal.error);
            let said = said.map_or("is it a microhost?".to_owned(), |said| said.escape_debug().to_string());
            return Err(refused(format!("it answers with {status}: {said}")));
        }
    }
    let body = match Limited::new(response.into_body(), MAX_NODE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(refused(format!("it tells more than {MAX_NODE} bytes of itself"))),
        Err(error) => return Err(RegistryError::Unreachable(address.to_string(), error.to_string())),
    };
    // The parser has a bound of depth of its own.
    let node: Node = serde_json::from_slice(&body).map_err(|error| refused(format!("it tells no node: {error}")))?;
    if node.id.is_empty() || node.id.len() > MAX_ID {
        return Err(refused(format!("its id has not 1 to {MAX_ID} bytes")));
    }
    // What is no such list is of a host that says more than this one understands.
    let others = serde_json::from_slice::<Beside>(&body).ok().map(|beside| beside.peers);
    Ok(Told { answer: Answer::Node(Arc::new(node)), others })
}

/// What a page tells beside the node.
#[derive(Deserialize)]
struct Beside {
    peers: Others,
}

/// What a page says that refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// An error with its causes: hyper tells the kind first, and the reason below.
fn because(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
