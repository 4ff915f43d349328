//! What the tests of hosts in trouble share: services that call one another under load, with calls beside it
//! that must not be made twice.

use std::time::Duration;

use bytes::Bytes;
use e2e::host::{Host, Start};
use e2e::http::{Answer, Connection, Version, request};
use e2e::load::Load;
use e2e::metrics::{CALLS, IN_FLIGHT, Metrics};
use e2e::{guests, settings, soon};
use http::Request;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Calls a second. What a slow machine does not bear of them is not made.
pub const RATE: u32 = 1000;

/// Connections that they come by.
pub const CONNECTIONS: usize = 4;

/// The service that calls, which is asked to add.
pub const ADD: &str = "test.front.Front/Add";

/// How long the slow calls take: longer than the trouble that they are to see.
const SLOW: u32 = 12_000;

/// How long each try may take where hosts do not answer: longer than any takes that is answered, also on a slow
/// machine.
const TRY: Duration = Duration::from_secs(2);

/// Settings of the host that calls, by which tries have that limit.
pub const TRIES: &str = "[calls]\ntry-timeout = \"2s\"\n";

/// The longest that a call may take then, if each host that does not answer is tried once and the rest is a slow
/// machine's.
pub const LONGEST: Duration = TRY.saturating_mul(2).saturating_add(Duration::from_secs(2));

/// The service that is called. It has one instance, which counts all of its calls; adding is said to be free
/// of side effects, so that it may be tried again.
pub fn back(more: &str) -> Start {
    let rest = "safe = [\"test.back.Back/Add\"]\n[service.back.limits]\ninstances = 1\nconcurrency = 1000";
    Start::settings(&format!("{}{more}", settings::service("back", &guests::guest("back"), rest)))
}

/// The service that calls it.
pub fn front(more: &str) -> Start {
    let rest = "grants = { calls = [\"test.back.Back\"], late = [\"test.back.Back\"] }";
    Start::settings(&format!("{}{more}", settings::service("front", &guests::guest("front"), rest)))
}

/// A connection to a host.
pub async fn open(host: &Host) -> Connection {
    Connection::open(host.address, Version::Two).await.expect("HTTP is spoken")
}

/// A host that is called, which makes itself known to the one that calls.
pub async fn another(cluster: &str, front: &Host, called: &str) -> Callee<Host> {
    let host = back(called).among(cluster).arg("--peer").arg(front.url()).ready().await;
    let connection = open(&host).await;
    Callee::new(host, connection)
}

/// A host that calls and three that are called, with these settings beside their services.
pub async fn three(cluster: &str, calls: &str, called: &str) -> (Host, Vec<Callee<Host>>) {
    let front = front(calls).among(cluster).ready().await;
    let mut backs = Vec::new();
    for _ in 0..3 {
        backs.push(another(cluster, &front, called).await);
    }
    known(&front).await;
    (front, backs)
}

/// Whether a host knows of one to call.
pub async fn knows(front: &Host) -> bool {
    let services = front.admin(["services", "--json"]).run().await.json();
    services.as_array().expect("a list").iter().any(|service| service["name"] == "back")
}

/// Waits until it does.
pub async fn known(front: &Host) {
    soon("a host that is known", async { while !knows(front).await {} }).await;
}

/// The load on a host.
pub async fn load(front: &Host) -> Load {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(open(front).await);
    }
    Load::begin(connections, RATE, add())
}

/// A call in JSON. Nobody asks for whom it is.
pub fn call(endpoint: &str, body: &Value) -> Request<Bytes> {
    let address = ([127, 0, 0, 1], 80).into();
    let mut request = request("POST", address, &format!("/{endpoint}"), body.to_string());
    request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    request
}

/// The call that the load is made of.
pub fn add() -> Request<Bytes> {
    call(ADD, &json!({"a": 1, "b": 2}))
}

/// A host that is called, by a connection that the load is not on.
pub struct Callee<H> {
    pub host: H,
    connection: Connection,
}

