//! Asks a service whether it is well, where its component can say so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use prost::Message;
use tokio::task::JoinHandle;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::pool::Pool;
use crate::rpc::{Caller, Codec, Form, Handler, Reply, Request};
use crate::status::{Code, Status};

/// What a proto-first service serves to say whether it is well: gRPC's own health.
pub const HEALTH: &str = "grpc.health.v1.Health";

/// The method of [`HEALTH`] that is asked.
pub(super) const METHOD: &str = "Check";

/// Asks on each lane that has an instance. `check` is the service's own `grpc.health.v1.Health/Check`.
///
/// Fails with what the service answered, or with `unavailable` where it says that it does not serve.
pub(super) async fn ask_all(pool: &Pool, check: &Arc<dyn Handler>) -> Result<(), Status> {
    for lane in pool.warmed() {
        let asked = ask(pool, Arc::clone(check), lane, pool.limits().timeout);
        asked.await.map_err(|error| Status::new(Code::Unavailable, "the host ends").because(error))??;
    }
    Ok(())
}

/// Asks on one lane, as [`Service::ask`](super::service::Service::ask) says.
pub(super) fn ask_in_turn(
    pool: &Pool,
    check: Arc<dyn Handler>,
    turn: usize,
    insist: bool,
    patience: Duration,
) -> Option<JoinHandle<Result<(), Status>>> {
    let warmed: Vec<usize> = pool.warmed().collect();
    let lane = match warmed.len() {
        0 if insist || pool.makes_for_each_call() => turn % pool.lanes().count(),
        0 => return None,
        count => warmed[turn % count],
    };
    Some(ask(pool, check, lane, patience))
}

/// Asks on a lane.
fn ask(pool: &Pool, check: Arc<dyn Handler>, lane: usize, patience: Duration) -> JoinHandle<Result<(), Status>> {
    let request = Request {
        form: Form::Encoded(Codec::Proto),
        // No name stands for the service as a whole.
        body: HealthCheckRequest::default().encode_to_vec().into(),
        headers: HeaderMap::new(),
        deadline: Instant::now().checked_add(patience),
        caller: Caller::default(),
        idempotent: true,
        plan: None,
    };
    pool.lanes().spawn_on(lane, async move { check.call(request).await.map_err(failed).and_then(answered) })
}

fn answered(reply: Reply) -> Result<(), Status> {
    let reply = HealthCheckResponse::decode(reply.body.bytes()?).map_err(|error| {
        Status::new(Code::Internal, format!("{HEALTH}/{METHOD} answered with what is no HealthCheckResponse")).because(error)
    })?;
    match reply.status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Status::new(Code::Unavailable, format!("{HEALTH}/{METHOD} answered {}", other.as_str_name()))),
    }
}

/// The call itself has failed: its words alone do not tell which call it was.
fn failed(status: Status) -> Status {
    let told = Status::new(status.code(), format!("{HEALTH}/{METHOD} failed: {}", status.message()));
    match status.cause() {
        Some(cause) => told.because(cause.to_string()),
        None => told,
    }
}
