//! The messages of a call, one after the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;

use wit_bindgen::rt::async_support::{StreamReader, StreamResult};

use super::Failure;
use super::outbox::Outbox;

/// Messages that are read at once if they are there: a read costs more than a small message.
const READ_AHEAD: usize = 16;

/// The caller's messages, in the order in which they were sent.
pub struct Requests {
    ready: VecDeque<Vec<u8>>,
    /// None when there is nothing left to read.
    rest: Option<StreamReader<Vec<u8>>>,
}

impl Requests {
    pub(crate) fn new(reader: StreamReader<Vec<u8>>) -> Requests {
        Requests { ready: VecDeque::new(), rest: Some(reader) }
    }

    /// Messages as if a caller had sent them, for a service's own tests.
    pub fn of(messages: impl IntoIterator<Item = Vec<u8>>) -> Requests {
        Requests { ready: messages.into_iter().collect(), rest: None }
    }

    /// The next message; none when the caller has sent its last one.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let reader = self.rest.as_mut()?;
            // The buffer is what was read last time: it is empty now, and large enough.
            let mut buffer = Vec::from(std::mem::take(&mut self.ready));
            buffer.reserve(READ_AHEAD);
            let (result, read) = reader.read(buffer).await;
            self.ready = read.into();
            if result == StreamResult::Dropped {
                self.rest = None;
            }
        }
    }

    /// The only message of a call that is unary for the caller.
    pub async fn only(&mut self) -> Result<Vec<u8>, Failure> {
        let Some(message) = self.next().await else {
            return Err(Failure::unimplemented("the call has no message, and one was expected"));
        };
        match self.next().await {
            None => Ok(message),
            Some(_) => Err(Failure::unimplemented("the call has more than one message, and one was expected")),
        }
    }
}

/// The way for a reply's messages. Clones send into the same reply.
#[derive(Clone)]
pub struct Replies(Rc<Outbox>);

impl Replies {
    pub(super) fn new(outbox: Rc<Outbox>) -> Replies {
        Replies(outbox)
    }

    /// A reply that is kept instead of sent, for a service's own tests: see [`Replies::sent`].
    pub fn kept() -> Replies {
        Replies(Rc::new(Outbox::kept()))
    }

    /// Sends a message. It waits while the caller is slower than the service.
    ///
    /// Fails when the caller takes no more: there is no use in going on then.
    pub async fn send(&self, message: Vec<u8>) -> Result<(), Failure> {
        poll_fn(|cx| self.0.poll_room(cx)).await?;
        self.0.push(message);
        Ok(())
    }

    /// Begins the reply, with the headers that have been set, before there is a message to send.
    pub fn begin(&self) {
        self.0.begin();
    }

    /// What was sent to a reply that is [kept](Replies::kept), since this was last asked.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.0.take()
    }
}
