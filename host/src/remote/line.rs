//! One connection: how many calls it has, and the task that drives it, asks whether the other host is there,
//! and closes it when nobody needs it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use super::connect::Socket;
use super::fault;
use crate::rpc::envelope::Enveloped;
use crate::status::Status;

/// Bytes that the other host may send ahead of the caller reading them, for a call and for all of a
/// connection. The edge has the same, and says why they go together.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Bytes of one call that may wait in h2's buffer.
const SEND_BUFFER: usize = 256 << 10;

/// The headers of a reply, or its trailers, in bytes.
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// Calls at once on one connection, whatever the other host takes.
const MAX_CALLS: usize = 10_000;

/// Calls that the other host hears at once have been given up: half of what h2 takes before it closes the
/// connection (`max_pending_accept_reset_streams`).
const MAX_PARTING: usize = 10;

/// Added to the count of calls when no more may come.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// How long the other host is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often a connection is looked at.
    pub tick: Duration,
    /// Ticks without a word after which the other host is asked whether it is there: while calls are under
    /// way, and while none are.
    pub silence: (u32, u32),
    /// Ticks in which it has to answer that.
    pub answer: u32,
    /// Ticks without a call after which the connection is closed.
    pub idle: u32,
}

impl Default for Patience {
    fn default() -> Patience {
        // A network that drops everything is noticed within five seconds.
        Patience { tick: Duration::from_secs(1), silence: (1, 10), answer: 3, idle: 60 }
    }
}

impl Patience {
    /// The longest that calls under way wait for a host that has gone without a word.
    pub fn most(&self) -> Duration {
        self.tick * (self.silence.0 + self.answer + 1)
    }
}

/// What the calls of a connection and its task tell each other.
struct Gauge {
    /// Calls under way, and [`CLOSED`].
    calls: AtomicUsize,
    /// Calls that the other host takes at once.
    most: AtomicUsize,
    /// Something came since the last tick.
    heard: AtomicBool,
    /// Calls that their callers have given up; see [`Response`].
    given_up: Mutex<VecDeque<(ResponseFuture, Place)>>,
    /// The connection's.
    task: AtomicWaker,
}

impl Gauge {
    /// Notes how many calls the other host takes at once.
    fn take_most(&self, connection: &Connection<Heard, Enveloped>) {
        self.most.store(connection.max_concurrent_send_streams().min(MAX_CALLS), Relaxed);
    }

    /// Has the other host told that nobody waits for a call.
    fn give_up(&self, call: (ResponseFuture, Place)) {
        let mut given_up = self.given_up.lock().expect("no holder panics");
        if self.calls.load(Relaxed) < CLOSED {
            given_up.push_back(call);
            drop(given_up);
            self.task.wake();
        }
    }

    /// No more calls from now on.
    fn close(&self) {
        let mut given_up = self.given_up.lock().expect("no holder panics");
        self.calls.fetch_or(CLOSED, Relaxed);
        given_up.clear();
    }
}

/// A connection.
pub struct Line {
    sender: SendRequest<Enveloped>,
    gauge: Arc<Gauge>,
}

/// A call may be sent.
pub struct Turn {
    sender: SendRequest<Enveloped>,
    place: Place,
}

/// The response to a call, until it begins. Dropping it cancels the call.
///
/// Where many calls are given up as soon as they are made, the other host would find each one canceled before
/// it has taken it up, which is how an attack looks (CVE-2023-44487): it would close the connection, and with it
/// end the calls of all others. So it hears of them few at a time, the oldest first, and of each only when it has
/// answered a ping that was sent after the call.
pub struct Response(Option<(ResponseFuture, Place)>);

impl Response {
    /// The response, and the call's place, to be kept until it is over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(http::Response<RecvStream>, Place), h2::Error>> {
        let Some((response, _)) = &mut self.0 else { return Poll::Pending };
        let response = ready!(Pin::new(response).poll(cx));
        let place = self.0.take().map(|(_, place)| place);
        Poll::Ready(response.map(|response| (response, place.expect("it was there with the response"))))
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        if let Some((response, place)) = self.0.take() {
            let gauge = Arc::clone(&place.0);
            gauge.give_up((response, place));
        }
    }
}

