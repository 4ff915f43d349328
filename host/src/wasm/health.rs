//! Asks a version that has had no call yet whether it is well, where its component can say so.

use std::time::Instant;

use http::HeaderMap;
use prost::Message;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::service::{HEALTH, Service};
use crate::rpc::{Caller, Codec, Form, Request};
use crate::status::{Code, Status};

/// Asks on each lane that has an instance, by `grpc.health.v1.Health/Check`; a service that does not
/// serve it is well.
///
/// Fails with what the service answered, or with `unavailable` where it says that it does not serve.
pub(super) async fn check(service: &Service) -> Result<(), Status> {
    let pool = service.pool();
    for lane in pool.warmed() {
        let Some(handler) = service.handler(HEALTH, "Check") else { return Ok(()) };
        let request = Request {
            form: Form::Encoded(Codec::Proto),
            // No name stands for the service as a whole.
            body: HealthCheckRequest::default().encode_to_vec().into(),
            headers: HeaderMap::new(),
            deadline: Instant::now().checked_add(pool.limits().timeout),
            caller: Caller::default(),
            idempotent: true,
            plan: None,
        };
        let asked = pool.lanes().spawn_on(lane, async move { handler.call(request).await });
        let reply = asked.await.map_err(|error| Status::new(Code::Unavailable, "the host ends").because(error))?.map_err(failed)?;
        let reply = HealthCheckResponse::decode(reply.body.bytes()?).map_err(|error| {
            Status::new(Code::Internal, format!("{HEALTH}/Check answered with what is no HealthCheckResponse")).because(error)
        })?;
        if reply.status() != ServingStatus::Serving {
            return Err(Status::new(Code::Unavailable, format!("{HEALTH}/Check answered {}", reply.status().as_str_name())));
        }
    }
    Ok(())
}

/// The call itself has failed: its words alone do not tell which call it was.
fn failed(status: Status) -> Status {
    let told = Status::new(status.code(), format!("{HEALTH}/Check failed: {}", status.message()));
    match status.cause() {
        Some(cause) => told.because(cause.to_string()),
        None => told,
    }
}
