//! Hosts that know a NATS server find one another by it: a bucket of JetStream's key-value store has a key
//! for each host, and whoever watches it hears of all.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::Client;
use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Changes, MAX_NODE, Node, PATIENCE, Registry, RegistryError};
use crate::connections;
use crate::settings::HostName;

mod bucket;
mod leases;
mod source;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use bucket::{Bucket, Trouble};

/// Bytes of a message beside its value: headers.
const HEADERS: usize = 256;

/// How long a bucket that fewer servers keep than should is left at that.
const FEW: Duration = Duration::from_secs(2);

/// A bucket that was found to be there.
#[derive(Clone, Copy)]
struct Ready {
    /// The connection over which it was.
    over: u64,
    /// How long it keeps values.
    kept: Duration,
    /// When it was, where fewer servers keep it than should.
    few: Option<Instant>,
}

/// The registry of a NATS server.
pub struct Nats {
    server: Arc<connections::Nats>,
    bucket: Bucket,
    ready: Mutex<Option<Ready>>,
    /// The node that was put last, as it is put again at each renewal.
    written: Mutex<Option<(Arc<Node>, Bytes)>>,
}

impl Nats {
    /// The hosts of a cluster that a server knows of, in the bucket `microhost_nodes_NAME`. It is made
    /// when it is missing.
    pub fn new(server: Arc<connections::Nats>, cluster: &HostName) -> Nats {
        let bucket = Bucket::new(&format!("microhost_nodes_{cluster}"));
        Nats { server, bucket, ready: Mutex::default(), written: Mutex::default() }
    }

    fn unreachable(&self, why: impl ToString) -> RegistryError {
        RegistryError::Unreachable(self.server.name().to_owned(), why.to_string())
    }

    fn refused(&self, why: impl ToString) -> RegistryError {
        RegistryError::Refused(self.server.name().to_owned(), why.to_string())
    }

    /// Ends after [`PATIENCE`], whatever is not answered.
    async fn patient(&self, doing: impl Future<Output = Result<(), RegistryError>>) -> Result<(), RegistryError> {
        let late = || self.unreachable(format!("no answer within {PATIENCE:?}"));
        tokio::time::timeout(PATIENCE, doing).await.unwrap_or_else(|_| Err(late()))
    }

    fn key(&self, id: &str) -> Result<String, RegistryError> {
        let key = wire::key(id);
        if key.len() > wire::MAX_KEY {
            Err(self.refused(format!("the id of the node has more than {} bytes", wire::MAX_KEY)))
        } else {
            Ok(key)
        }
    }

    /// The node as it is put.
    fn value(&self, node: &Arc<Node>, most: usize) -> Result<Bytes, RegistryError> {
        let mut written = self.written.lock().expect("no holder panics");
        let value = match written.as_ref() {
            Some((last, value)) if Arc::ptr_eq(last, node) => value.clone(),
            _ => {
                let (value, bytes) = wire::encode(node).map_err(|error| self.refused(error))?;
                self.fits(bytes, MAX_NODE)?;
                *written = Some((Arc::clone(node), value.clone()));
                value
            }
        };
        self.fits(value.len(), most)?;
        Ok(value)
    }

    fn fits(&self, bytes: usize, most: usize) -> Result<(), RegistryError> {
        if bytes <= most { Ok(()) } else { Err(RegistryError::TooLarge { registry: self.server.name().to_owned(), bytes, most }) }
    }

    /// Has a bucket that keeps values as long as `lease`, asking once a connection, and again while too few
    /// servers keep it.
    async fn ready(&self, client: &Client, number: u64, lease: Duration) -> Result<(), Trouble> {
        let ready = *self.ready.lock().expect("no holder panics");
        if ready.is_some_and(|Ready { over, kept, few }| over == number && kept >= lease && few.is_none_or(|since| since.elapsed() < FEW)) {
            return Ok(());
        }
        let whole = self.bucket.ensure(client, Some(lease)).await?;
        let few = (!whole).then(Instant::now);
        *self.ready.lock().expect("no holder panics") = Some(Ready { over: number, kept: lease, few });
        Ok(())
    }

    async fn put(&self, node: Arc<Node>, lease: Duration) -> Result<(), RegistryError> {
        let key = self.key(&node.id)?;
        let (client, number) = self.server.connected().await.map_err(|error| self.unreachable(error))?;
        let value = self.value(&node, client.max_payload().saturating_sub(HEADERS))?;
        let put = async {
            self.ready(client, number, lease).await?;
            match self.bucket.put(client, &key, wire::headers(lease), value.clone()).await {
                // Somebody has deleted the bucket.
                Err(Trouble::Nobody) => {
                    self.ready.lock().expect("no holder panics").take();
                    self.ready(client, number, lease).await?;
                    self.bucket.put(client, &key, wire::headers(lease), value).await
                }
                done => done,
            }
        };
        put.await.map_err(|trouble| trouble.of(self.server.name()))
    }

    async fn delete(&self, id: String) -> Result<(), RegistryError> {
        let key = self.key(&id)?;
        let (client, _) = self.server.connected().await.map_err(|error| self.unreachable(error))?;
        match self.bucket.delete(client, &key).await {
            // No bucket, so no node.
            Ok(()) | Err(Trouble::Nobody) => Ok(()),
            Err(trouble) => Err(trouble.of(self.server.name())),
        }
    }
}

impl Registry for Nats {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn register(&self, node: Arc<Node>, lease: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(self.patient(self.put(node, lease)))
    }

    fn deregister(&self, id: &str) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(self.patient(self.delete(id.to_owned())))
    }

    fn watch(&self) -> Changes {
        watch::watch(Arc::clone(&self.server), self.bucket.clone())
    }
}
