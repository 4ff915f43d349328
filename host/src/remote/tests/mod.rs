//! Calls of other hosts that behave badly, and of the sockets there are. The edge's tests have those that
//! behave well.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;

use super::*;
use crate::rpc::{Caller, Form, Payload, Reply, Request};
use crate::schema::Codec;
use crate::status::{Code, Status};

mod faults;
mod lines;
mod paths;
mod sockets;

/// What anything may take before a test gives up on it.
const LIMIT: Duration = Duration::from_secs(20);

/// Quick enough for a test, and no quicker than a busy machine is.
const QUICK: Patience = Patience { tick: Duration::from_millis(50), silence: (1, 2), answer: 4, idle: 4 };

/// A remote with lanes of its own.
struct Calls {
    remote: Remote,
    lanes: Lanes,
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.lanes.stop(LIMIT);
    }
}

impl Calls {
    fn start(patience: Patience) -> Calls {
        Calls::with(patience, Trust::default())
    }

    fn with(patience: Patience, trust: Trust) -> Calls {
        // One lane, so that connections can be counted.
        let lanes = Lanes::start(NonZeroUsize::MIN).expect("a lane starts");
        Calls { remote: Remote::with(&lanes, Bounds { connect: Duration::from_secs(2), message: 1 << 20 }, patience, trust, None), lanes }
    }

    /// The channel to the host at one address.
    fn to(&self, address: &Address) -> Arc<dyn Channel> {
        self.remote.host(address)
    }
}

fn request(body: impl Into<Payload>, deadline: Option<Instant>) -> Request {
    Request {
        form: Form::Encoded(Codec::Proto),
        body: body.into(),
        headers: HeaderMap::new(),
        deadline,
        caller: Caller::default(),
        idempotent: false,
        plan: None,
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.expect("it takes too long")
}

async fn call(channel: &Arc<dyn Channel>, body: &'static str) -> Result<Reply, Status> {
    within(channel.call("/t.Test/Echo", request(body, None))).await
}

async fn listener() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, Address::Tcp { host: "127.0.0.1".into(), port, tls: false })
}

/// A gRPC message in its envelope.
fn enveloped(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

/// Answers each call on a connection with its own message.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: S) {
    let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut all = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                all.extend_from_slice(&piece);
            }
            let head = Response::builder().header("content-type", "application/grpc+proto").body(()).expect("a response");
            // The caller may have gone.
            let Ok(mut send) = respond.send_response(head, false) else { return };
            let _ = send.send_data(all.into(), false);
            let _ = send.send_trailers(HeaderMap::from_iter([(crate::rpc::grpc::STATUS, HeaderValue::from_static("0"))]));
        });
    }
}
