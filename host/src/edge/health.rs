//! `grpc.health.v1.Health`, as endpoints like any other: Check is unary, Watch streams, and both
//! speak every protocol.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use prost::Message;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::admin::{Overview, Phase, Snapshot};
use crate::rpc::{
    self, CallFuture, Endpoint, Event, Events, Form, Handler, MethodKind, OpenFuture, Payload, Reply, Route, Served, StreamReply,
    StreamRequest,
};
use crate::schema::Codec;
use crate::status::{Code, Status};

pub(super) const NAME: &str = "grpc.health.v1.Health";

/// The start of every path of health.
pub(super) const PREFIX: &str = "/grpc.health.v1.Health/";

/// The path of Check.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The path of Watch.
pub(super) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A service's name is not longer than this.
const MAX_REQUEST: usize = 4 << 10;

/// The health service of one host.
pub(super) struct Service {
    check: Route,
    watch: Route,
}

impl Service {
    pub(super) fn new(overview: &Arc<Overview>) -> Service {
        Service {
            check: served("Check", true, MethodKind::Unary, Arc::new(Checker(overview.clone()))),
            watch: served("Watch", false, MethodKind::ServerStream, Arc::new(Watcher(overview.clone()))),
        }
    }

    /// The endpoint of Check.
    pub(super) fn check(&self) -> Route {
        self.check.clone()
    }

    /// The endpoint of Watch.
    pub(super) fn watch(&self) -> Route {
        self.watch.clone()
    }
}

fn served(method: &str, safe: bool, kind: MethodKind, handler: Arc<dyn Handler>) -> Route {
    let endpoint = Endpoint { service: NAME.into(), method: method.into(), safe, kind: Some(kind) };
    Arc::new(Served { endpoint, handler, stats: Arc::default(), max_request: MAX_REQUEST })
}

/// The status of a service that is known, or of the host.
fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// The service that a request names; none is the host.
fn requested(codec: Codec, body: &[u8]) -> Result<String, Status> {
    match codec {
        Codec::Proto => {
            Ok(HealthCheckRequest::decode(body).map_err(|cause| invalid("the request is no HealthCheckRequest").because(cause))?.service)
        }
        Codec::Json => from_json(body),
        other => Err(Status::new(Code::Unimplemented, format!("health is told in json and proto, not in {}", other.name()))),
    }
}

fn response(codec: Codec, status: ServingStatus) -> Bytes {
    match codec {
        Codec::Json => format!("{{\"status\":\"{}\"}}", status.as_str_name()).into(),
        // No request in another codec came so far.
        _ => HealthCheckResponse { status: status.into() }.encode_to_vec().into(),
    }
}

struct Checker(Arc<Overview>);

impl Handler for Checker {
    fn call(&self, request: rpc::Request) -> CallFuture {
        let result = encoded(request.form, request.body).and_then(|(codec, body)| check(&self.0.health.snapshot(), codec, &body));
        Box::pin(std::future::ready(result.map(|body| Reply { body: body.into(), ..Reply::default() })))
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(rpc::wrong_kind())))
    }
}

fn encoded(form: Form, message: Payload) -> Result<(Codec, Bytes), Status> {
    Ok((form.codec()?, message.bytes()?))
}

fn check(snapshot: &Snapshot, codec: Codec, body: &[u8]) -> Result<Bytes, Status> {
    let service = requested(codec, body)?;
    let serving = snapshot.serving(&service).ok_or_else(|| Status::new(Code::NotFound, format!("no service {service:?} is known")))?;
    Ok(response(codec, status(serving)))
}

fn from_json(body: &[u8]) -> Result<String, Status> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Message {
        service: Option<String>,
    }
    let message: Message =
        serde_json::from_slice(body).map_err(|error| invalid(format!("the request is no HealthCheckRequest: {error}")))?;
    Ok(message.service.unwrap_or_default())
}

fn invalid(why: impl Into<std::borrow::Cow<'static, str>>) -> Status {
    Status::new(Code::InvalidArgument, why)
}

struct Watcher(Arc<Overview>);

impl Handler for Watcher {
    fn call(&self, _: rpc::Request) -> CallFuture {
        Box::pin(std::future::ready(Err(rpc::wrong_kind())))
    }

    fn open(&self, mut request: StreamRequest) -> OpenFuture {
        let overview = self.0.clone();
        Box::pin(async move {
            // The edge brings exactly one.
            let message = request.messages.next().await.transpose()?.unwrap_or_default();
            let (codec, message) = encoded(request.form, message)?;
            let service = requested(codec, &message)?;
            Ok(StreamReply { headers: HeaderMap::new(), events: states(&overview, service, codec) })
        })
    }
}

/// Where the watch of a service is.
enum Watch {
    /// It has told this last.
    On(Option<ServingStatus>),
    /// It has told that the host drains.
    Last,
    Over,
}

/// The states of a service, the one now first.
fn states(overview: &Overview, service: String, codec: Codec) -> Events {
    let mut changes = overview.health.watch();
    changes.mark_changed();
    let events = stream::unfold((changes, service, Watch::On(None)), move |(mut changes, service, watch)| async move {
        let last = match watch {
            Watch::On(last) => last,
            Watch::Last => return Some((Event::End(Ok(HeaderMap::new())), (changes, service, Watch::Over))),
            Watch::Over => return None,
        };
        loop {
            if changes.changed().await.is_err() {
                let ended = Status::new(Code::Unavailable, "the host ends");
                return Some((Event::End(Err(ended)), (changes, service, Watch::Over)));
            }
            let snapshot = changes.borrow_and_update().clone();
            // A name that is not known yet is watched all the same, as the protocol asks.
            let now = snapshot.serving(&service).map_or(ServingStatus::ServiceUnknown, status);
            // A host that drains says so and ends the stream, which would hold it up.
            let over = snapshot.phase == Phase::Draining;
            if last != Some(now) || over {
                let watch = if over { Watch::Last } else { Watch::On(Some(now)) };
                return Some((Event::Message(response(codec, now).into()), (changes, service, watch)));
            }
        }
    });
    Box::pin(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_speaks_json_and_protobuf() {
        let overview = Overview::new(Arc::default(), Arc::default(), Arc::default());
        overview.health.enter(Phase::Ready);
        overview.health.set("a.B", false);
        let check = |codec, body: &[u8]| check(&overview.health.snapshot(), codec, body).map_err(|status| status.code());
        assert_eq!(check(Codec::Json, b"{}").expect("the host"), "{\"status\":\"SERVING\"}");
        assert_eq!(check(Codec::Json, b"{\"service\":\"a.B\"}").expect("known"), "{\"status\":\"NOT_SERVING\"}");
        assert_eq!(check(Codec::Proto, b"\x0a\x03a.B").expect("known"), &b"\x08\x02"[..]);
        assert_eq!(check(Codec::Json, b"{\"service\":\"a.C\"}"), Err(Code::NotFound));
        assert_eq!(check(Codec::Json, b"{\"servce\":\"a.C\"}"), Err(Code::InvalidArgument));
        assert_eq!(check(Codec::Proto, b"\xff"), Err(Code::InvalidArgument));
        assert_eq!(check(Codec::Cbor, b"\xa0"), Err(Code::Unimplemented));
    }
}