impl<H> Callee<H> {
    pub fn new(host: H, connection: Connection) -> Callee<H> {
        Callee { host, connection }
    }

    async fn send(&mut self, request: Request<Bytes>) -> Answer {
        let answer = soon("an answer", self.connection.send(request)).await.expect("a host that is asked is there");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    async fn metrics(&mut self) -> Metrics {
        let address = ([127, 0, 0, 1], 80).into();
        Metrics { text: self.send(request("GET", address, "/_microhost/metrics", "")).await.text() }
    }

    /// How often it has added.
    pub async fn added(&mut self) -> f64 {
        self.metrics().await.sum(CALLS, &[("service", "test.back.Back"), ("endpoint", "Add")])
    }

    /// Waits until it has added so many times more.
    pub async fn serves(&mut self, more: f64) {
        let until = self.added().await + more;
        soon("calls of a host that is well", async { while self.added().await < until {} }).await;
    }

    /// The slow calls that it has.
    pub async fn sleeping(&mut self) -> u64 {
        self.metrics().await.sum(IN_FLIGHT, &[("endpoint", "Sleep")]) as u64
    }

    /// The slow calls that have ended there, however they did.
    pub async fn slept_ever(&mut self) -> u64 {
        self.metrics().await.sum(CALLS, &[("endpoint", "Sleep")]) as u64
    }

    /// Whether it has a stream of this method that is open.
    pub async fn streams(&mut self, method: &str) -> bool {
        self.metrics().await.sum(IN_FLIGHT, &[("endpoint", method)]) > 0.0
    }

    /// The slow calls that its handler has begun, by its own count; it can be asked when all have ended, as
    /// this function wants the instance for itself.
    pub async fn slept(&mut self) -> u64 {
        let slept = self.send(call("test.back.Back/Slept", &json!({}))).await.json();
        slept["value"]["f0"].as_u64().unwrap_or_else(|| panic!("no count: {slept}"))
    }
}

/// Waits until each of them has added so many times more.
pub async fn all_serve<H>(callees: &mut [Callee<H>], more: f64) {
    for callee in callees {
        callee.serves(more).await;
    }
}

/// Slow calls that are not idempotent, under way in all hosts.
pub struct Slow {
    _connection: Connection,
    calls: Vec<JoinHandle<Answer>>,
    /// How many each host has, in their order.
    pub of: Vec<u64>,
}

impl Slow {
    /// Begins calls until each of these has one, and all of them have come to their handlers.
    pub async fn begin<H>(mut connection: Connection, callees: &mut [Callee<H>]) -> Slow {
        let mut calls = Vec::new();
        let request = call("test.front.Front/Sleep", &json!({"ms": SLOW}));
        let of = soon("slow calls in each host", async {
            loop {
                for _ in 0..callees.len() {
                    let answer = connection.begin(request.clone()).await.expect("the host that calls stays");
                    calls.push(tokio::spawn(async { answer.await.expect("the host that calls stays") }));
                }
                let mut of = vec![0; callees.len()];
                while of.iter().sum::<u64>() < calls.len() as u64 {
                    for (callee, of) in callees.iter_mut().zip(&mut of) {
                        *of = callee.sleeping().await;
                    }
                }
                if of.iter().all(|of| *of > 0) {
                    return of;
                }
            }
        });
        let of = of.await;
        Slow { _connection: connection, calls, of }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.calls.len() as u64
    }

    /// Waits for all of them: how many succeeded. The others have to tell that they are lost.
    pub async fn succeeded(self) -> u64 {
        let mut succeeded = 0;
        for answer in self.calls {
            let answer = soon("the end of a slow call", answer).await.expect("an answer");
            match answer.status.as_u16() {
                200 => succeeded += 1,
                503 => {}
                _ => panic!("a call that is lost is unavailable: {} {}", answer.status, answer.text()),
            }
        }
        succeeded
    }
}
