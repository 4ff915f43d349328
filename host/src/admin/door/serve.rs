//! What answers at the door: HTTP/1.1 for the user that the host runs as, a request after the other.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::super::api::{Api, ApiBody, Way, refusal};
use super::DoorError;
use super::folder::user;
use crate::sockets::Socket;
use crate::status::{Code, Status};

/// Commands at once; more wait to be accepted.
const MAX_CLIENTS: usize = 128;

/// For the headers of a request, and between two requests on a connection.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// All headers of one request, in bytes.
const MAX_HEADERS: usize = 16 << 10;

/// For what is being answered when the host ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// The pause after the system had no descriptor or memory for a connection: time for others to end.
const PAUSE: Duration = Duration::from_millis(50);

/// An open door. Dropping it shuts it, and removes its socket.
pub struct Door {
    socket: Socket,
    closing: watch::Sender<bool>,
    acceptor: JoinHandle<()>,
}

impl Door {
    /// Answers at the socket from now on, on the runtime that this is called on.
    pub fn open(socket: Socket, api: Arc<Api>) -> Result<Door, DoorError> {
        let listener = socket.listener().and_then(UnixListener::from_std);
        let listener = listener.map_err(|source| DoorError::Listen { path: socket.path().to_owned(), source })?;
        let (closing, closed) = watch::channel(false);
        let acceptor = tokio::spawn(accept(listener, api, closed));
        Ok(Door { socket, closing, acceptor })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        self.socket.path()
    }

    /// Takes no more requests, and lets those that are being answered end.
    pub async fn close(mut self) {
        self.closing.send_replace(true);
        // The acceptor ends within its own bounds, and is ended with the door.
        let _ = (&mut self.acceptor).await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: UnixListener, api: Arc<Api>, mut closing: watch::Receiver<bool>) {
    // Dropped with this task, and all that is in it ends.
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = closed(&mut closing) => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((socket, _)) => drop(clients.spawn(serve(socket, Arc::clone(&api), closing.clone()))),
                Err(error) => {
                    tracing::debug!(%error, "a command could not be accepted at the door");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What is not over by then is cut off.
    let _ = timeout(GOODBYE, async { while clients.join_next().await.is_some() {} }).await;
}

/// Waits until the door closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the door is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}

async fn serve(socket: UnixStream, api: Arc<Api>, mut closing: watch::Receiver<bool>) {
    let known = is_known(&socket);
    let service = service_fn(move |request: Request<Incoming>| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(answer(&api, known, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEADERS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a command left the door");
    }
}

/// Whether the other side is the host's own user, or root, who may do anything anyhow. The rights of
/// the file say so already; they may have been changed.
fn is_known(socket: &UnixStream) -> bool {
    let peer: io::Result<u32> = socket.peer_cred().map(|peer| peer.uid());
    peer.is_ok_and(|peer| peer == user() || peer == 0)
}

async fn answer(api: &Api, known: bool, request: Request<Incoming>) -> Response<ApiBody> {
    if !known {
        return refusal(&Status::new(Code::PermissionDenied, "only the user that the host runs as may ask here"));
    }
    let (head, body) = request.into_parts();
    api.answer(&head, body, Way::Door).await
}
