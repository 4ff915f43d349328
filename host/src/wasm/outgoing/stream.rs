//! A connection to somewhere else, with or without TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

use crate::stats::ServiceStats;

/// The places that a connection takes among those that its service may have, of this host and of all.
pub struct Places {
    _permits: [OwnedSemaphorePermit; 2],
    stats: Arc<ServiceStats>,
}

impl Places {
    /// Counts a connection until they are dropped.
    pub fn new(permits: [OwnedSemaphorePermit; 2], stats: Arc<ServiceStats>) -> Places {
        stats.connections.fetch_add(1, Relaxed);
        Places { _permits: permits, stats }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.stats.connections.fetch_sub(1, Relaxed);
    }
}

/// A connection, in its places until it is dropped.
pub struct Stream {
    kind: Kind,
    _places: Places,
}

enum Kind {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Stream {
    /// A connection as it is.
    pub fn plain(stream: TcpStream, places: Places) -> Stream {
        Stream { kind: Kind::Plain(TokioIo::new(stream)), _places: places }
    }

    /// A connection with TLS.
    pub fn tls(stream: TlsStream<TcpStream>, places: Places) -> Stream {
        Stream { kind: Kind::Tls(Box::new(TokioIo::new(stream))), _places: places }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match &self.kind {
            Kind::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => Connected::new().negotiated_h2(),
            _ => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Kind::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Kind::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }
}
