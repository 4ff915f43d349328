//! Calls of other services, by name: wherever they run, and without their types.
//!
//! A component that knows the types of another service imports its interface instead, and calls it as
//! its own. Calls by name are for services of `.proto` files, for gateways, and where the name is known
//! only when the code runs. What a service may call is granted in the settings of the host: `calls`
//! under `[service.NAME.grants]`.
//!
//! With the feature `json`, messages are whatever serde knows:
//!
//! ```
//! # #[cfg(feature = "json")]
//! # mod with_json {
//! use microhost_sdk::{Status, rpc};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize)]
//! struct Visitor<'a> {
//!     name: &'a str,
//! }
//!
//! #[derive(Deserialize)]
//! struct Card {
//!     text: String,
//! }
//!
//! async fn welcome(name: &str) -> Result<String, Status> {
//!     let card: Card = rpc::call("example.greeter.Greet", "Welcome").json(&Visitor { name }).await?;
//!     Ok(card.text)
//! }
//! # }
//! ```
//!
//! With the feature `proto` they are messages of protobuf ([`Call::proto`]), and generated clients call
//! by [`proto::Host`](crate::proto::Host). [`Call::bytes`] takes them as they are.
//!
//! A call ends with the one that it is made for: at its deadline, and when its caller goes. Dropping it
//! cancels it. Elsewhere than in a component each call fails with `unavailable`.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use crate::context::Metadata;
use crate::handler::Failure;

mod error;
mod host;
mod streams;

pub use crate::handler::Codec;
pub use error::Error;
pub use streams::{Receiver, Sender};

use host::Target;

/// Begins a call of a method: `rpc::call("example.greeter.Greet", "Hello")`. What it says of its
/// messages makes it a call.
pub fn call(service: impl Into<String>, method: impl Into<String>) -> Call {
    let (service, method, options) = (service.into(), method.into(), Options::default());
    Call { service, method, options }
}

/// What a call has beside its messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idempotent: bool,
}

/// A call that has no messages yet.
#[derive(Clone, Debug)]
#[must_use = "a call is made by its messages: json, proto, bytes or streams"]
pub struct Call {
    service: String,
    method: String,
    options: Options,
}

impl Call {
    #[cfg(feature = "proto")]
    pub(crate) fn with(self, options: Options) -> Call {
        Call { options, ..self }
    }

    /// Sends metadata with the call: under a name that ends in `-bin` bytes, else printable ASCII. A name
    /// that a protocol reserves makes the call fail with `invalid_argument`.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Call {
        self.options.metadata.push((name.into(), value.into()));
        self
    }

    /// Waits no longer than this for the call's end. It never waits longer than there is time left for
    /// the call that is being served.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.options.timeout = Some(timeout);
        self
    }

    /// Says that a second call does no more than the first, so that the host may try again where it
    /// cannot know whether the first one arrived.
    pub fn idempotent(mut self) -> Call {
        self.options.idempotent = true;
        self
    }

    fn target(self, codec: &Codec) -> Target {
        let Call { service, method, options } = self;
        host::target(service, method, codec.name(), options)
    }

    /// Calls a unary method with a message that is encoded already; the reply comes in the same codec.
    pub fn bytes(self, codec: Codec, message: impl Into<Vec<u8>>) -> Unary<Vec<u8>> {
        Unary { target: self.target(&codec), message: Ok(message.into()), decode: Ok }
    }

    /// Calls a method with one request and a stream of replies, which are encoded already.
    pub async fn bytes_stream(self, codec: Codec, message: impl Into<Vec<u8>>) -> Result<Receiver<Vec<u8>>, Error> {
        streams::send_one(self.target(&codec), message.into(), Ok).await
    }

    /// Calls a method with streams of any kind, whose messages are encoded already.
    pub fn bytes_streams(self, codec: Codec) -> (Sender<Vec<u8>>, Receiver<Vec<u8>>) {
        streams::open(self.target(&codec), |message| Ok(message.clone()), Ok)
    }

    /// Calls a unary method in JSON: the names of fields are those of proto3 JSON, in lower camel case.
    #[cfg(feature = "json")]
    pub fn json<O: serde::de::DeserializeOwned>(self, message: &impl serde::Serialize) -> Unary<O> {
        Unary { target: self.target(&Codec::Json), message: json::encode(message), decode: json::decode }
    }

    /// Calls a method with one request and a stream of replies, in JSON.
    #[cfg(feature = "json")]
    pub async fn json_stream<O: serde::de::DeserializeOwned>(self, message: &impl serde::Serialize) -> Result<Receiver<O>, Error> {
        streams::send_one(self.target(&Codec::Json), json::encode(message)?, json::decode).await
    }

    /// Calls a method with a stream of requests, and one reply or a stream of them, in JSON.
    #[cfg(feature = "json")]
    pub fn json_streams<I: serde::Serialize, O: serde::de::DeserializeOwned>(self) -> (Sender<I>, Receiver<O>) {
        streams::open(self.target(&Codec::Json), json::encode, json::decode)
    }

    /// Calls a unary method in protobuf.
    #[cfg(feature = "proto")]
    pub fn proto<O: prost::Message + Default>(self, message: &impl prost::Message) -> Unary<O> {
        Unary { target: self.target(&Codec::Proto), message: Ok(message.encode_to_vec()), decode: proto::decode }
    }

    /// Calls a method with one request and a stream of replies, in protobuf.
    #[cfg(feature = "proto")]
    pub async fn proto_stream<O: prost::Message + Default>(self, message: &impl prost::Message) -> Result<Receiver<O>, Error> {
        streams::send_one(self.target(&Codec::Proto), message.encode_to_vec(), proto::decode).await
    }

    /// Calls a method with a stream of requests, and one reply or a stream of them, in protobuf.
    #[cfg(feature = "proto")]
    pub fn proto_streams<I: prost::Message, O: prost::Message + Default>(self) -> (Sender<I>, Receiver<O>) {
        streams::open(self.target(&Codec::Proto), |message| Ok(message.encode_to_vec()), proto::decode)
    }
}