/// A place on a connection for one call, until it is dropped.
pub struct Place(Arc<Gauge>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

impl Line {
    /// Speaks HTTP/2 on a socket, until the other host has answered in it: a call that is sent to what does
    /// not answer may have been seen. The task drives the connection until it ends.
    pub async fn open(socket: Box<dyn Socket>, patience: Patience) -> io::Result<(Arc<Line>, impl Future<Output = ()> + Send)> {
        let gauge = Arc::new(Gauge {
            calls: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            heard: AtomicBool::new(true),
            given_up: Mutex::default(),
            task: AtomicWaker::new(),
        });
        let socket = Heard { socket, gauge: Arc::clone(&gauge) };
        let (sender, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_BYTES)
            .enable_push(false)
            .handshake(socket)
            .await
            .map_err(io::Error::other)?;
        let mut pings = connection.ping_pong().ok_or_else(|| io::Error::other("no pings"))?;
        pings.send_ping(Ping::opaque()).map_err(io::Error::other)?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.and(Err(Reason::NO_ERROR.into()))),
            Poll::Pending => pings.poll_pong(cx).map_ok(drop),
        })
        .await
        .map_err(io::Error::other)?;
        // By now it has said how many calls it takes at once, too, as that comes first.
        gauge.take_most(&connection);
        let watch = Watch { gauge: Arc::clone(&gauge), patience, pings, silent: 0, asked: None, idle: 0, parting: Vec::new() };
        Ok((Arc::new(Line { sender, gauge }), run(connection, watch)))
    }

    /// A place for a call: while there are fewer than the other host takes at once, and `waiting` more, which
    /// wait for it. `None` where there is none, or the connection takes no more calls.
    pub fn turn(&self, waiting: usize) -> Option<Turn> {
        let before = self.gauge.calls.fetch_add(1, Relaxed);
        // Given back where it is not to be had.
        let place = Place(Arc::clone(&self.gauge));
        if before >= self.gauge.most.load(Relaxed).saturating_add(waiting) {
            return None;
        }
        Some(Turn { sender: self.sender()?, place })
    }

    /// What sends a call; `None` where the other host takes no more of them.
    fn sender(&self) -> Option<SendRequest<Enveloped>> {
        let mut sender = self.sender.clone();
        // A clone is never behind a call of its own, so that it is answered at once.
        let mut cx = Context::from_waker(Waker::noop());
        matches!(sender.poll_ready(&mut cx), Poll::Ready(Ok(()))).then_some(sender)
    }

    /// How many calls are under way; more than there could be on a connection that takes none.
    pub fn calls(&self) -> usize {
        self.gauge.calls.load(Relaxed)
    }

    /// Whether it has not ended.
    pub fn is_live(&self) -> bool {
        self.calls() < CLOSED
    }

    /// Whether new calls can be sent.
    pub fn is_open(&self) -> bool {
        self.is_live() && self.sender().is_some()
    }
}

impl Turn {
    /// Begins a call: its response, and where its messages go.
    pub fn begin(mut self, head: Request<()>) -> Result<(Response, SendStream<Enveloped>), Status> {
        let (response, send) = self.sender.send_request(head, false).map_err(fault::unsent)?;
        Ok((Response(Some((response, self.place))), send))
    }
}

/// Drives a connection until it ends, or the other host is gone, or nobody needs it.
async fn run(connection: Connection<Heard, Enveloped>, mut watch: Watch) {
    let mut connection = pin!(connection);
    let mut tick = pin!(sleep(watch.patience.tick));
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|error| error.to_string()));
            }
            watch.gauge.take_most(&connection);
            watch.ask(cx);
            if tick.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            tick.as_mut().reset(Instant::now() + watch.patience.tick);
            match watch.look() {
                Verdict::Fine => {}
                Verdict::End(why) => return Poll::Ready(Err(why.to_owned())),
            }
        }
    })
    .await;
    if let Err(why) = ended {
        tracing::debug!(why, "a connection to another host ended");
    }
}

/// What is to be done with a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Close it, for this reason.
    End(&'static str),
}

/// Tells whether the other host is there, and whether anybody needs it.
struct Watch {
    gauge: Arc<Gauge>,
    patience: Patience,
    pings: PingPong,
    /// Ticks in which nothing came.
    silent: u32,
    /// Ticks since it was asked whether it is there.
    asked: Option<u32>,
    /// Ticks without a call.
    idle: u32,
    /// Calls that are given up when the ping is answered.
    parting: Vec<(ResponseFuture, Place)>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Nobody is to take the connection up in the moment before it is gone.
        self.gauge.close();
    }
}

impl Watch {
    /// Takes the answer to a ping, if there is one, and sends the next one where calls are given up.
    fn ask(&mut self, cx: &mut Context<'_>) {
        if self.asked.is_some() && self.pings.poll_pong(cx).is_ready() {
            self.asked = None;
            self.parting.clear();
        }
        if self.asked.is_none() {
            self.gauge.task.register(cx.waker());
            let mut given_up = self.gauge.given_up.lock().expect("no holder panics");
            if !given_up.is_empty() && self.pings.send_ping(Ping::opaque()).is_ok() {
                self.asked = Some(0);
                let few = given_up.len().min(MAX_PARTING);
                self.parting.extend(given_up.drain(..few));
                drop(given_up);
                // The answer wakes whoever has looked for it.
                let _ = self.pings.poll_pong(cx);
            }
        }
    }

    fn look(&mut self) -> Verdict {
        let busy = self.gauge.calls.load(Relaxed) > 0;
        self.idle = if busy { 0 } else { self.idle + 1 };
        if self.idle >= self.patience.idle && self.gauge.calls.compare_exchange(0, CLOSED, Relaxed, Relaxed).is_ok() {
            return Verdict::End("it was not used");
        }
        if self.gauge.heard.swap(false, Relaxed) {
            (self.silent, self.asked) = (0, self.asked.map(|_| 0));
            return Verdict::Fine;
        }
        self.silent += 1;
        if let Some(ticks) = &mut self.asked {
            *ticks += 1;
            return if *ticks >= self.patience.answer { Verdict::End("the other host does not answer") } else { Verdict::Fine };
        }
        let silence = if busy { self.patience.silence.0 } else { self.patience.silence.1 };
        if self.silent >= silence && self.pings.send_ping(Ping::opaque()).is_ok() {
            self.asked = Some(0);
        }
        Verdict::Fine
    }
}

/// A socket that notes that something came.
struct Heard {
    socket: Box<dyn Socket>,
    gauge: Arc<Gauge>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.gauge.heard.store(true, Relaxed);
        }
        result
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
