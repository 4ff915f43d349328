//! The channel to the services of this host: into their server chain, without socket or encoding.

use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::{Opened, open, serve};
use crate::rpc::{CallFuture, Channel, Event, OpenFuture, Payload, Request, Route, Router, StreamReply, StreamRequest};
use crate::status::{Code, Status};

/// Calls what this host serves.
pub struct Local(Arc<Router>);

impl Local {
    /// The channel to what this router knows, now and later.
    pub fn new(router: Arc<Router>) -> Local {
        Local(router)
    }

    fn route(&self, path: &str) -> Result<Route, Status> {
        self.0.find(path).or_else(|| self.0.rest(path)).ok_or_else(|| self.missing(path))
    }

    fn missing(&self, path: &str) -> Status {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        match self.0.all().iter().any(|route| *route.endpoint.service == *service) {
            true => Status::new(Code::Unimplemented, format!("{service} has no method {method}")),
            false => Status::new(Code::Unavailable, format!("no service here offers {service}")),
        }
    }
}

impl Channel for Local {
    fn call(&self, path: &str, request: Request) -> CallFuture {
        match self.route(path) {
            Ok(route) => Box::pin(serve(route, request)),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }

    fn open(&self, path: &str, request: StreamRequest) -> OpenFuture {
        let route = self.route(path);
        Box::pin(async move {
            let Opened { headers, events } = open(route?, request).await?;
            Ok(StreamReply { headers, events: Box::pin(events.flat_map(|event| stream::iter(each(event)))) })
        })
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
