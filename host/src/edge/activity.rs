//! What a connection does, seen from outside of hyper: bytes moved, calls under way, reply bytes
//! not yet written. From it [`super::connection`] tells a slow client from a busy one without a
//! timer for every call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The counts of one connection. One thread writes them nearly always, so relaxed order suffices.
#[derive(Debug, Default)]
pub(super) struct Activity {
    reads: AtomicU64,
    written: AtomicU64,
    begun: AtomicU64,
    calls: AtomicU32,
    streams: AtomicU32,
    unsent: AtomicUsize,
    streamed: AtomicUsize,
    http2: AtomicBool,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Reads that brought something.
    pub reads: u64,
    /// Bytes written.
    pub written: u64,
    /// Calls ever begun.
    pub begun: u64,
    /// Calls under way.
    pub calls: u32,
    /// Bytes of large replies that the client has not taken yet. Those of streams are not among
    /// them: who reads a stream may pause as long as he likes.
    pub unsent: usize,
    /// Whether the client speaks HTTP/2.
    pub http2: bool,
}

impl Activity {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            reads: self.reads.load(Relaxed),
            written: self.written.load(Relaxed),
            begun: self.begun.load(Relaxed),
            calls: self.calls.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            http2: self.http2.load(Relaxed),
        }
    }

    /// Counts what came from the client.
    pub(super) fn read(&self, bytes: &[u8]) {
        if self.reads.fetch_add(1, Relaxed) == 0 && bytes.starts_with(HTTP2_PREFACE) {
            self.http2.store(true, Relaxed);
        }
    }

    /// Counts what went to the client.
    pub(super) fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Relaxed);
    }

    /// Counts a call until the guard is dropped.
    pub(super) fn begin_call(self: &Arc<Self>) -> CallGuard {
        self.begun.fetch_add(1, Relaxed);
        self.calls.fetch_add(1, Relaxed);
        CallGuard { activity: self.clone(), streams: false }
    }

    /// Whether a reply of HTTP/1 with a stream is under way.
    pub(super) fn streams_in_http1(&self) -> bool {
        self.streams.load(Relaxed) > 0 && !self.http2.load(Relaxed)
    }

    /// Bytes of large replies that the client has not taken yet, and bytes of streams.
    pub(super) fn unsent(&self) -> (usize, usize) {
        (self.unsent.load(Relaxed), self.streamed.load(Relaxed))
    }

    /// Counts a reply's bytes until the guard is dropped.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> UnsentGuard {
        self.unsent.fetch_add(bytes, Relaxed);
        UnsentGuard { activity: self.clone(), bytes, streamed: false }
    }

    /// Counts a stream's bytes until the guard is dropped.
    pub(super) fn hold_streamed(self: &Arc<Self>, bytes: usize) -> UnsentGuard {
        self.streamed.fetch_add(bytes, Relaxed);
        UnsentGuard { activity: self.clone(), bytes, streamed: true }
    }
}

/// A call under way.
#[derive(Debug)]
pub(super) struct CallGuard {
    activity: Arc<Activity>,
    streams: bool,
}

impl CallGuard {
    /// Says that the call's reply is a stream.
    pub(super) fn streams(&mut self) {
        if !std::mem::replace(&mut self.streams, true) {
            self.activity.streams.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.activity.calls.fetch_sub(1, Relaxed);
        if self.streams {
            self.activity.streams.fetch_sub(1, Relaxed);
        }
    }
}

/// Reply bytes on their way.
#[derive(Debug)]
pub(super) struct UnsentGuard {
    activity: Arc<Activity>,
    bytes: usize,
    streamed: bool,
}

impl Drop for UnsentGuard {
    fn drop(&mut self) {
        let count = if self.streamed { &self.activity.streamed } else { &self.activity.unsent };
        count.fetch_sub(self.bytes, Relaxed);
    }
}

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4), as many as tell it from HTTP/1.
const HTTP2_PREFACE: &[u8] = b"PRI";

/// A socket that counts what moves.
pub(super) struct Metered<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Metered<S> {
    pub(super) fn new(socket: S, activity: Arc<Activity>) -> Metered<S> {
        Metered { socket, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(cx, buf));
        self.activity.read(&buf.filled()[before..]);
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.socket).poll_write(cx, buf));
        self.activity.wrote(*result.as_ref().unwrap_or(&0) as u64);
        Poll::Ready(result)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs));
        self.activity.wrote(*result.as_ref().unwrap_or(&0) as u64);
        Poll::Ready(result)
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
