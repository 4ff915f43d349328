//! Calls with streams, message by message.

use std::fmt;

use super::host::{self, Incoming, Outgoing, Target};
use super::{Decode, Error};
use crate::context::Metadata;
use crate::handler::Failure;

/// Begins a call.
pub(super) fn open<I, O>(target: Target, encode: fn(&I) -> Result<Vec<u8>, Failure>, decode: Decode<O>) -> (Sender<I>, Receiver<O>) {
    let (outgoing, incoming) = host::open(target);
    (Sender { outgoing, encode }, Receiver { incoming, decode, headers: None, trailers: Metadata::default() })
}

/// Begins a call with one message.
pub(super) async fn send_one<O>(target: Target, message: Vec<u8>, decode: Decode<O>) -> Result<Receiver<O>, Error> {
    let (mut outgoing, incoming) = host::open(target);
    // Where nobody takes it, the reply says why.
    outgoing.send(message).await;
    Ok(Receiver { incoming, decode, headers: None, trailers: Metadata::default() })
}

/// The way for a call's messages. Dropping it ends them, and the call goes on.
#[must_use = "dropping it ends the messages"]
pub struct Sender<I> {
    outgoing: Outgoing,
    encode: fn(&I) -> Result<Vec<u8>, Failure>,
}

impl<I> Sender<I> {
    /// Sends a message. It waits while the service is slower than the caller.
    ///
    /// Fails with `canceled` where the service takes no more; why, its [`Receiver`] says.
    pub async fn send(&mut self, message: &I) -> Result<(), Error> {
        self.send_encoded((self.encode)(message)?).await
    }

    pub(crate) async fn send_encoded(&mut self, message: Vec<u8>) -> Result<(), Error> {
        match self.outgoing.send(message).await {
            true => Ok(()),
            false => Err(Failure::canceled("the service takes no more messages").into()),
        }
    }
}

impl<I> fmt::Debug for Sender<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// A reply's messages. Dropping it before their end cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct Receiver<O> {
    incoming: Incoming,
    decode: Decode<O>,
    headers: Option<Metadata>,
    trailers: Metadata,
}

impl<O> Receiver<O> {
    /// The next message; none when the call has ended well.
    pub async fn next(&mut self) -> Result<Option<O>, Error> {
        match self.incoming.next().await {
            Some(message) => Ok(Some((self.decode)(message)?)),
            None => {
                let trailers = self.incoming.ending().await?;
                if !trailers.is_empty() {
                    self.trailers = trailers;
                }
                Ok(None)
            }
        }
    }

    /// The only message of a reply that is no stream to the caller. It ends the call.
    pub async fn only(mut self) -> Result<O, Error> {
        let Some(message) = self.next().await? else {
            return Err(Failure::internal("the reply has no message, and one was expected").into());
        };
        match self.next().await? {
            None => Ok(message),
            Some(_) => Err(Failure::internal("the reply has more than one message, and one was expected").into()),
        }
    }

    /// The metadata that came before the first message; it waits until the reply begins. There is none
    /// where the call failed before.
    pub async fn headers(&mut self) -> &Metadata {
        if self.headers.is_none() {
            self.headers = Some(self.incoming.headers().await);
        }
        self.headers.get_or_insert_default()
    }

    /// The metadata that came after the last message, once the call has ended well.
    pub fn trailers(&self) -> &Metadata {
        &self.trailers
    }
}

impl<O> fmt::Debug for Receiver<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("headers", &self.headers).field("trailers", &self.trailers).finish_non_exhaustive()
    }
}
