//! What a request of plain HTTP passes on its way to a service.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::Response;

use super::log_line;
use crate::lanes;
use crate::rpc::{HttpBody, HttpRequest, HttpServed};
use crate::stats::EndpointStats;
use crate::status::{Code, Status};

/// Counts a request until it is dropped: with the last of the response.
pub struct Counted {
    stats: Arc<EndpointStats>,
    began: Instant,
    code: Code,
}

impl Counted {
    fn begin(stats: &Arc<EndpointStats>) -> Counted {
        stats.in_flight.fetch_add(1, Relaxed);
        // Dropped before it has another code: the client went away.
        Counted { stats: Arc::clone(stats), began: Instant::now(), code: Code::Canceled }
    }

    /// Notes how the request ended, or that the response is whole.
    pub fn ended(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.in_flight.fetch_sub(1, Relaxed);
        self.stats.ended(self.code, self.began.elapsed());
        lanes::answered();
    }
}

/// The chain of requests. Dropping the future, or the response's body before its end, cancels it.
pub async fn serve_http(served: &HttpServed, request: HttpRequest) -> (Result<Response<HttpBody>, Status>, Counted) {
    let mut counted = Counted::begin(&served.stats);
    let result = served.handler.serve(request).await;
    if let Err(status) = &result {
        counted.ended(status.code());
        log_line(&served.service, served.route.as_str(), status);
    }
    (result, counted)
}
