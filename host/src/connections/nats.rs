//! A NATS client that says how it is: who uses it knows at once when the connection is lost, why, and when
//! it is another one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use async_nats::{Client, ClientError, ConnectOptions, Event};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, watch};

use super::servers::{Login, Servers};

/// How long one server may take to let us in, before the next one is tried.
const CONNECT: Duration = Duration::from_secs(3);

/// How often a silent server is asked whether it is there; after two answers that did not come, the
/// connection is given up.
const PING: Duration = Duration::from_secs(2);

/// The longest pause between attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nobody has needed it yet, or it is being made for the first time.
    New,
    /// It is there; the how many-th one it is. Subscriptions that live in the server's memory are lost
    /// with the one before.
    Up(u64),
    /// It is lost or was never made, for this reason. It is tried again all the time.
    Down(String),
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotConnected(String);

/// A client of some servers, opened when it is first used.
#[derive(Debug)]
pub struct Nats {
    servers: Servers,
    runtime: Handle,
    client: OnceCell<Client>,
    link: Arc<State>,
}

#[derive(Debug)]
struct State {
    name: String,
    link: watch::Sender<Link>,
    /// Connections made so far.
    made: AtomicU64,
    heard: Mutex<Heard>,
}

/// What was heard last of what went wrong.
#[derive(Debug, Default)]
struct Heard {
    /// Why an attempt to connect failed, in a word.
    attempt: Option<String>,
    /// What the server has complained of.
    complaint: Option<String>,
}

impl Nats {
    pub(super) fn new(servers: Servers, runtime: Handle) -> Nats {
        let link = Arc::new(State {
            name: servers.to_string(),
            link: watch::Sender::new(Link::New),
            made: AtomicU64::new(0),
            heard: Mutex::default(),
        });
        Nats { servers, runtime, client: OnceCell::new(), link }
    }

    /// The servers, for people.
    pub fn name(&self) -> &str {
        &self.link.name
    }

    /// How the connection is, from now on.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.link.subscribe()
    }

    /// The client, and the how many-th connection it has. Waits only while the first attempt is being
    /// made: one that is known to have failed is told at once. What is sent over a client without a
    /// connection is kept until there is one again, so ask before each use.
    pub async fn connected(&self) -> Result<(&Client, u64), NotConnected> {
        let client = self.client.get_or_try_init(|| self.open()).await?;
        let mut link = self.link();
        let now = link.wait_for(|link| *link != Link::New).await.expect("the sender is ours").clone();
        match now {
            Link::Up(number) => Ok((client, number)),
            Link::Down(why) => Err(NotConnected(why)),
            Link::New => unreachable!("just waited for another one"),
        }
    }

    async fn open(&self) -> Result<Client, NotConnected> {
        let events = Arc::downgrade(&self.link);
        let attempts = Arc::downgrade(&self.link);
        let options = ConnectOptions::new()
            .name("microhost")
            .retry_on_initial_connect()
            .connection_timeout(CONNECT)
            .ping_interval(PING)
            .reconnect_delay_callback(pause)
            .event_callback(move |event| {
                if let Some(state) = events.upgrade() {
                    state.hear(&event);
                }
                std::future::ready(())
            })
            .reconnect_to_server_callback(move |servers, _| {
                let attempts = attempts.clone();
                async move {
                    attempted(&attempts, &servers).await;
                    None
                }
            });
        let options = match self.servers.login() {
            Some(Login::Password(user, password)) => options.user_and_password(user.clone(), password.clone()),
            Some(Login::Token(token)) => options.token(token.clone()),
            None => options,
        };
        let addresses = self.servers.addresses().to_vec();
        let opening = self.runtime.spawn(async move { options.connect(addresses).await });
        match opening.await {
            Ok(opened) => opened.map_err(|error| NotConnected(error.to_string())),
            Err(_) => Err(NotConnected("this host is stopping".to_owned())),
        }
    }
}

