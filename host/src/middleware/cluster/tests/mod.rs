//! A cluster whose other hosts are the test's: each answers as it is told, on a clock that stands still
//! until everybody waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, pending};
use futures::{StreamExt, stream};
use http::HeaderMap;
use tokio::time::{sleep, timeout_at};

use super::{Cluster, Parts, Reach, now};
use crate::registry::{Address, Change, Changes, Interface, Kind, Method, Node, Registry, RegistryError, Service, USUAL_WEIGHT, View};
use crate::rpc::{
    CallFuture, Caller, Channel, Codec, Endpoint, Event, Form, Handler, MethodKind, OpenFuture, Payload, Reply, Request, Router, Served,
    StreamReply, StreamRequest, wrong_kind,
};
use crate::settings::Calls;
use crate::stats::CalleesStats;
use crate::status::{Code, Status};

mod calls;
mod found;
mod streams;

/// How another host answers.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// After so many milliseconds, with its own id.
    Answers(u64),
    /// By breaking off, after so many milliseconds: the handler may have seen the call.
    Breaks(u64),
    /// Not at all: packets are dropped.
    Hangs,
    /// With a connection that nobody takes.
    Refuses,
    /// By shedding the call.
    Sheds,
    /// With an error of its own.
    Fails(Code),
}

/// Another host, which counts what reaches its handler.
struct Host {
    id: String,
    does: Mutex<Does>,
    /// Calls that came to it.
    came: AtomicUsize,
    /// Calls that its handler saw.
    seen: AtomicUsize,
    /// Calls that it answered.
    answered: AtomicUsize,
    /// Those whose caller went before.
    dropped: AtomicUsize,
}

/// Counts a call whose caller goes.
struct UnderWay(Arc<Host>, bool);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let counter = if self.1 { &self.0.answered } else { &self.0.dropped };
        counter.fetch_add(1, Relaxed);
    }
}

impl Host {
    fn does(&self, does: Does) {
        *self.does.lock().expect("no holder panics") = does;
    }

    fn counts(&self) -> [usize; 4] {
        [&self.came, &self.seen, &self.answered, &self.dropped].map(|count| count.load(Relaxed))
    }

    /// Keeps to the deadline, as every channel does.
    async fn answer(self: Arc<Host>, deadline: Option<Instant>) -> Result<Payload, Status> {
        let Some(deadline) = deadline else { return self.does_it().await };
        let late = |_| Err(Status::new(Code::DeadlineExceeded, "a test's"));
        timeout_at(deadline.into(), self.does_it()).await.unwrap_or_else(late)
    }

    async fn does_it(self: Arc<Host>) -> Result<Payload, Status> {
        let does = *self.does.lock().expect("no holder panics");
        self.came.fetch_add(1, Relaxed);
        let unseen = |code| Err(Status::new(code, "a test's").unseen());
        match does {
            Does::Refuses => return unseen(Code::Unavailable),
            Does::Sheds => return unseen(Code::ResourceExhausted),
            _ => {}
        }
        self.seen.fetch_add(1, Relaxed);
        let mut under_way = UnderWay(Arc::clone(&self), false);
        let answer = match does {
            Does::Answers(after) => {
                sleep(Duration::from_millis(after)).await;
                Ok(self.id.clone().into())
            }
            Does::Breaks(after) => {
                sleep(Duration::from_millis(after)).await;
                Err(Status::new(Code::Unavailable, "the connection broke"))
            }
            Does::Fails(code) => Err(Status::new(code, "its own")),
            Does::Hangs | Does::Refuses | Does::Sheds => pending().await,
        };
        under_way.1 = true;
        answer
    }
}

/// The channel to a host.
struct To(Arc<Host>);

impl Channel for To {
    fn call(&self, _: &str, request: Request) -> CallFuture {
        let host = Arc::clone(&self.0);
        Box::pin(async move { Ok(Reply { body: host.answer(request.deadline).await?, ..Reply::default() }) })
    }

    fn open(&self, _: &str, request: StreamRequest) -> OpenFuture {
        let host = Arc::clone(&self.0);
        Box::pin(async move {
            let mut messages = request.messages;
            // As a connection does that takes what there is before it knows whether anybody listens.
            let first = messages.next().await;
            let id = host.answer(request.deadline).await?;
            let sent = stream::iter(first).chain(messages).map(|message| Event::Message(message.expect("no failure")));
            let events = stream::iter([Event::Message(id)]).chain(sent).chain(stream::iter([Event::End(Ok(HeaderMap::new()))]));
            Ok(StreamReply { headers: HeaderMap::new(), events: Box::pin(events) })
        })
    }
}

/// Reaches the test's hosts.
#[derive(Default)]
struct Network(HashMap<Address, Arc<Host>>);

impl Reach for Network {
    fn channel(&self, addresses: &[Address]) -> Option<Arc<dyn Channel>> {
        Some(Arc::new(To(Arc::clone(&self.0[addresses.first()?]))))
    }
}

/// Tells all that there is, once.
struct Told(Vec<Node>);

