//! What every call passes on its way from a service, top to bottom as written in [`Client::admit`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use http::{HeaderMap, HeaderName};

use crate::rpc::{Caller, Channel, Event, Events, Form, Messages, Payload, Plan, Reply, Request, StreamReply, StreamRequest};
use crate::settings::CallGrant;
use crate::status::{Code, Status};

/// Calls that may lead to one another, the first one from outside not counted. A circle of calls that
/// nobody ends is over here, while it holds few instances.
pub const MAX_DEPTH: u32 = 32;

/// What belongs to the trace of a call, and is passed on by the host alone (W3C "Trace Context" and
/// "Baggage").
const TRACE: [HeaderName; 3] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate"), HeaderName::from_static("baggage")];

/// The call that a service serves while it calls another one.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// When its own caller stops waiting.
    pub deadline: Instant,
    /// How many calls of services led to it.
    pub depth: u32,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// What a service sends with a call.
pub struct Outgoing {
    /// `/example.greeter.Greet/Hello`
    pub path: Arc<str>,
    /// How messages are written, both ways.
    pub form: Form,
    /// Metadata of the service's own.
    pub metadata: HeaderMap,
    /// How long the service waits; at most as long as its own caller.
    pub timeout: Option<Duration>,
    /// A second call does no more than the first; see [`Request::idempotent`].
    pub idempotent: bool,
    /// How values are written; see [`Request::plan`].
    pub plan: Option<Arc<dyn Plan>>,
}

/// Calls other services on behalf of one.
pub struct Client {
    service: Arc<str>,
    grants: Box<[CallGrant]>,
    channel: Arc<dyn Channel>,
    /// Calls under way.
    under_way: Arc<AtomicUsize>,
    most: usize,
}

/// What is the same for calls with and without streams.
struct Admitted {
    headers: HeaderMap,
    deadline: Option<Instant>,
    caller: Caller,
    place: Place,
}

/// One of the calls that a service may have under way; free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What comes of a call. Dropping it cancels the call.
pub struct Calling<T> {
    answer: Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>,
    place: Option<Place>,
}

impl<T> Calling<T> {
    /// A call that has failed before it was made.
    pub fn failed(status: Status) -> Calling<T>
    where
        T: Send + 'static,
    {
        Calling { answer: Box::pin(std::future::ready(Err(status))), place: None }
    }
}

impl Future for Calling<Reply> {
    type Output = Result<Reply, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx)
    }
}

impl Future for Calling<StreamReply> {
    type Output = Result<StreamReply, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = std::task::ready!(self.answer.as_mut().poll(cx));
        Poll::Ready(reply.map(|StreamReply { headers, events }| {
            let events = Box::pin(Placed { events, _place: self.place.take() });
            StreamReply { headers, events }
        }))
    }
}

/// The events of a reply, whose call is under way until they are dropped.
struct Placed {
    events: Events,
    _place: Option<Place>,
}

impl Stream for Placed {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl Client {
    /// The client of a service with this name in the settings, which may call what is granted, `most`
    /// calls at once.
    pub fn new(service: Arc<str>, grants: &[CallGrant], most: usize, channel: Arc<dyn Channel>) -> Client {
        Client { service, grants: grants.into(), channel, under_way: Arc::default(), most }
    }

    /// Calls a unary method; `origin` is the call that is being served, if one is.
    ///
    /// Fails with `permission_denied` where nothing grants the call, with `resource_exhausted` where too
    /// many calls led to it or are under way, with `deadline_exceeded` where it is too late for it; else as
    /// [`Channel::call`] does.
    pub fn call(&self, origin: Option<Origin<'_>>, outgoing: Outgoing, body: Payload) -> Calling<Reply> {
        let Outgoing { path, form, metadata, timeout, idempotent, plan } = outgoing;
        match self.admit(origin, &path, metadata, timeout) {
            Ok(Admitted { headers, deadline, caller, place }) => {
                let answer = self.channel.call(&path, Request { form, body, headers, deadline, caller, idempotent, plan });
                Calling { answer, place: Some(place) }
            }
            Err(status) => Calling::failed(status),
        }
    }

    /// Calls a method with streams. Fails as [`Client::call`] does.
    pub fn open(&self, origin: Option<Origin<'_>>, outgoing: Outgoing, messages: Messages) -> Calling<StreamReply> {
        let Outgoing { path, form, metadata, timeout, idempotent, plan } = outgoing;
        match self.admit(origin, &path, metadata, timeout) {
            Ok(Admitted { headers, deadline, caller, place }) => {
                let answer = self.channel.open(&path, StreamRequest { form, headers, deadline, caller, idempotent, plan, messages });
                Calling { answer, place: Some(place) }
            }
            Err(status) => Calling::failed(status),
        }
    }

