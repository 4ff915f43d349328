//! One request out, over connections that the instances of a service share.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::Level;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::connect::{Connector, MAX_CONNECT, MAX_TO_HOST, Target, Ways};
use super::fault::{self, ConnectError};
use super::resolve::System;
use crate::settings::HttpGrant;
use crate::wasm::log::ServiceLog;
use crate::wasm::quota::Quota;

/// How long a connection, the first byte of a response, and each byte after it may take where the
/// guest does not say, and at most.
const CONNECT: Times = Times { usual: Duration::from_secs(10), most: MAX_CONNECT };
const FIRST_BYTE: Times = Times { usual: Duration::from_secs(60), most: Duration::from_secs(600) };
const BETWEEN_BYTES: Times = Times { usual: Duration::from_secs(60), most: Duration::from_secs(600) };

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The headers of a response, in bytes, and how many of them.
const MAX_HEADER_BYTES: u32 = 64 << 10;
const MAX_HEADERS: usize = 200;

struct Times {
    usual: Duration,
    most: Duration,
}

impl Times {
    fn of(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or(self.usual).min(self.most)
    }
}

/// What a service calls others by.
pub struct Client {
    name: Arc<str>,
    ways: Arc<Ways>,
    pooled: Pooled<Connector, WasiBody>,
    log: Arc<ServiceLog>,
}

impl Client {
    /// The client of a service with these grants, which may have so many connections. It has none before
    /// it is used.
    pub fn new(name: Arc<str>, grants: &[HttpGrant], connections: usize, quota: &Arc<Quota>, log: Arc<ServiceLog>) -> Client {
        let ways = Arc::new(Ways::new(grants, connections, quota, Box::new(System)));
        let pooled = Pooled::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_TO_HOST)
            .http1_max_buf_size(MAX_HEADER_BYTES as usize)
            .http1_max_headers(MAX_HEADERS)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .build(Connector(Arc::clone(&ways)));
        Client { name, ways, pooled, log }
    }

    /// Sends a request, if its host is granted. A redirect is a response like any other: a guest that
    /// follows it sends a request, which comes here.
    pub async fn send(&self, mut request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Response<WasiBody>, Error> {
        let target = Target::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        // A tunnel would lead past what is checked here.
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        if self.ways.grant(&target).is_none() {
            self.tell_of_grant(&target);
            return Err(Error::HttpRequestDenied);
        }
        // The pool sets it from the URI, so that the two are one.
        request.headers_mut().remove(HOST);
        *request.version_mut() = Version::HTTP_11;
        let options = options.unwrap_or_default();
        let mut connection = capture_connection(&mut request);
        let mut response = self.pooled.request(request);
        let connected = async {
            connection.wait_for_connection_metadata().await;
        };
        let connecting = async {
            tokio::select! {
                biased;
                answered = &mut response => Some(answered),
                () = connected => None,
            }
        };
        let answered = timeout(CONNECT.of(options.connect_timeout), connecting).await.map_err(|_| Error::ConnectionTimeout)?;
        let answered = match answered {
            Some(answered) => answered,
            None => timeout(FIRST_BYTE.of(options.first_byte_timeout), response).await.map_err(|_| Error::ConnectionReadTimeout)?,
        };
        let response = answered.map_err(|error| self.failed(&target, &error))?;
        let pause = BETWEEN_BYTES.of(options.between_bytes_timeout);
        Ok(response.map(|inner| Arriving { inner, pause, timer: None, moved: false }.boxed_unsync()))
    }

    fn tell_of_grant(&self, Target { host, port, tls }: &Target) {
        let grant = match (*port, *tls) {
            (443, true) | (80, false) => host.to_string(),
            _ => format!("{host}:{port}"),
        };
        let message = format!(
            "a call to {host} at port {port} was denied: it is not granted. \
             To grant it, write http = [\"{grant}\"] in [service.{}.grants], or start with --allow-http {grant}",
            self.name
        );
        self.log.write(Level::WARN, "", &message, std::iter::empty());
    }

    fn failed(&self, target: &Target, error: &hyper_util::client::legacy::Error) -> Error {
        let (level, why) = match fault::cause::<ConnectError>(error) {
            Some(error) if error.is_of_settings() => (Level::WARN, error.to_string()),
            Some(error) => (Level::DEBUG, error.to_string()),
            None => (Level::DEBUG, std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)),
        };
        let message = format!("a call to {} at port {} failed: {why}", target.host, target.port);
        self.log.write(level, "", &message, std::iter::empty());
        fault::code(error)
    }
}

/// The body of a response on its way in.
struct Arriving {
    inner: Incoming,
    pause: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Something has come since the timer was set.
    moved: bool,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let me = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut me.inner).poll_frame(cx) {
            me.moved = true;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| fault::code(&error))));
        }
        let timer = me.timer.get_or_insert_with(|| {
            me.moved = false;
            Box::pin(sleep(me.pause))
        });
        loop {
            ready!(timer.as_mut().poll(cx));
            // One timer for the whole body: it is set again only when it has run out.
            if !std::mem::take(&mut me.moved) {
                return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
            }
            timer.as_mut().reset(Instant::now() + me.pause);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
