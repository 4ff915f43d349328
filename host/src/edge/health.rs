//! `grpc.health.v1.Health`. Check is a unary endpoint like any other and speaks every protocol;
//! Watch streams, and speaks gRPC.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_service::Service as _;

use crate::admin::{Overview, Phase, Snapshot};
use crate::rpc::{self, CallFuture, Endpoint, Handler, MethodKind, OpenFuture, Reply, Route, Served, StreamRequest};
use crate::schema::Codec;
use crate::status::{Code, Status};

const NAME: &str = "grpc.health.v1.Health";

/// The path of Check.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The path of Watch.
pub(super) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A service's name is not longer than this.
const MAX_REQUEST: usize = 4 << 10;

/// The health service of one host.
pub(super) struct Service {
    check: Route,
    watch: HealthServer<Watcher>,
}

impl Service {
    pub(super) fn new(overview: &Arc<Overview>) -> Service {
        let endpoint = Endpoint { service: NAME.into(), method: "Check".into(), safe: true, kind: Some(MethodKind::Unary) };
        let handler = Arc::new(Checker(overview.clone()));
        let check = Arc::new(Served { endpoint, handler, stats: Arc::default(), max_request: MAX_REQUEST });
        Service { check, watch: HealthServer::new(Watcher(overview.clone())).max_decoding_message_size(MAX_REQUEST) }
    }

    /// The endpoint of Check.
    pub(super) fn check(&self) -> Route {
        self.check.clone()
    }

    /// Answers Watch.
    pub(super) async fn watch(&self, request: Request<Incoming>) -> Response<tonic::body::Body> {
        let Ok(response) = self.watch.clone().call(request).await;
        response
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

struct Checker(Arc<Overview>);

impl Handler for Checker {
    fn call(&self, request: rpc::Request) -> CallFuture {
        let result = check(&self.0.health.snapshot(), request.codec, &request.body);
        Box::pin(std::future::ready(result.map(|body| Reply { body, ..Reply::default() })))
    }

    fn open(&self, _: StreamRequest) -> OpenFuture {
        Box::pin(std::future::ready(Err(rpc::wrong_kind())))
    }
}

fn check(snapshot: &Snapshot, codec: Codec, body: &[u8]) -> Result<Bytes, Status> {
    let service = match codec {
        Codec::Proto => {
            HealthCheckRequest::decode(body).map_err(|cause| invalid("the request is no HealthCheckRequest").because(cause))?.service
        }
        Codec::Json => from_json(body)?,
        other => return Err(Status::new(Code::Unimplemented, format!("health is told in json and proto, not in {}", other.name()))),
    };
    let serving = snapshot.serving(&service).ok_or_else(|| Status::new(Code::NotFound, format!("no service {service:?} is known")))?;
    let status = status(serving);
    Ok(match codec {
        Codec::Json => Bytes::from_static(if serving { b"{\"status\":\"SERVING\"}" } else { b"{\"status\":\"NOT_SERVING\"}" }),
        // No other has come so far.
        _ => response(status).encode_to_vec().into(),
    })
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

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, tonic::Status>> + Send>>;

#[tonic::async_trait]
impl Health for Watcher {
    async fn check(&self, request: tonic::Request<HealthCheckRequest>) -> Result<tonic::Response<HealthCheckResponse>, tonic::Status> {
        match self.0.health.snapshot().serving(&request.get_ref().service) {
            Some(serving) => Ok(tonic::Response::new(response(status(serving)))),
            None => Err(tonic::Status::not_found("no such service is known")),
        }
    }

    type WatchStream = Statuses;

    async fn watch(&self, request: tonic::Request<HealthCheckRequest>) -> Result<tonic::Response<Statuses>, tonic::Status> {
        let service = request.into_inner().service;
        let mut changes = self.0.health.watch();
        // The state now comes first.
        changes.mark_changed();
        let states = stream::unfold((changes, None, false), move |(mut changes, last, over)| {
            let service = service.clone();
            async move {
                if over {
                    return None;
                }
                loop {
                    // The sender lives as long as the host.
                    changes.changed().await.ok()?;
                    let snapshot = changes.borrow_and_update().clone();
                    // A name that is not known yet is watched all the same, as the protocol asks.
                    let now = snapshot.serving(&service).map_or(ServingStatus::ServiceUnknown, status);
                    // A host that drains says so and ends the stream, which would hold it up.
                    let over = snapshot.phase == Phase::Draining;
                    if last != Some(now) || over {
                        return Some((Ok(response(now)), (changes, Some(now), over)));
                    }
                }
            }
        });
        Ok(tonic::Response::new(states.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_speaks_json_and_protobuf() {
        let overview = Overview::new(Arc::default(), Arc::default());
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
