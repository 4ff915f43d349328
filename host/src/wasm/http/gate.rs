//! Waits for the answers to requests, within the service's time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::sync::oneshot;
use tokio::time::sleep_until;

use super::answer::{Answer, End, Fate};
use super::door::Exchange;
use super::outcome::{broken_request, status};
use super::waiting::Waiting;
use crate::rpc::{HttpBody, HttpFuture, HttpHandler, HttpRequest};
use crate::status::{Code, Status};
use crate::wasm::call::{Call, Outcome, Target};
use crate::wasm::hold::Hold;
use crate::wasm::pool::Pool;
use crate::wasm::queue::{Job, Work};

/// What log lines and traces call the method of a request.
const METHOD: &str = "http";

/// The way in for the requests of one service.
pub struct Gate {
    pool: Arc<Pool>,
    target: Arc<Target>,
    timeout: Duration,
    /// The component may ask for the metadata of its calls, so the headers are kept for it.
    keeps_headers: bool,
}

impl Gate {
    /// The gate of a service. Its calls are `exclusive` where each has its instance to itself.
    pub fn new(name: &Arc<str>, exclusive: bool, pool: &Arc<Pool>, keeps_headers: bool) -> Arc<Gate> {
        let target = Target { service: Arc::clone(name), method: METHOD.into(), export: 0, exclusive, by_host: false };
        Arc::new(Gate { pool: Arc::clone(pool), target: Arc::new(target), timeout: pool.limits().timeout, keeps_headers })
    }

    async fn answer(&self, request: HttpRequest) -> Result<Response<HttpBody>, Status> {
        let HttpRequest { head, body, caller } = request;
        let deadline = Instant::now() + self.timeout;
        let bodiless = head.method == http::Method::HEAD;
        let secure = head.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let headers = if self.keeps_headers { head.headers.clone() } else { HeaderMap::new() };
        let body = match body {
            Some(body) => body.map_err(broken_request).boxed_unsync(),
            None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        };
        let (call, mut outcome) = Call::new(Arc::clone(&self.target), headers, caller, deadline, None);
        let (head_in, mut head_out) = oneshot::channel();
        let (over_in, over) = oneshot::channel();
        let (sent_in, sent) = oneshot::channel();
        let waiting = Waiting::new(&call, &self.pool);
        let exchange = Exchange { request: Request::from_parts(head, body), secure, head: head_in, over, sent };
        self.pool.submit(Job { call, work: Work::Http(Box::new(exchange)) })?;

        let mut timer = Box::pin(sleep_until(deadline.into()));
        let (answer, fate) = tokio::select! {
            biased;
            Ok(answer) = &mut head_out => (answer, Fate::Open(outcome)),
            ended = &mut outcome => {
                // The guest may have answered just before it ended.
                match head_out.try_recv() {
                    Ok(answer) => (answer, Fate::of(ended)),
                    Err(_) => {
                        waiting.over();
                        return Err(no_answer(ended));
                    }
                }
            }
            // `waiting` goes with this, and so tells the instance.
            () = &mut timer => {
                return Err(self.pool.late(Status::new(Code::DeadlineExceeded, "the request was not answered in time")));
            }
        };
        match answer {
            Ok(response) => {
                let end = End { fate, waiting, over: over_in, sent: sent_in, goes_on: self.target.exclusive, linger: self.timeout };
                Ok(Answer::of(response, end, bodiless, timer, self.timeout).await)
            }
            Err(error) => {
                match fate {
                    Fate::Open(outcome) if self.target.exclusive => waiting.linger(outcome, self.timeout),
                    _ => waiting.over(),
                }
                Err(status(&error))
            }
        }
    }
}

fn no_answer(ended: Result<Outcome, oneshot::error::RecvError>) -> Status {
    match ended {
        Ok(Err(status)) => status,
        Ok(Ok(_)) => Status::new(Code::Internal, "the service failed while it served the request").because("the handler set no response"),
        Err(_) => Status::new(Code::Unavailable, "the service is being stopped"),
    }
}

/// The way in, as traffic knows it.
pub struct Entry {
    /// What it leads to.
    pub gate: Arc<Gate>,
    /// Keeps it there.
    pub _hold: Hold,
}

impl HttpHandler for Entry {
    fn serve(&self, request: HttpRequest) -> HttpFuture {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let result = gate.answer(request).await;
            gate.pool.tally().ended_with(|| match &result {
                Ok(response) => response.status().is_server_error(),
                Err(status) => status.code().http().is_server_error(),
            });
            result
        })
    }
}
