//! One connection on its lane: hyper speaks HTTP, and a coarse tick beside it ends clients that
//! are slow, idle or gone. No call pays for a timer.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::accepted::Accepted;
use super::activity::{Activity, Counts, Metered};
use super::open::{Control, Entry, Wish};
use super::probe::Probe;
use super::tls::HANDSHAKE_TIME;
use super::unary::Peer;
use super::{Place, answer};
use crate::rpc;
use crate::settings::Listen;
use crate::tunnel::Tunnel;

/// hyper, set up.
pub(super) type Http = auto::Builder<TokioExecutor>;

/// How long clients are waited for. All times are kept to a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How often a connection is looked at.
    pub(super) tick: Duration,
    /// From the first byte of a request to the end of its headers, and from the connection to the
    /// first request of HTTP/1.
    pub(super) header: Duration,
    /// For the whole body of a request.
    pub(super) body: Duration,
    /// Between calls; then the client is asked to go.
    pub(super) idle: Duration,
    /// From asking a client to go to closing, once nothing runs.
    pub(super) goodbye: Duration,
    /// In which a client with an unread reply must take at least [`STALL_BYTES`] of it.
    pub(super) stall: Duration,
}

/// The patience that every edge has.
pub(super) const PATIENCE: Patience = Patience {
    tick: Duration::from_secs(5),
    header: Duration::from_secs(10),
    body: Duration::from_secs(60),
    idle: Duration::from_secs(120),
    goodbye: Duration::from_secs(10),
    stall: Duration::from_secs(30),
};

/// Bytes of an unread reply that a client must take in [`Patience::stall`].
const STALL_BYTES: u64 = 4 << 10;

/// How often HTTP/2 clients are asked whether they are there, and how long they may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIME: Duration = Duration::from_secs(20);

/// Streams that a client has opened and reset while they were not taken up: more than this, and it
/// is a flood (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Streams that we had to reset for a client's errors: more than this, and the client is broken
/// (CVE-2025-8671).
const MAX_ERROR_RESETS: usize = 256;

/// Bytes that a client may send ahead of us reading them, for a stream and for all.
///
/// h2 ends a connection with so many frames unread that are shorter than 256 bytes that what they lack
/// comes to half of the connection's window. A service may be slow to read, so one stream of the
/// smallest messages, of five bytes with the envelope, must not come to that: 251 / 5 times the stream's
/// window.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 64 << 20;
const _: () = assert!(STREAM_WINDOW / 5 * 251 < CONNECTION_WINDOW / 2);

/// Bytes that one stream may have waiting in hyper's buffer.
const SEND_BUFFER: usize = 256 << 10;

/// The smallest buffer that hyper takes.
const MIN_BUFFER: usize = 8 << 10;

/// hyper's own bound of headers: with just this many it keeps them on the stack, which is faster.
const HYPER_HEADERS: usize = 100;

/// Sets hyper up.
pub(super) fn http(listen: &Listen) -> Http {
    let mut http = auto::Builder::new(TokioExecutor::new());
    let buffer = usize::try_from(listen.header_bytes).unwrap_or(usize::MAX).max(MIN_BUFFER);
    http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(buffer);
    if listen.headers != HYPER_HEADERS {
        http.http1().max_headers(listen.headers);
    }
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(listen.header_bytes)
        .max_concurrent_streams(listen.streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIME);
    http
}

/// Serves a connection until it ends.
///
/// The place is given up before the entry, so that whoever waits for the last entry finds every count
/// at zero.
pub(super) async fn run(entry: Entry, place: Place, accepted: Accepted, http: Arc<Http>, tls: Option<TlsAcceptor>) {
    let from = accepted.address();
    let served = async {
        // Here, so that the socket belongs to this lane's reactor.
        let (socket, address) = match accepted {
            Accepted::Tcp(socket, address) => (tokio::net::TcpStream::from_std(socket)?, address.into()),
            Accepted::Unix(socket) => {
                let socket = tokio::net::UnixStream::from_std(socket)?;
                let whose = socket.peer_cred()?;
                let (probe, address) = (Probe::of(&socket), rpc::Peer::Unix { user: whose.uid(), process: whose.pid() });
                serve(&place, &entry.control, socket, Some(probe), Some(address), &http).await;
                return Ok(());
            }
        };
        let probe = Probe::of(&socket);
        let Some(tls) = tls else {
            serve(&place, &entry.control, socket, Some(probe), Some(address), &http).await;
            return Ok(());
        };
        let handshake = ended_by(&entry.control, timeout(HANDSHAKE_TIME, tls.accept(socket)));
        if let Some(Ok(socket)) = handshake.await {
            serve(&place, &entry.control, socket?, Some(probe), Some(address), &http).await;
        }
        std::io::Result::Ok(())
    };
    if let Err(error) = served.await {
        tracing::debug!(%error, address = from.map(tracing::field::display), "a connection did not come about");
    }
}