/// Called before each attempt, with what came of the ones before.
async fn attempted(state: &Weak<State>, servers: &[async_nats::Server]) {
    let Some(state) = state.upgrade() else {
        // The client would try for ever, and nobody needs it any more.
        return std::future::pending().await;
    };
    let failed: Vec<(&str, &str)> =
        servers.iter().filter_map(|server| Some((server.addr.as_url_str(), server.last_error.as_deref()?))).collect();
    let why = match failed.as_slice() {
        // A name that leads nowhere is no failure of the server that has it.
        [] => match state.heard().attempt.clone() {
            Some(why) => why,
            None => return,
        },
        [(_, why)] if servers.len() == 1 => (*why).to_owned(),
        several => several.iter().map(|(server, why)| format!("{server}: {why}")).collect::<Vec<_>>().join("; "),
    };
    state.link.send_if_modified(|link| match link {
        Link::Up(_) => false,
        _ => set(link, Link::Down(why)),
    });
}

fn set(link: &mut Link, to: Link) -> bool {
    let changed = *link != to;
    *link = to;
    changed
}

impl State {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("no holder panics")
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.link.send_replace(Link::Up(self.made.fetch_add(1, Ordering::Relaxed) + 1));
            }
            Event::Disconnected | Event::Closed => {
                self.link.send_if_modified(|link| match link {
                    Link::Up(_) => set(link, Link::Down("the connection broke".to_owned())),
                    _ => false,
                });
            }
            // Who has asked for what he may not have hears only that no answer came.
            Event::ServerError(error) => {
                let complaint = error.to_string();
                let mut heard = self.heard();
                if heard.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!(server = self.name, "{complaint}");
                    heard.complaint = Some(complaint);
                }
            }
            Event::ClientError(ClientError::Other(why)) => self.heard().attempt = Some(why.clone()),
            Event::ClientError(_) | Event::SlowConsumer(_) | Event::LameDuckMode | Event::Draining => {
                tracing::debug!(server = self.name, "{event}")
            }
        }
    }
}

/// The pause before an attempt: none before the first, then ever longer, and never the same for all the
/// clients that have lost the same server.
fn pause(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let longest = MAX_PAUSE.min(Duration::from_millis(20) * 2u32.saturating_pow(u32::try_from(attempts - 2).unwrap_or(u32::MAX)));
    let chance = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_differ() {
        assert_eq!(pause(1), Duration::ZERO);
        assert!(pause(2) <= Duration::from_millis(20));
        for attempts in [20, 1000, usize::MAX] {
            assert!((MAX_PAUSE / 2..=MAX_PAUSE).contains(&pause(attempts)), "{attempts}");
        }
        assert!((0..10).any(|_| pause(20) != pause(20)));
    }

    /// Why a server cannot be reached.
    async fn why_not(url: &str) -> String {
        let nats = Nats::new(url.parse().expect("a URL"), Handle::current());
        e2e::soon("why not", nats.connected()).await.expect_err("nobody is there").to_string()
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_with_the_reason() {
        let address = format!("127.0.0.1:{}", e2e::free_port());
        let error = why_not(&format!("nats://ann:cret@{address}")).await;
        assert!(error.contains("refused") && !error.contains("cret"), "{error}");
        // A name that is nobody's, wherever names are looked up.
        let error = why_not("nats://ann:cret@nobody.invalid").await;
        assert!(error.contains("DNS") && !error.contains("cret"), "{error}");
    }

    #[tokio::test]
    async fn a_client_that_nobody_holds_tries_no_more() {
        let state =
            Arc::new(State { name: String::new(), link: watch::Sender::new(Link::New), made: AtomicU64::new(0), heard: Mutex::default() });
        let weak = Arc::downgrade(&state);
        attempted(&weak, &[]).await;
        drop(state);
        assert_eq!(futures::FutureExt::now_or_never(attempted(&weak, &[])), None);
    }
}