/// From the bytes of a reply to its message.
type Decode<O> = fn(Vec<u8>) -> Result<O, Failure>;

/// A unary call, made when it is awaited; that gives the message of its reply.
#[must_use = "a call is made when it is awaited"]
pub struct Unary<O> {
    target: Target,
    message: Result<Vec<u8>, Failure>,
    decode: Decode<O>,
}

impl<O> Unary<O> {
    /// Makes the call, for all that its reply brings.
    pub async fn reply(self) -> Result<Reply<O>, Error> {
        let Unary { target, message, decode } = self;
        let Reply { message, headers, trailers } = host::call(target, message?).await?;
        Ok(Reply { message: decode(message)?, headers, trailers })
    }
}

impl<O: 'static> IntoFuture for Unary<O> {
    type Output = Result<O, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<O, Error>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.reply().await?.message) })
    }
}

impl<O> fmt::Debug for Unary<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unary").field("target", &self.target).finish_non_exhaustive()
    }
}

/// The answer to a unary call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<O> {
    /// The message.
    pub message: O,
    /// Metadata that came before the message.
    pub headers: Metadata,
    /// Metadata that came after it.
    pub trailers: Metadata,
}

#[cfg(feature = "json")]
mod json {
    use crate::handler::Failure;

    pub fn encode(message: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(message).map_err(|error| Failure::internal(format!("the message cannot be written as JSON: {error}")))
    }

    pub fn decode<O: serde::de::DeserializeOwned>(message: Vec<u8>) -> Result<O, Failure> {
        serde_json::from_slice(&message).map_err(|error| Failure::internal(format!("the reply cannot be read: {error}")))
    }
}

#[cfg(feature = "proto")]
mod proto {
    use crate::handler::Failure;

    pub fn decode<O: prost::Message + Default>(message: Vec<u8>) -> Result<O, Failure> {
        O::decode(message.as_slice()).map_err(|error| Failure::internal(format!("the reply cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::{Code, OrStatus, Status};

    /// What a call comes to that has nothing to wait for.
    fn now<F: IntoFuture>(call: F) -> F::Output {
        match pin!(call.into_future()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn outside_of_a_component_a_call_says_that_there_is_no_host() {
        let error = now(call("a.B", "C").timeout(Duration::from_secs(1)).bytes(Codec::Json, "{}")).expect_err("nobody to call by");
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.message().contains("a.B/C"), "{error}");
        let (mut sender, mut receiver) = call("a.B", "C").bytes_streams(Codec::Json);
        assert_eq!(now(sender.send(&Vec::new())).expect_err("nobody").code(), Code::Canceled);
        assert_eq!(now(receiver.next()).expect_err("nobody").code(), Code::Unavailable);
    }

    #[test]
    fn a_failed_call_is_passed_on_as_it_is_or_told_otherwise() {
        fn passed(result: Result<(), Error>) -> Result<(), Status> {
            Ok(result?)
        }
        let error = || Error::from(Failure::not_found("no such cart"));
        assert_eq!(passed(Err(error())), Err(Status::not_found("no such cart")));
        let told: Result<(), Status> = Err(error()).or_status(Code::FailedPrecondition, "there is nothing to pay");
        assert_eq!(told, Err(Status::failed_precondition("there is nothing to pay")));
    }

    #[cfg(feature = "json")]
    #[test]
    fn a_message_that_is_no_json_never_leaves() {
        let unwritable = std::collections::HashMap::from([(vec![1], 2)]);
        let error = now(call("a.B", "C").json::<()>(&unwritable)).expect_err("a list as a name");
        assert_eq!(error.code(), Code::Internal);
    }
}