/// Serves a connection by NATS until it ends.
pub(super) async fn run_tunnel(entry: Entry, place: Place, tunnel: Tunnel, http: Arc<Http>) {
    serve(&place, &entry.control, tunnel, None, None, &http).await;
}

/// Drives a future until the connection is to end; `None` where it is.
async fn ended_by<F: Future>(control: &Control, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if control.poll(cx.waker()) == Wish::Serve => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn serve<S>(place: &Place, control: &Control, socket: S, probe: Option<Probe>, address: Option<rpc::Peer>, http: &Http)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let activity = Arc::new(Activity::default());
    let peer = Arc::new(Peer { edge: place.edge.clone(), address, activity: activity.clone() });
    let service = service_fn(move |request| {
        let peer = peer.clone();
        async move { Ok::<_, Infallible>(answer::answer(peer, request).await) }
    });
    let io = TokioIo::new(Metered::new(socket, activity.clone()));
    let mut connection = pin!(http.serve_connection(io, service));
    let mut watch = Watch::new(activity.clone(), place.edge.patience, Instant::now());
    let mut tick = pin!(sleep(place.edge.patience.tick));
    let mut leaving = false;
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|error| error.to_string()));
            }
            let mut verdict = match control.poll(cx.waker()) {
                Wish::Serve => Verdict::Fine,
                Wish::Drain => Verdict::Leave,
                Wish::End => return Poll::Ready(Err("the host ends".to_owned())),
            };
            let ticked = ticks(tick.as_mut(), place.edge.patience.tick, cx);
            if ticked {
                verdict = verdict.max(watch.look(Instant::now()));
                if activity.streams_in_http1() && probe.as_ref().is_some_and(Probe::is_closed) {
                    verdict = Verdict::End("the client went away");
                }
            }
            match verdict {
                Verdict::End(why) => return Poll::Ready(Err(why.to_owned())),
                Verdict::Leave if !leaving => {
                    leaving = true;
                    watch.goodbye = true;
                    connection.as_mut().graceful_shutdown();
                }
                // A tick polls the connection once more, so that a call whose body has not come is
                // polled too and looks at its own time.
                _ if ticked => {}
                _ => return Poll::Pending,
            }
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(address = address.map(tracing::field::display), error, "a connection ended");
    }
}

