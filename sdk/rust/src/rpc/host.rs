//! Calls as the host takes them.

#[cfg(target_family = "wasm")]
pub(super) use component::{Incoming, Outgoing, call, open};
#[cfg(not(target_family = "wasm"))]
pub(super) use nowhere::{Incoming, Outgoing, call, open};

use super::Options;
use crate::bindings::microhost::service::context::Entry;
use bindings::microhost::service::rpc as wit;

pub(super) use wit::Target;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package microhost:sdk-rpc;

            world rpc {
                import microhost:service/rpc@0.1.0;
            }
        ",
        path: ["wit"],
        with: {
            "microhost:service/rpc@0.1.0": generate,
            "microhost:service/types@0.1.0": crate::bindings::microhost::service::types,
            "microhost:service/context@0.1.0": crate::bindings::microhost::service::context,
        },
    });
}

/// What is called, and how.
pub(super) fn target(service: String, method: String, codec: &str, options: Options) -> Target {
    let metadata = options.metadata.into_iter().map(|(name, value)| Entry { name, value });
    Target {
        service,
        method,
        codec: codec.to_owned(),
        metadata: metadata.collect(),
        // Longer than that nobody waits.
        timeout: options.timeout.map(|timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)),
        idempotent: options.idempotent,
    }
}

#[cfg(target_family = "wasm")]
mod component {
    use wit_bindgen::rt::async_support::{FutureReader, StreamWriter};

    use super::{Entry, Target, bindings, wit};
    use crate::bindings::microhost::service::types;
    use crate::context::Metadata;
    use crate::handler::{Detail, Failure, Requests};
    use crate::rpc::{Error, Reply};
    use crate::status::Status;

    impl From<wit::Error> for Error {
        fn from(error: wit::Error) -> Error {
            let types::Failure { code, message, details } = error.failure;
            let details = details.into_iter().map(|detail| Detail { type_name: detail.type_name, value: detail.value });
            Error { failure: Failure { status: Status { code, message }, details: details.collect() }, metadata: error.metadata.into() }
        }
    }

    pub async fn call(target: Target, message: Vec<u8>) -> Result<Reply<Vec<u8>>, Error> {
        let wit::Reply { message, headers, trailers } = wit::call(target, message).await?;
        Ok(Reply { message, headers: headers.into(), trailers: trailers.into() })
    }

    pub fn open(target: Target) -> (Outgoing, Incoming) {
        let (writer, messages) = bindings::wit_stream::new();
        let replies = wit::open(&target, messages);
        let messages = Some(Requests::new(replies.messages));
        (Outgoing(writer), Incoming { headers: Some(replies.headers), messages, ending: Some(replies.ending) })
    }

    /// The way for a call's messages.
    pub struct Outgoing(StreamWriter<Vec<u8>>);

    impl Outgoing {
        /// Whether somebody took it.
        pub async fn send(&mut self, message: Vec<u8>) -> bool {
            self.0.write_one(message).await.is_none()
        }
    }

    /// What a reply brings.
    pub struct Incoming {
        headers: Option<FutureReader<Vec<Entry>>>,
        messages: Option<Requests>,
        ending: Option<FutureReader<Result<Vec<Entry>, wit::Error>>>,
    }

    impl Incoming {
        /// Waits until the reply begins.
        pub async fn headers(&mut self) -> Metadata {
            match self.headers.take() {
                Some(headers) => headers.await.into(),
                None => Metadata::default(),
            }
        }

        pub async fn next(&mut self) -> Option<Vec<u8>> {
            let message = self.messages.as_mut()?.next().await;
            if message.is_none() {
                self.messages = None;
            }
            message
        }

        /// How the messages ended; told once.
        pub async fn ending(&mut self) -> Result<Metadata, Error> {
            match self.ending.take() {
                Some(ending) => Ok(ending.await?.into()),
                None => Ok(Metadata::default()),
            }
        }
    }
}

/// What is called where there is no host.
#[cfg(not(target_family = "wasm"))]
mod nowhere {
    use super::Target;
    use crate::context::Metadata;
    use crate::handler::Failure;
    use crate::rpc::{Error, Reply};

    fn no_host(target: &Target) -> Error {
        let Target { service, method, .. } = target;
        Failure::unavailable(format!("{service}/{method} cannot be called: this code runs in no component, so there is no host to call by"))
            .into()
    }

    pub async fn call(target: Target, _: Vec<u8>) -> Result<Reply<Vec<u8>>, Error> {
        Err(no_host(&target))
    }

    pub fn open(target: Target) -> (Outgoing, Incoming) {
        (Outgoing, Incoming(Some(no_host(&target))))
    }

    pub struct Outgoing;

    impl Outgoing {
        pub async fn send(&mut self, _: Vec<u8>) -> bool {
            false
        }
    }

    pub struct Incoming(Option<Error>);

    impl Incoming {
        pub async fn headers(&mut self) -> Metadata {
            Metadata::default()
        }

        pub async fn next(&mut self) -> Option<Vec<u8>> {
            None
        }

        pub async fn ending(&mut self) -> Result<Metadata, Error> {
            match self.0.take() {
                Some(error) => Err(error),
                None => Ok(Metadata::default()),
            }
        }
    }
}
