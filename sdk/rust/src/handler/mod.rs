//! Calls as they come, not decoded: for gateways and proxies, and below [`proto`](crate::proto).
//!
//! A [`Handler`] takes calls of any kind, as a [`Head`] and bytes. [`handler!`](crate::handler!)
//! exports it. What the head does not tell of a call, [`context`](crate::context) does; there a
//! reply's headers and trailers are set too: headers until the first message is sent, trailers until
//! the call has ended.
//!
//! # A gateway
//!
//! It answers what it knows, and passes on or refuses the rest:
//!
//! ```
//! use microhost_sdk::handler::{Codec, Failure, Handler, Head, Replies, Requests};
//!
//! struct Gateway;
//!
//! impl Handler for Gateway {
//!     async fn call(head: Head, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
//!         match (head.method.as_str(), &head.codec) {
//!             // The same bytes back, whatever they mean.
//!             ("Echo", _) => Ok(message),
//!             ("Version", Codec::Json) => Ok(br#"{"version":"1.2.0"}"#.to_vec()),
//!             ("Version", other) => Err(Failure::unimplemented(format!("{other} is not spoken here; use json"))),
//!             (method, _) => Err(Failure::unimplemented(format!("{} has no method {method}", head.service))),
//!         }
//!     }
//!
//!     async fn open(head: Head, mut requests: Requests, replies: Replies) -> Result<(), Failure> {
//!         while let Some(message) = requests.next().await {
//!             // Each message as it comes; a slow reader slows this loop down.
//!             replies.send(message).await?;
//!         }
//!         match head.metadata.get("x-end-with-error") {
//!             None => Ok(()),
//!             // An error may follow messages.
//!             Some(_) => Err(Failure::aborted("as you asked")),
//!         }
//!     }
//! }
//!
//! # #[cfg(target_family = "wasm")]
//! microhost_sdk::handler!(Gateway);
//! ```
//!
//! In a service's own tests [`Requests::of`] and [`Replies::kept`] stand for the caller.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::context::{Caller, Metadata};

mod exported;
mod failure;
mod outbox;
mod streams;

pub use failure::{Detail, Failure};
pub use streams::{Replies, Requests};

#[doc(hidden)]
pub use exported::{Exported, bindings};

/// Takes calls of every kind.
///
/// Several calls run at once in one instance, each in a task of its own. When the caller goes away,
/// what runs for it may be dropped at any `await`.
pub trait Handler {
    /// Answers a unary call: one message in, one out, both in the head's codec.
    fn call(head: Head, message: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, Failure>>;

    /// Answers a call with streams. The reply begins with the first message that is sent, or by
    /// [`Replies::begin`]; it ends when this returns, with what it returns. The caller's messages need
    /// not be read to their end.
    ///
    /// A gateway, which does not say of which kind its methods are, is given unary calls of gRPC here
    /// too: one message comes, and one is expected.
    fn open(head: Head, requests: Requests, replies: Replies) -> impl Future<Output = Result<(), Failure>>;
}

/// What is known of a call before its first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The full name of the service that is called: `example.greeter.Greet`.
    pub service: String,
    /// The name of the method: `Hello`.
    pub method: String,
    /// How messages are encoded, and how the reply's are to be.
    pub codec: Codec,
    /// The metadata that came with the call, without the protocols' own headers.
    pub metadata: Metadata,
    /// The time left until the call's deadline when it came; none where there is no deadline.
    pub time_left: Option<Duration>,
    /// Who calls. Put on by the host; a caller cannot forge it.
    pub caller: Caller,
}

/// How messages are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Protobuf's binary encoding; what a component that brings descriptors is always given.
    Proto,
    /// JSON.
    Json,
    /// MessagePack.
    MessagePack,
    /// CBOR.
    Cbor,
    /// BSON.
    Bson,
    /// Another one, which this version of the SDK does not know, by its name in content types.
    Other(String),
}

impl Codec {
    /// The codec's name in content types: `proto`.
    pub fn name(&self) -> &str {
        match self {
            Codec::Proto => "proto",
            Codec::Json => "json",
            Codec::MessagePack => "msgpack",
            Codec::Cbor => "cbor",
            Codec::Bson => "bson",
            Codec::Other(name) => name,
        }
    }
}

impl From<String> for Codec {
    fn from(name: String) -> Codec {
        match name.as_str() {
            "proto" => Codec::Proto,
            "json" => Codec::Json,
            "msgpack" => Codec::MessagePack,
            "cbor" => Codec::Cbor,
            "bson" => Codec::Bson,
            _ => Codec::Other(name),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Exports a [`Handler`](crate::handler::Handler), so that the component is served by it.
///
/// A component has one handler at most; [`serve!`](crate::serve!) makes one of several services.
#[macro_export]
macro_rules! handler {
    ($handler:ty) => {
        const _: () = {
            type Exported = $crate::handler::Exported<$handler>;
    $crate::handler::bindings::__export_handler!(Exported with_types_in $crate::handler::bindings);
        };
        $crate::__at_start!();
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_known_by_its_name_in_content_types() {
        for name in ["proto", "json", "msgpack", "cbor", "bson", "toml"] {
            assert_eq!(Codec::from(name.to_owned()).name(), name);
        }
        assert_eq!(Codec::from("toml".to_owned()), Codec::Other("toml".to_owned()));
    }
}
