//! The channel to the services of this host: into their server chain, without socket or encoding.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{Opened, open, serve};
use crate::rpc::{
    CallFuture, Channel, Event, Events, Form, MethodKind, OpenFuture, Payload, Request, Route, Router, StreamReply, StreamRequest,
};
use crate::status::{Code, Status};

/// Calls what this host serves.
pub struct Local(Arc<Router>);

impl Local {
    /// The channel to what this router knows, now and later.
    pub fn new(router: Arc<Router>) -> Local {
        Local(router)
    }

    fn route(&self, path: &str) -> Result<Route, Status> {
        self.named(path).or_else(|| self.rest(path)).ok_or_else(|| self.missing(path))
    }

    /// What takes calls of this path by its name.
    pub(super) fn named(&self, path: &str) -> Option<Route> {
        self.0.find(path)
    }

    /// What takes calls of this path as whatever nobody else serves.
    pub(super) fn rest(&self, path: &str) -> Option<Route> {
        self.0.rest(path)
    }

    /// Why nothing here takes calls of this path.
    pub(super) fn missing(&self, path: &str) -> Status {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        let status = match self.offers(service) {
            true => Status::new(Code::Unimplemented, format!("{service} has no method {method}")),
            false => Status::new(Code::Unavailable, format!("no host that is known offers {service}")),
        };
        status.unseen()
    }

    /// Whether a service of this full name is here.
    pub(super) fn offers(&self, service: &str) -> bool {
        self.0.all().iter().any(|route| *route.endpoint.service == *service)
    }
}

/// Calls what was found for a path.
pub(super) fn call(route: Route, request: Request) -> CallFuture {
    match within(&request.body, &route) {
        Ok(()) => Box::pin(serve(route, request)),
        Err(status) => Box::pin(std::future::ready(Err(status))),
    }
}

/// Opens what was found for a path.
pub(super) async fn begin(route: Route, mut request: StreamRequest) -> Result<StreamReply, Status> {
    let encoded = matches!(request.form, Form::Encoded(_));
    if encoded {
        let bound = Arc::clone(&route);
        let checked = request.messages.map(move |message| message.and_then(|message| within(&message, &bound).map(|()| message)));
        request.messages = Box::pin(checked);
    }
    if route.endpoint.kind == Some(MethodKind::Unary) {
        return whole(route, request).await;
    }
    let Opened { headers, events } = open(route, request).await?;
    let events: Events = if encoded { Box::pin(events.flat_map(|event| stream::iter(each(event)))) } else { Box::pin(events) };
    Ok(StreamReply { headers, events })
}

/// A unary call that came with streams, as gateways pass calls on: they do not know its kind.
async fn whole(route: Route, request: StreamRequest) -> Result<StreamReply, Status> {
    let StreamRequest { form, headers, deadline, caller, idempotent, plan, mut messages } = request;
    let message = async {
        let first = messages.next().await.unwrap_or_else(|| Err(not_one("none")))?;
        match messages.next().await {
            None => Ok(first),
            Some(second) => second.and_then(|_| Err(not_one("more"))),
        }
    };
    let body = match deadline {
        None => message.await?,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), message).await.unwrap_or_else(|_| Err(late()))?,
    };
    let reply = serve(route, Request { form, body, headers, deadline, caller, idempotent, plan }).await?;
    let events = [Event::Message(reply.body), Event::End(Ok(reply.trailers))];
    Ok(StreamReply { headers: reply.headers, events: Box::pin(stream::iter(events)) })
}

fn not_one(how_many: &str) -> Status {
    Status::new(Code::Unimplemented, format!("the method takes one message, and the call has {how_many}"))
}

fn late() -> Status {
    Status::new(Code::DeadlineExceeded, "the deadline passed before the message came")
}