/// Whether the tick has come; it is set again.
fn ticks(mut tick: Pin<&mut Sleep>, every: Duration, cx: &mut Context<'_>) -> bool {
    let came = tick.as_mut().poll(cx).is_ready();
    if came {
        tick.reset(Instant::now() + every);
    }
    came
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Nothing.
    Fine,
    /// Ask it to go.
    Leave,
    /// Close it, for this reason.
    End(&'static str),
}

/// Tells from what moves whether a client is slow, idle or gone.
struct Watch {
    activity: Arc<Activity>,
    patience: Patience,
    last: Counts,
    /// Since when no call has begun and none is under way, and the reads there were by then.
    quiet: Option<(Instant, u64)>,
    /// Since when the headers of a request of HTTP/1 have been coming.
    head: Option<Instant>,
    /// Since when a reply has waited, and the bytes that were written by then.
    waits: Option<(Instant, u64)>,
    /// The client has been asked to go.
    goodbye: bool,
}

impl Watch {
    fn new(activity: Arc<Activity>, patience: Patience, now: Instant) -> Watch {
        // The first request is awaited from the start, whether or not a byte of it came.
        Watch { activity, patience, last: Counts::default(), quiet: Some((now, 0)), head: Some(now), waits: None, goodbye: false }
    }

    fn look(&mut self, now: Instant) -> Verdict {
        let counts = self.activity.counts();
        let last = std::mem::replace(&mut self.last, counts);

        if counts.unsent == 0 {
            self.waits = None;
        } else {
            let (since, written) = *self.waits.get_or_insert((now, counts.written));
            if counts.written - written >= STALL_BYTES {
                self.waits = Some((now, counts.written));
            } else if now - since >= self.patience.stall {
                return Verdict::End("the client does not read its replies");
            }
        }

        // What HTTP/2 writes may be its own pings; a reply that is written is unsent for a while.
        let replies = counts.written > last.written && (!counts.http2 || counts.unsent > 0);
        if counts.calls > 0 || counts.begun > last.begun || replies {
            (self.quiet, self.head) = (None, None);
            return Verdict::Fine;
        }
        let (since, reads) = *self.quiet.get_or_insert((now, counts.reads));
        // What HTTP/2 reads may be pings, and a half header there holds up its own sender alone.
        if counts.http2 {
            self.head = None;
        } else if counts.reads > reads {
            self.head.get_or_insert(now);
        }
        if self.head.is_some_and(|since| now - since >= self.patience.header) {
            return Verdict::End("the client did not finish its request's headers");
        }
        if self.goodbye && now - since >= self.patience.goodbye {
            return Verdict::End("the client was asked to go and did not");
        }
        if now - since >= self.patience.idle { Verdict::Leave } else { Verdict::Fine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = PATIENCE.tick;
    const HEADER_TIME: Duration = PATIENCE.header;
    const IDLE_TIME: Duration = PATIENCE.idle;

    /// Lets ticks pass until the verdict is another one than `Fine`, and says when.
    fn passes(watch: &mut Watch, start: Instant, mut each: impl FnMut()) -> (Duration, Verdict) {
        let mut now = start;
        loop {
            now += TICK;
            each();
            let verdict = watch.look(now);
            if verdict != Verdict::Fine || now - start > IDLE_TIME * 3 {
                return (now - start, verdict);
            }
        }
    }

    fn watched() -> (Arc<Activity>, Watch, Instant) {
        let (activity, now) = (Arc::new(Activity::default()), Instant::now());
        (activity.clone(), Watch::new(activity, PATIENCE, now), now)
    }

    #[test]
    fn headers_that_trickle_in_are_given_their_time_and_no_more() {
        let (activity, mut watch, now) = watched();
        let (after, verdict) = passes(&mut watch, now, || activity.read(b"x"));
        assert_eq!((after, verdict), (HEADER_TIME, Verdict::End("the client did not finish its request's headers")));
    }

    #[test]
    fn a_client_that_never_says_a_word_is_closed() {
        let (_activity, mut watch, now) = watched();
        assert_eq!(passes(&mut watch, now, || {}).0, HEADER_TIME);
    }

    #[test]
    fn headers_have_their_time_after_a_long_pause_too() {
        let (activity, mut watch, now) = watched();
        activity.read(b"GET");
        drop(activity.begin_call());
        let mut ticks = 0;
        let (after, verdict) = passes(&mut watch, now, || {
            ticks += 1;
            if ticks >= 10 {
                activity.read(b"G");
            }
        });
        assert_eq!((after, verdict), (TICK * 10 + HEADER_TIME, Verdict::End("the client did not finish its request's headers")));
    }

    #[test]
    fn an_idle_connection_is_asked_to_go_and_closed_if_it_stays() {
        for first in [&b"GET"[..], b"PRI * "] {
            let (activity, mut watch, now) = watched();
            activity.read(first);
            drop(activity.begin_call());
            let (after, verdict) = passes(&mut watch, now, || {});
            assert_eq!((after, verdict), (IDLE_TIME + TICK * 2, Verdict::Leave));
            watch.goodbye = true;
            assert_eq!(watch.look(now + after + TICK), Verdict::End("the client was asked to go and did not"));
        }
    }

    #[test]
    fn an_http2_client_that_only_pings_is_idle() {
        let (activity, mut watch, now) = watched();
        activity.read(b"PRI * ");
        let (after, verdict) = passes(&mut watch, now, || {
            activity.read(b"a ping");
            activity.wrote(17);
        });
        assert_eq!((after, verdict), (IDLE_TIME, Verdict::Leave));
    }

    #[test]
    fn a_call_under_way_keeps_a_connection_whatever_the_client_does() {
        let (activity, mut watch, now) = watched();
        activity.read(b"GET");
        let _call = activity.begin_call();
        assert_eq!(passes(&mut watch, now, || {}).1, Verdict::Fine);
    }

    #[test]
    fn an_unread_reply_is_given_up_and_a_slowly_read_one_is_not() {
        for (bytes, expected) in [(17, Verdict::End("the client does not read its replies")), (STALL_BYTES, Verdict::Fine)] {
            let (activity, mut watch, now) = watched();
            activity.read(b"PRI * ");
            let _unsent = activity.hold(100_000);
            let (_, verdict) = passes(&mut watch, now, || activity.wrote(bytes));
            assert_eq!(verdict, expected);
        }
    }
}