impl Registry for Told {
    fn name(&self) -> &str {
        "the test"
    }

    fn register(&self, _: Arc<Node>, _: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async { Ok(()) })
    }

    fn deregister(&self, _: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async { Ok(()) })
    }

    fn watch(&self) -> Changes {
        let told = self.0.iter().map(|node| Change::Put(Arc::new(node.clone()))).chain([Change::Complete]);
        Box::pin(stream::iter(told.collect::<Vec<_>>()))
    }
}

/// This host's id.
const OWN: &str = "own";

fn address(id: &str) -> Address {
    format!("http://{id}:1").parse().expect("an address")
}

/// A node with one service, which has the method `Get` that is safe and the method `Put` that is not.
fn node(id: &str, service: &str) -> Node {
    let method = |name: &str, safe| Method { name: name.into(), kind: Kind::Unary, fingerprint: None, safe };
    let interface = Interface { name: service.into(), wit: None, methods: vec![method("Get", true), method("Put", false)] };
    let service = Service {
        name: "stock".into(),
        version: None,
        weight: USUAL_WEIGHT,
        ready: true,
        labels: BTreeMap::new(),
        interfaces: vec![interface],
    };
    let (name, zone, labels) = (None, None, BTreeMap::new());
    Node { id: id.into(), name, addresses: vec![address(id)], machine: None, zone, labels, revision: 1, services: vec![service] }
}

/// A host that answers calls of this one's own services.
struct Own(Arc<Host>);

impl Handler for Own {
    fn call(&self, request: Request) -> CallFuture {
        To(Arc::clone(&self.0)).call("", request)
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(wrong_kind())))
    }
}

/// A cluster with its hosts.
struct Shop {
    cluster: Cluster,
    view: Arc<View>,
    router: Arc<Router>,
    hosts: HashMap<String, Arc<Host>>,
    stats: Arc<CalleesStats>,
}

impl Shop {
    /// Hosts that serve `shop.Stock`, all of whom answer at once.
    async fn with(ids: &[&str], settings: &str) -> Shop {
        let nodes = ids.iter().map(|id| node(id, "shop.Stock")).collect();
        Shop::of(nodes, settings).await
    }

    async fn of(nodes: Vec<Node>, settings: &str) -> Shop {
        let settings: Calls = toml::from_str(settings).expect("settings");
        let host = |id: &String| Host {
            id: id.clone(),
            does: Mutex::new(Does::Answers(0)),
            came: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
        };
        let hosts: HashMap<String, Arc<Host>> = nodes.iter().map(|node| (node.id.clone(), Arc::new(host(&node.id)))).collect();
        let network = Network(hosts.values().map(|host| (address(&host.id), Arc::clone(host))).collect());
        let (view, router, stats) = (Arc::new(View::default()), Arc::new(Router::default()), Arc::<CalleesStats>::default());
        view.follow(&Told(nodes)).await;
        let cluster = Cluster::new(Parts {
            router: Arc::clone(&router),
            own: OWN.into(),
            zone: None,
            view: Arc::clone(&view),
            reach: Arc::new(network),
            settings,
            stats: Arc::clone(&stats),
        });
        Shop { cluster, view, router, hosts, stats }
    }

    /// What is told from now on.
    async fn tell(&self, nodes: Vec<Node>) {
        self.view.follow(&Told(nodes)).await;
    }

    /// Serves a method of a service here, too.
    fn serve(&self, service: &str, method: &str, host: &str) {
        let endpoint = Endpoint { service: service.into(), method: method.into(), safe: false, kind: Some(MethodKind::Unary) };
        let handler = Arc::new(Own(Arc::clone(&self.hosts[host])));
        let served = Served { endpoint, handler, stats: Arc::default(), max_request: 1 << 20 };
        self.router.set(host, vec![served]).expect("free");
    }

    fn all_do(&self, does: Does) {
        self.hosts.values().for_each(|host| host.does(does));
    }

    fn sum(&self, of: impl Fn(&Host) -> &AtomicUsize) -> usize {
        self.hosts.values().map(|host| of(host).load(Relaxed)).sum()
    }

    /// Calls a method, and waits for at most so many milliseconds.
    async fn call_within(&self, path: &str, ms: Option<u64>) -> Result<String, Status> {
        let deadline = ms.map(|ms| now() + Duration::from_millis(ms));
        let reply = self.cluster.call(path, request(deadline)).await?;
        Ok(text(reply.body))
    }

    async fn call(&self, method: &str) -> Result<String, Status> {
        self.call_within(&format!("/shop.Stock/{method}"), Some(10_000)).await
    }
}

fn request(deadline: Option<Instant>) -> Request {
    let form = Form::Encoded(Codec::Proto);
    let caller = Caller::default();
    Request { form, body: Payload::default(), headers: HeaderMap::new(), deadline, caller, idempotent: false, plan: None }
}

fn text(payload: Payload) -> String {
    String::from_utf8(payload.bytes().expect("bytes").to_vec()).expect("text")
}
