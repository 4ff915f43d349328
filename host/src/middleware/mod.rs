//! What every call passes on its way to a service, top to bottom as written in [`serve`], and in
//! [`open`] for one with streams.

use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::lanes;
use crate::rpc::{Reply, Request, Route};
use crate::stats::EndpointStats;
use crate::status::{Code, Status};

mod client;
pub mod cluster;
mod http;
mod local;
mod stream;

pub use self::http::{Counted, serve_http};
pub use client::{Calling, Client, MAX_DEPTH, Origin, Outgoing};
pub use local::Local;
pub use stream::{Opened, Progress, open};

/// The server chain. Dropping the future cancels the call.
pub async fn serve(route: Route, request: Request) -> Result<Reply, Status> {
    // First, so that what the steps below refuse is counted too.
    let mut measured = Measured::begin(&*route.stats);
    let result = route.handler.call(request).await;
    measured.code = result.as_ref().err().map_or(Code::Ok, Status::code);
    if let Err(status) = &result {
        log_failure(&route, status);
    }
    result
}

/// Counts a call, one that is dropped midway too.
struct Measured<S: Deref<Target = EndpointStats>> {
    stats: S,
    began: Instant,
    code: Code,
}

impl<S: Deref<Target = EndpointStats>> Measured<S> {
    fn begin(stats: S) -> Measured<S> {
        stats.in_flight.fetch_add(1, Relaxed);
        // Dropped before it has another code: the caller went away.
        Measured { stats, began: Instant::now(), code: Code::Canceled }
    }
}

impl<S: Deref<Target = EndpointStats>> Drop for Measured<S> {
    fn drop(&mut self) {
        self.stats.in_flight.fetch_sub(1, Relaxed);
        self.stats.ended(self.code, self.began.elapsed());
        lanes::answered();
    }
}

/// Failures of the host or the guest are worth a line; a caller's own mistakes are not.
fn log_failure(route: &Route, status: &Status) {
    log_line(&route.endpoint.service, &route.endpoint.method, status);
}

fn log_line(service: &str, method: &str, status: &Status) {
    match (status.code(), status.cause()) {
        (Code::Internal | Code::DataLoss, cause) => {
            let cause = cause.map(tracing::field::display);
            tracing::warn!(service, method, code = %status.code(), cause, "{}", status.message());
        }
        (code, Some(cause)) => {
            tracing::debug!(service, method, %code, %cause, "{}", status.message());
        }
        _ => {}
    }
}
