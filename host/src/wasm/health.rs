//! Asks a service whether it is well, where its component can say so.

use std::time::{Duration, Instant};

use http::HeaderMap;
use prost::Message;
use tokio::task::JoinHandle;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::service::{HEALTH, Service};
use crate::rpc::{Caller, Codec, Form, Handler, Reply, Request};
use crate::status::{Code, Status};

/// The method of [`HEALTH`] that is asked.
pub(super) const METHOD: &str = "Check";

/// Asks on each lane that has an instance, by `grpc.health.v1.Health/Check`; a service that does not
/// serve it is well.
///
/// Fails with what the service answered, or with `unavailable` where it says that it does not serve.
pub(super) async fn check(service: &Service) -> Result<(), Status> {
    let pool = service.pool();
    for lane in pool.warmed() {
        let Some(asked) = ask(service, lane, pool.limits().timeout) else { return Ok(()) };
        asked.await.map_err(|error| Status::new(Code::Unavailable, "the host ends").because(error))??;
    }
    Ok(())
}

/// Asks on one lane, as [`Service::ask`] says.
pub(super) fn ask_in_turn(service: &Service, turn: usize, insist: bool, patience: Duration) -> Option<JoinHandle<Result<(), Status>>> {
    let pool = service.pool();
    let warmed: Vec<usize> = pool.warmed().collect();
    let lane = match warmed.len() {
        0 if insist || pool.makes_for_each_call() => turn % pool.lanes().count(),
        0 => return None,
        count => warmed[turn % count],
    };
    ask(service, lane, patience)
}

/// Asks on a lane; `None` where the service does not serve it.
fn ask(service: &Service, lane: usize, patience: Duration) -> Option<JoinHandle<Result<(), Status>>> {
    let handler = service.handler(HEALTH, METHOD)?;
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
    Some(service.pool().lanes().spawn_on(lane, async move { Handler::call(&*handler, request).await.map_err(failed).and_then(answered) }))
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
