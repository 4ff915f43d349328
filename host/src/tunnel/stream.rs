//! One connection: bytes in, bytes out, and the room that each side has.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use async_nats::message::OutboundMessage;
use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::frame::{self, Frame, HEAD, Kind, cost};
use super::{Link, WINDOW, broken};
use crate::connections;

/// Bytes of one message at most. With more, those of other connections would wait for long.
const CHUNK: usize = 32 << 10;

/// What a server may add to a message of its limit: nothing that counts, but older ones count the head.
const MARGIN: usize = 1 << 10;

/// The least room of the other side that is of use: a message of the longest, and one more while that is
/// on its way.
pub(super) const LEAST: u32 = 2 * (CHUNK as u32 + 1024);
const _: () = assert!(WINDOW >= LEAST);

/// The other side is told what was read each time it is so much of the window.
const TOLD_BY: u64 = WINDOW as u64 / 4;

/// A connection to another host over a NATS server. Dropping it closes it.
///
/// It is for one task, which reads and writes: it keeps one waker.
pub struct Tunnel {
    client: Client,
    incoming: Subscriber,
    /// Ends when the connection to the server does, with why.
    cut: Pin<Box<dyn Future<Output = String> + Send>>,
    /// Where this side listens, and where the other one does.
    own: Subject,
    other: Subject,
    input: Input,
    output: Output,
    /// Why there is no connection any more.
    lost: Option<String>,
    /// Among all connections.
    _place: OwnedSemaphorePermit,
}

/// What comes.
#[derive(Default)]
struct Input {
    /// The number of the next message.
    next: u32,
    /// What was not read, in order; of the first one, what is left.
    unread: VecDeque<Bytes>,
    /// What was sent in all, what was read of it, and what the other side knows to be read.
    came: u64,
    taken: u64,
    told: u64,
    /// The other side sends no more.
    ended: bool,
}

/// What goes.
struct Output {
    /// The number of the next message.
    next: u32,
    /// Bytes that wait to be sent, behind room for the head; nothing where there are none.
    message: BytesMut,
    /// Bytes of one message at most.
    chunk: usize,
    /// The other side's room, what was sent in all, and what the other side has read of it.
    window: u64,
    sent: u64,
    taken: u64,
    /// Nothing is sent any more.
    ended: bool,
}

/// The two ends of a connection that has just been made.
pub(super) struct Ends {
    pub(super) own: Subject,
    pub(super) incoming: Subscriber,
    pub(super) other: Subject,
    /// The other side's room.
    pub(super) window: u32,
}

impl Tunnel {
    /// A connection of which each side has sent one message; fails where the other side has too little room.
    pub(super) fn new(link: Link, ends: Ends, place: OwnedSemaphorePermit) -> io::Result<Tunnel> {
        let Link { server, client, number } = link;
        let Ends { own, incoming, other, window } = ends;
        if window < LEAST {
            return Err(broken(format!("the other side has room for {window} bytes, and {LEAST} are the least")));
        }
        let chunk = CHUNK.min(client.max_payload().saturating_sub(HEAD + MARGIN));
        if chunk == 0 {
            return Err(broken("the server takes no messages of any length: raise its setting max_payload"));
        }
        let output = Output { next: 1, message: BytesMut::new(), chunk, window: window.into(), sent: 0, taken: 0, ended: false };
        let input = Input { next: 1, ..Input::default() };
        let cut = Box::pin(cut(server, number));
        Ok(Tunnel { client, incoming, cut, own, other, input, output, lost: None, _place: place })
    }

    fn lose(&mut self, why: impl Into<String>) -> io::Error {
        broken(self.lost.get_or_insert(why.into()).clone())
    }

