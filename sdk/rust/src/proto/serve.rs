//! What generated servers are made of: a function for each kind of method.

use std::future::Future;

use prost::Message;

use super::{Failure, Replies, Requests};
use crate::handler::{self, Head};

/// A message of the caller's.
pub(super) fn decode<T: Message + Default>(message: &[u8]) -> Result<T, Failure> {
    T::decode(message).map_err(|error| Failure::invalid_argument(format!("the message cannot be read: {error}")))
}

/// What is told of a method that there is not, or not of this kind.
pub fn unknown(head: &Head) -> Failure {
    Failure::unimplemented(format!("{} has no method {} of this kind", head.service, head.method))
}

/// A unary call that came as one.
pub async fn call<I, O, F>(message: Vec<u8>, method: impl FnOnce(I) -> F) -> Result<Vec<u8>, Failure>
where
    I: Message + Default,
    O: Message,
    F: Future<Output = Result<O, Failure>>,
{
    Ok(method(decode(&message)?).await?.encode_to_vec())
}

/// A unary call that came as streams.
pub async fn unary<I, O, F>(mut requests: handler::Requests, replies: handler::Replies, method: impl FnOnce(I) -> F) -> Result<(), Failure>
where
    I: Message + Default,
    O: Message,
    F: Future<Output = Result<O, Failure>>,
{
    let message = requests.only().await?;
    replies.send(call(message, method).await?).await
}

/// One message in, any number out.
pub async fn server_stream<I, O, F>(
    mut requests: handler::Requests,
    replies: handler::Replies,
    method: impl FnOnce(I, Replies<O>) -> F,
) -> Result<(), Failure>
where
    I: Message + Default,
    O: Message + Default,
    F: Future<Output = Result<(), Failure>>,
{
    let message = requests.only().await?;
    method(decode(&message)?, Replies::new(replies)).await
}

/// Any number of messages in, one out.
pub async fn client_stream<I, O, F>(
    requests: handler::Requests,
    replies: handler::Replies,
    method: impl FnOnce(Requests<I>) -> F,
) -> Result<(), Failure>
where
    I: Message + Default,
    O: Message,
    F: Future<Output = Result<O, Failure>>,
{
    let reply = method(Requests::new(requests)).await?;
    replies.send(reply.encode_to_vec()).await
}

/// Any number of messages both ways.
pub async fn bidi_stream<I, O, F>(
    requests: handler::Requests,
    replies: handler::Replies,
    method: impl FnOnce(Requests<I>, Replies<O>) -> F,
) -> Result<(), Failure>
where
    I: Message + Default,
    O: Message + Default,
    F: Future<Output = Result<(), Failure>>,
{
    method(Requests::new(requests), Replies::new(replies)).await
}
