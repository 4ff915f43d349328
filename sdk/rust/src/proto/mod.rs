//! Services that begin with a `.proto` file.
//!
//! `microhost gen rust`, or the crate `microhost-sdk-build` in a build script, makes of the file its
//! messages, a trait for each service and a client. [`serve!`](crate::serve!) exports what implements
//! the traits; the descriptors of those services travel inside the component, so that the host answers
//! in JSON and by reflection without its help. docs/proto.md goes through all of it.
//!
//! ```text
//! mod proto {
//!     microhost_sdk::include_proto!();
//! }
//!
//! use proto::shop::payments::v1::{ChargeReply, ChargeRequest, PaymentEvent, Payments, PaymentsServer, WatchRequest};
//!
//! struct Bank;
//!
//! impl Payments for Bank {
//!     async fn charge(request: ChargeRequest) -> Result<ChargeReply, Failure> {
//!         if request.cents == 0 {
//!             return Err(Failure::invalid_argument("nothing to charge"));
//!         }
//!         Ok(ChargeReply { id: 1 })
//!     }
//!
//!     async fn watch(request: WatchRequest, replies: Replies<PaymentEvent>) -> Result<(), Failure> {
//!         for id in 0..request.count {
//!             replies.send(PaymentEvent { id }).await?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! microhost_sdk::serve!(PaymentsServer<Bank>);
//! ```

use std::future::Future;
use std::marker::PhantomData;

use prost::Message;

#[doc(inline)]
pub use crate::handler::Failure;
use crate::handler::{self, Head};

#[doc(hidden)]
pub mod client;
mod host;
mod sections;
#[doc(hidden)]
pub mod serve;

pub use client::{Receiver, Receiving, Sender, Sending, Transport};
pub use host::Host;
pub use prost;
pub use prost_types as types;
pub use sections::{Descriptors, descriptors, descriptors_length, names, names_length};

/// A service of a `.proto` file, with what implements it.
///
/// Generated code has it for each service: `PaymentsServer<Mine>`.
pub trait Service {
    /// The full name: `shop.payments.v1.Payments`.
    const NAME: &'static str;

    /// What describes it to the host.
    const DESCRIPTORS: Descriptors;

    /// Answers a unary call of one of its methods.
    fn call(head: Head, message: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, Failure>>;

    /// Answers a call of one of its methods, of whatever kind that is.
    fn open(head: Head, requests: handler::Requests, replies: handler::Replies) -> impl Future<Output = Result<(), Failure>>;
}

/// The caller's messages, in the order in which they were sent.
pub struct Requests<T> {
    messages: handler::Requests,
    of: PhantomData<fn() -> T>,
}

impl<T: Message + Default> Requests<T> {
    fn new(messages: handler::Requests) -> Requests<T> {
        Requests { messages, of: PhantomData }
    }

    /// Messages as if a caller had sent them, for a service's own tests.
    pub fn of(messages: impl IntoIterator<Item = T>) -> Requests<T> {
        Requests::new(handler::Requests::of(messages.into_iter().map(|message| message.encode_to_vec())))
    }

    /// The next message; none when the caller has sent its last one.
    ///
    /// Fails where the next one is no `T`.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        self.messages.next().await.map(|message| serve::decode(&message)).transpose()
    }
}

/// The way for a reply's messages. Clones send into the same reply.
pub struct Replies<T> {
    messages: handler::Replies,
    of: PhantomData<fn(T)>,
}

impl<T> Clone for Replies<T> {
    fn clone(&self) -> Replies<T> {
        Replies { messages: self.messages.clone(), of: PhantomData }
    }
}

impl<T: Message + Default> Replies<T> {
    fn new(messages: handler::Replies) -> Replies<T> {
        Replies { messages, of: PhantomData }
    }

    /// A reply that is kept instead of sent, for a service's own tests: see [`Replies::sent`].
    pub fn kept() -> Replies<T> {
        Replies::new(handler::Replies::kept())
    }

    /// Sends a message. It waits while the caller is slower than the service.
    ///
    /// Fails when the caller takes no more: there is no use in going on then.
    pub async fn send(&self, message: T) -> Result<(), Failure> {
        self.messages.send(message.encode_to_vec()).await
    }

    /// Begins the reply, with the headers that have been set, before there is a message to send.
    pub fn begin(&self) {
        self.messages.begin();
    }

    /// What was sent to a reply that is [kept](Replies::kept), since this was last asked.
    pub fn sent(&self) -> Vec<T> {
        self.messages.sent().iter().map(|message| T::decode(message.as_slice()).expect("it was encoded from a T")).collect()
    }
}

/// Takes up what the build script made of `.proto` files by `microhost_sdk_build::compile`.
#[macro_export]
macro_rules! include_proto {
    () => {
        include!(concat!(env!("OUT_DIR"), "/proto.rs"));
    };
}

/// Exports services that begin with a `.proto` file, and puts their descriptors into the component.
///
/// ```text
/// microhost_sdk::serve!(PaymentsServer<Bank>, HealthServer<Doctor>);
/// ```
#[macro_export]
macro_rules! serve {
    ($($server:ty),+ $(,)?) => {
        #[doc(hidden)]
        struct __MicrohostServices;

        impl $crate::handler::Handler for __MicrohostServices {
            async fn call(head: $crate::handler::Head, message: ::std::vec::Vec<u8>) -> ::core::result::Result<::std::vec::Vec<u8>, $crate::handler::Failure> {
                match head.service.as_str() {
                    $(<$server as $crate::proto::Service>::NAME => <$server as $crate::proto::Service>::call(head, message).await,)+
                    _ => ::core::result::Result::Err($crate::proto::serve::unknown(&head)),
                }
            }

            async fn open(
                head: $crate::handler::Head,
                requests: $crate::handler::Requests,
                replies: $crate::handler::Replies,
            ) -> ::core::result::Result<(), $crate::handler::Failure> {
                match head.service.as_str() {
                    $(<$server as $crate::proto::Service>::NAME => <$server as $crate::proto::Service>::open(head, requests, replies).await,)+
                    _ => ::core::result::Result::Err($crate::proto::serve::unknown(&head)),
                }
            }
        }

        $crate::handler!(__MicrohostServices);

        #[cfg(target_family = "wasm")]
        const _: () = {
            const DESCRIPTORS: &[$crate::proto::Descriptors] = &[$(<$server as $crate::proto::Service>::DESCRIPTORS),+];
            const NAMES: &[&str] = &[$(<$server as $crate::proto::Service>::NAME),+];

            #[used]
            #[unsafe(link_section = "microhost:descriptors")]
            static SECTION: [u8; $crate::proto::descriptors_length(DESCRIPTORS)] = $crate::proto::descriptors(DESCRIPTORS);

            #[used]
            #[unsafe(link_section = "microhost:services")]
            static SERVICES: [u8; $crate::proto::names_length(NAMES)] = $crate::proto::names(NAMES);
        };
    };
}
