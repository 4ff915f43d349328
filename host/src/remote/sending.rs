//! The messages of a call on their way out, at the pace of whoever reads them.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, BytesMut};
use h2::{Reason, SendStream};

use super::manner::Manner;
use crate::rpc::envelope::{self, Enveloped};
use crate::rpc::{Messages, Payload};
use crate::status::Status;

/// Small messages that are ready at the same time go together up to about so many bytes: a frame for each
/// would cost more than the message. With one more it is at most HTTP/2's smallest limit of a frame, 16 KiB
/// (RFC 9113, section 4.2).
const FULL: usize = 12 << 10;

/// A message longer than this, with its envelope, goes by itself and is not copied.
const SMALL: usize = 4 << 10;

/// The messages of a call, until the last one is handed on. It asks for no message before the other host has
/// room for it.
pub struct Sending {
    send: SendStream<Enveloped>,
    manner: Arc<Manner>,
    limit: usize,
    messages: Messages,
    /// Small ones that wait for more of them.
    small: BytesMut,
}

/// What the caller brings next.
enum Next {
    Large(Enveloped),
    Small,
    End,
}

impl Sending {
    pub fn new(send: SendStream<Enveloped>, manner: Arc<Manner>, limit: usize, messages: Messages) -> Sending {
        Sending { send, manner, limit, messages, small: BytesMut::new() }
    }

    /// Ends when all is handed on, or the other host takes no more; fails where the caller's messages do: then
    /// the call is to be canceled.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        while ready!(self.poll_room(cx)) {
            match self.poll_gather(cx) {
                Poll::Ready(Ok(Next::Large(message))) => {
                    self.flush();
                    self.hand_on(message, false);
                }
                Poll::Ready(Ok(Next::Small)) => self.flush(),
                Poll::Ready(Ok(Next::End)) => {
                    let last = self.small.split().freeze();
                    self.hand_on(Enveloped::plain(last), true);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(status)) => return Poll::Ready(Err(status)),
                Poll::Pending => {
                    self.flush();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Cancels the call.
    pub fn cancel(&mut self) {
        self.send.send_reset(Reason::CANCEL);
    }

    /// Whether the other host takes more: when it has room, or not at all.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.send.reserve_capacity(1);
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                // Why, the reply tells.
                Some(Err(_)) | None => return Poll::Ready(false),
            }
        }
        Poll::Ready(self.send.poll_reset(cx).is_pending())
    }

    /// Gathers small messages until there are enough of them, or one comes that is not.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Status>> {
        while self.small.len() < FULL {
            let Some(message) = ready!(self.messages.as_mut().poll_next(cx)) else { return Poll::Ready(Ok(Next::End)) };
            if let Some(large) = self.add(message?)? {
                return Poll::Ready(Ok(Next::Large(large)));
            }
        }
        Poll::Ready(Ok(Next::Small))
    }

    /// Adds a message to the small ones; gives it back where it is none.
    fn add(&mut self, message: Payload) -> Result<Option<Enveloped>, Status> {
        if let Payload::Run(run) = &message {
            // In their envelopes already.
            return Ok(Some(Enveloped::plain(run.bytes().clone())));
        }
        let message = self.manner.write(message, self.limit)?;
        if message.len() > SMALL {
            return Ok(Some(Enveloped::new(envelope::head(0, message.len()), message)));
        }
        self.small.put_slice(&envelope::head(0, message.len()));
        self.small.put(message);
        Ok(None)
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            let small = self.small.split().freeze();
            self.hand_on(Enveloped::plain(small), false);
        }
    }

    fn hand_on(&mut self, bytes: Enveloped, end: bool) {
        // A stream that has ended takes nothing, and its reply tells why.
        let _ = self.send.send_data(bytes, end);
    }
}
