//! The way by which generated clients call in a component: the host's.

use std::time::Duration;

use super::client::{Receiving, Sending, Transport};
use crate::handler::{Codec, Failure};
use crate::rpc::{self, Options};

/// Calls by the host, which finds the service: `PaymentsClient::new(Host::new())`.
///
/// What the service may call is granted in its settings; see [`rpc`].
#[derive(Clone, Debug, Default)]
pub struct Host(Options);

impl Host {
    /// The host, with nothing beside the messages.
    pub fn new() -> Host {
        Host::default()
    }

    /// Sends metadata with each call; see [`rpc::Call::metadata`].
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Host {
        self.0.metadata.push((name.into(), value.into()));
        self
    }

    /// Waits no longer than this for a call's end; see [`rpc::Call::timeout`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Host {
        self.0.timeout = Some(timeout);
        self
    }

    /// Says that a second call does no more than the first, of every method that is called by it; see
    /// [`rpc::Call::idempotent`].
    #[must_use]
    pub fn idempotent(mut self) -> Host {
        self.0.idempotent = true;
        self
    }
}

impl Transport for Host {
    type Sending = rpc::Sender<Vec<u8>>;
    type Receiving = rpc::Receiver<Vec<u8>>;

    async fn call(&self, service: &str, method: &str, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        Ok(rpc::call(service, method).with(self.0.clone()).bytes(Codec::Proto, message).reply().await?.message)
    }

    async fn open(&self, service: &str, method: &str) -> Result<(Self::Sending, Self::Receiving), Failure> {
        Ok(rpc::call(service, method).with(self.0.clone()).bytes_streams(Codec::Proto))
    }
}

impl Sending for rpc::Sender<Vec<u8>> {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), Failure> {
        Ok(self.send_encoded(message).await?)
    }
}

impl Receiving for rpc::Receiver<Vec<u8>> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(rpc::Receiver::next(self).await?)
    }
}