/// A handler may rely on the bound of its requests, whichever way they come. Values have that of the
/// memory that was theirs in the caller.
fn within(message: &Payload, route: &Route) -> Result<(), Status> {
    let limit = route.max_request;
    match message {
        Payload::Bytes(bytes) if bytes.len() > limit => {
            Err(Status::new(Code::ResourceExhausted, format!("the request is longer than the service's limit of {limit} bytes")))
        }
        _ => Ok(()),
    }
}

impl Channel for Local {
    fn call(&self, path: &str, request: Request) -> CallFuture {
        match self.route(path) {
            Ok(route) => call(route, request),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }

    fn open(&self, path: &str, request: StreamRequest) -> OpenFuture {
        match self.route(path) {
            Ok(route) => Box::pin(begin(route, request)),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }
}

/// An event for whoever takes messages one by one.
fn each(event: Event) -> impl Iterator<Item = Event> {
    let (messages, end) = match event {
        Event::Message(message) => (Some(message), None),
        end => (None, Some(end)),
    };
    messages.into_iter().flat_map(Payload::each).map(Event::Message).chain(end)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::rpc::{Caller, Codec, Endpoint, Handler, Reply, Served, wrong_kind};

    /// Answers unary calls with their own message.
    struct Echo;

    impl Handler for Echo {
        fn call(&self, request: Request) -> CallFuture {
            Box::pin(std::future::ready(Ok(Reply { body: request.body, ..Reply::default() })))
        }

        fn open(&self, _: StreamRequest) -> OpenFuture {
            Box::pin(std::future::ready(Err(wrong_kind())))
        }
    }

    fn local() -> Local {
        let router = Router::default();
        let endpoint = Endpoint { service: "a.B".into(), method: "C".into(), safe: false, kind: Some(MethodKind::Unary) };
        let served = Served { endpoint, handler: Arc::new(Echo), stats: Arc::default(), max_request: 3 };
        router.set("a", vec![served]).expect("free");
        Local::new(Arc::new(router))
    }

    async fn call(path: &str, body: &'static str) -> Result<Reply, Status> {
        let (form, caller) = (Form::Encoded(Codec::Json), Caller::default());
        let headers = HeaderMap::new();
        local().call(path, Request { form, body: body.into(), headers, deadline: None, caller, idempotent: false, plan: None }).await
    }

    async fn open(bodies: &[&'static str]) -> Result<Vec<Event>, Status> {
        let (form, caller) = (Form::Encoded(Codec::Json), Caller::default());
        let messages: Vec<Result<Payload, Status>> = bodies.iter().map(|body| Ok((*body).into())).collect();
        let messages = Box::pin(stream::iter(messages));
        let request = StreamRequest { form, headers: HeaderMap::new(), deadline: None, caller, idempotent: false, plan: None, messages };
        Ok(local().open("/a.B/C", request).await?.events.collect().await)
    }

    #[tokio::test]
    async fn a_request_from_within_the_host_has_the_bound_of_one_from_outside() {
        assert_eq!(call("/a.B/C", "abc").await.expect("within").body, "abc".into());
        assert_eq!(call("/a.B/C", "abcd").await.expect_err("over").code(), Code::ResourceExhausted);
        assert_eq!(open(&["abcd"]).await.expect_err("over").code(), Code::ResourceExhausted);
    }

    #[tokio::test]
    async fn a_method_that_is_not_there_is_told_from_a_service_that_is_not() {
        assert_eq!(call("/a.B/D", "").await.expect_err("no method").code(), Code::Unimplemented);
        assert_eq!(call("/a.D/C", "").await.expect_err("no service").code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn a_unary_method_takes_a_stream_of_one_message() {
        let events = open(&["abc"]).await.expect("one message");
        assert!(matches!(&events[..], [Event::Message(message), Event::End(Ok(_))] if *message == "abc".into()), "{events:?}");
        assert_eq!(open(&[]).await.expect_err("none").code(), Code::Unimplemented);
        assert_eq!(open(&["a", "b"]).await.expect_err("two").code(), Code::Unimplemented);
    }
}