    fn admit(&self, origin: Option<Origin<'_>>, path: &str, metadata: HeaderMap, timeout: Option<Duration>) -> Result<Admitted, Status> {
        self.granted(path)?;
        let depth = origin.map_or(0, |origin| origin.depth) + 1;
        if depth > MAX_DEPTH {
            return Err(Status::new(Code::ResourceExhausted, format!("more than {MAX_DEPTH} calls of services led to this one")));
        }
        let now = Instant::now();
        let own = timeout.and_then(|timeout| now.checked_add(timeout));
        let deadline = origin.map(|origin| origin.deadline).into_iter().chain(own).min();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Status::new(Code::DeadlineExceeded, "there is no time left for the call"));
        }
        let place = self.place()?;
        let mut headers = metadata;
        for name in &TRACE {
            // Whatever the service said itself: it is not the service's to say.
            headers.remove(name);
            for value in origin.iter().flat_map(|origin| origin.headers.get_all(name)) {
                headers.append(name, value.clone());
            }
        }
        Ok(Admitted { headers, deadline, caller: Caller { peer: None, service: Some(Arc::clone(&self.service)), depth }, place })
    }

    fn place(&self) -> Result<Place, Status> {
        // Taken before it is known to be free; it is given back where it is not.
        let place = Place(Arc::clone(&self.under_way));
        if self.under_way.fetch_add(1, Relaxed) >= self.most {
            let (name, most) = (&self.service, self.most);
            let why = format!("{name} has {most} calls of services under way, its limit outgoing-calls; try again later");
            return Err(Status::new(Code::ResourceExhausted, why));
        }
        Ok(place)
    }

    fn granted(&self, path: &str) -> Result<(), Status> {
        let (service, method) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or((path, ""));
        if self.grants.iter().any(|grant| grant.covers(service, method)) {
            return Ok(());
        }
        let name = &self.service;
        Err(Status::new(
            Code::PermissionDenied,
            format!(
                "{name} may not call {service}/{method}: grant it with calls = [\"{service}\"] under [service.{name}.grants], or --allow-call {service}"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::rpc::{CallFuture, OpenFuture, wrong_kind};
    use crate::schema::Codec;

    /// Keeps what it was asked.
    #[derive(Default)]
    struct Asked(Mutex<Vec<Request>>);

    impl Channel for Asked {
        fn call(&self, _: &str, request: Request) -> CallFuture {
            self.0.lock().expect("no holder panics").push(request);
            Box::pin(std::future::ready(Ok(Reply::default())))
        }

        fn open(&self, _: &str, _: StreamRequest) -> OpenFuture {
            Box::pin(std::future::ready(Err(wrong_kind())))
        }
    }

    async fn call(origin: Option<Origin<'_>>, path: &str, metadata: HeaderMap) -> Result<Request, Status> {
        let asked = Arc::new(Asked::default());
        let client = Client::new("orders".into(), &["shop.Stock".parse().expect("a grant")], 1, asked.clone());
        let timeout = Some(Duration::from_secs(3600));
        let outgoing = Outgoing { path: path.into(), form: Form::Encoded(Codec::Proto), metadata, timeout, idempotent: false, plan: None };
        client.call(origin, outgoing, Payload::default()).await?;
        let request = asked.0.lock().expect("no holder panics").pop();
        Ok(request.expect("one call came"))
    }

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value))).collect()
    }

    #[tokio::test]
    async fn what_nobody_granted_is_refused_with_what_to_write() {
        let status = call(None, "/shop.Payments/Charge", HeaderMap::new()).await.expect_err("not granted");
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("calls = [\"shop.Payments\"] under [service.orders.grants]"), "{}", status.message());
    }

    #[tokio::test]
    async fn a_call_says_whose_it_is_and_ends_with_the_one_it_came_from() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let of = headers(&[("traceparent", "00-1"), ("x-a", "b")]);
        let origin = Origin { deadline, depth: 2, headers: &of };
        let request = call(Some(origin), "/shop.Stock/Take", headers(&[("x-own", "c"), ("traceparent", "forged")])).await.expect("granted");
        assert_eq!(request.deadline, Some(deadline));
        assert_eq!(request.caller, Caller { peer: None, service: Some("orders".into()), depth: 3 });
        assert_eq!(request.headers, headers(&[("x-own", "c"), ("traceparent", "00-1")]));
    }

    #[tokio::test]
    async fn a_circle_of_calls_ends() {
        let of = HeaderMap::new();
        let origin = Origin { deadline: Instant::now() + Duration::from_secs(5), depth: MAX_DEPTH, headers: &of };
        assert_eq!(call(Some(origin), "/shop.Stock/Take", HeaderMap::new()).await.expect_err("too deep").code(), Code::ResourceExhausted);
    }
    #[tokio::test]
    async fn more_calls_than_the_limit_are_refused_until_one_ends() {
        let client = Client::new("orders".into(), &["*".parse().expect("a grant")], 1, Arc::new(Asked::default()));
        let call = || {
            let (path, form) = ("/shop.Stock/Take".into(), Form::Encoded(Codec::Proto));
            let outgoing = Outgoing { path, form, metadata: HeaderMap::new(), timeout: None, idempotent: false, plan: None };
            client.call(None, outgoing, Payload::default())
        };
        let first = call();
        let status = call().await.expect_err("one is under way");
        assert_eq!((status.code(), status.message().contains("outgoing-calls")), (Code::ResourceExhausted, true));
        first.await.expect("there is a place");
        call().await.expect("it is free again");
    }
}