    /// Hears one message. Fails when the connection is lost.
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(why) = &self.lost {
            return Poll::Ready(Err(broken(why.clone())));
        }
        let message = match Pin::new(&mut self.incoming).poll_next(cx) {
            Poll::Ready(Some(message)) => message,
            Poll::Ready(None) => return Poll::Ready(Err(self.lose("the client of NATS has ended"))),
            // What has come is heard before.
            Poll::Pending => {
                let why = ready!(self.cut.as_mut().poll(cx));
                return Poll::Ready(Err(self.lose(why)));
            }
        };
        let heard = self.hear(message);
        Poll::Ready(heard.map_err(|why| self.lose(why)))
    }

    fn hear(&mut self, message: Message) -> Result<(), &'static str> {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err("the other host has gone");
        }
        let frame = Frame::read(message.payload).ok_or("the other side sent what is no message of a connection")?;
        if frame.number != self.input.next {
            return Err("messages were lost");
        }
        self.input.next = frame.number.wrapping_add(1);
        match frame.kind {
            Kind::Data if self.input.ended => return Err("the other side went on after its end"),
            Kind::Data => {
                self.input.came += cost(frame.body.len());
                if self.input.came - self.input.taken > WINDOW.into() {
                    return Err("the other side sent more than there was room for");
                }
                self.input.unread.push_back(frame.body);
            }
            Kind::Taken => {
                let taken = frame.taken().filter(|taken| (self.output.taken..=self.output.sent).contains(taken));
                self.output.taken = taken.ok_or("the other side has read what was not sent")?;
            }
            Kind::End => self.input.ended = true,
            Kind::Close => {
                self.input.ended = true;
                return Err("the other side has closed the connection");
            }
            Kind::Open | Kind::Accept | Kind::Refuse => return Err("the other side began anew"),
        }
        Ok(())
    }

    /// Sends a message, for which the client has said that it is ready.
    fn send(&mut self, message: Bytes) -> io::Result<()> {
        let message = OutboundMessage { subject: self.other.clone(), reply: Some(self.own.clone()), payload: message, headers: None };
        self.output.next = self.output.next.wrapping_add(1);
        Pin::new(&mut self.client).start_send(message).map_err(|error| self.lose(error.to_string()))
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_ready(cx).map_err(|error| self.lose(error.to_string()))
    }

    /// Tells the other side what was read, where that is enough to be told.
    fn poll_tell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost.is_some() || self.input.taken - self.input.told < TOLD_BY {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_client(cx))?;
        self.input.told = self.input.taken;
        let message = frame::write(Kind::Taken, self.output.next, &self.input.taken.to_be_bytes());
        Poll::Ready(self.send(message))
    }

    /// Sends the bytes that wait, when the other side has room for them.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(why) = &self.lost {
            return Poll::Ready(Err(broken(why.clone())));
        }
        if self.output.message.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let cost = cost(self.output.message.len() - HEAD);
        while self.output.sent + cost - self.output.taken > self.output.window {
            ready!(self.poll_hear(cx))?;
        }
        ready!(self.poll_client(cx))?;
        self.output.sent += cost;
        let mut message = self.output.message.split();
        frame::entitle(&mut message, Kind::Data, self.output.next);
        Poll::Ready(self.send(message.freeze()))
    }

    /// Adds bytes to those that wait, as many as go into one message.
    fn gather(&mut self, bytes: &[u8]) -> usize {
        let Output { message, chunk, .. } = &mut self.output;
        if message.is_empty() {
            message.reserve(HEAD + bytes.len().min(*chunk));
            message.extend_from_slice(&[0; HEAD]);
        }
        let count = bytes.len().min(HEAD + *chunk - message.len());
        message.extend_from_slice(&bytes[..count]);
        count
    }

    /// Makes room for at least one byte in the message that waits.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.ended {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "this side was shut down")));
        }
        if self.lost.is_some() || self.output.message.len() >= HEAD + self.output.chunk {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some(first) = this.input.unread.front_mut() {
                let count = first.len().min(buffer.remaining());
                buffer.put_slice(&first[..count]);
                first.advance(count);
                this.input.taken += count as u64;
                if first.is_empty() {
                    this.input.taken += cost(0);
                    this.input.unread.pop_front();
                }
                // Where the client is not ready, it is told with what is read next, for which this task is woken.
                if let Poll::Ready(Err(error)) = this.poll_tell(cx) {
                    tracing::debug!(%error, "what has come is still read");
                }
                if count > 0 || buffer.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if this.input.ended {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(Err(error)) = this.poll_tell(cx) {
                return Poll::Ready(Err(error));
            }
            match ready!(this.poll_hear(cx)) {
                // Its end was told before it closed.
                Err(_) if this.input.ended => return Poll::Ready(Ok(())),
                heard => heard?,
            }
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        Poll::Ready(Ok(self.gather(bytes)))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        let mut count = 0;
        for part in parts {
            let gathered = self.gather(part);
            count += gathered;
            if gathered < part.len() {
                break;
            }
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        self.poll_tell(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.ended {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(cx))?;
        ready!(self.poll_client(cx))?;
        self.output.ended = true;
        let message = frame::write(Kind::End, self.output.next, &[]);
        Poll::Ready(self.send(message))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if self.lost.is_some() || self.output.ended && self.input.ended {
            return;
        }
        // Where the client has no place for it now, the other side learns it from what it sends next.
        if self.poll_client(&mut Context::from_waker(Waker::noop())).is_ready() {
            let message = frame::write(Kind::Close, self.output.next, &[]);
            if let Err(error) = self.send(message) {
                tracing::debug!(%error, "the other side learns later that a connection is closed");
            }
        }
    }
}

/// Waits until there is another connection to the server than this one, or none; why.
async fn cut(server: Arc<connections::Nats>, number: u64) -> String {
    let mut link = server.link();
    match link.wait_for(|link| *link != connections::Link::Up(number)).await.as_deref() {
        Ok(connections::Link::Down(why)) => format!("{}: {why}", server.name()),
        _ => format!("the connection to {} broke", server.name()),
    }
}
