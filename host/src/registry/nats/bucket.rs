//! What is asked of JetStream: a bucket that is there, one value in it put or taken out, and all that
//! happens in it. It is made as NATS's own key-value buckets are, so that `nats kv` shows it.

use std::time::Duration;

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info as ConsumerInfo, IntoConsumerConfig, ReplayPolicy, push};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info};
use async_nats::jetstream::{Error, ErrorCode};
use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::registry::{LEASE, PATIENCE, RegistryError};

/// How often the server says that it is there while nothing changes.
const BEAT: Duration = Duration::from_secs(1);

/// How long the server keeps what it knows of a watch whose end it has not been told.
const ABANDONED: Duration = Duration::from_secs(10);

/// The shortest time that a server keeps values for.
const MIN_AGE: Duration = Duration::from_millis(100);

/// Servers of a cluster that keep the bucket, where it has as many.
const REPLICAS: usize = 3;

/// Says what was done to a key, where it was not put.
const OPERATION: &str = "KV-Operation";

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody listens: there is no such bucket, or no JetStream at all.
    #[error("JetStream is not there, or not yet; nats-server needs to be started with -js")]
    Nobody,
    /// No answer, or none that can be read.
    #[error("{0}")]
    Unanswered(String),
    /// JetStream itself says no.
    #[error("{0}")]
    Refused(Error),
}

impl Trouble {
    fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Trouble::Refused(error) if error.error_code() == code)
    }

    /// As a registry says it.
    pub(super) fn of(self, registry: &str) -> RegistryError {
        match self {
            // A server that is starting, or whose cluster has no leader, says 503.
            Trouble::Refused(error) if error.code() != 503 => RegistryError::Refused(registry.to_owned(), error.to_string()),
            other => RegistryError::Unreachable(registry.to_owned(), other.to_string()),
        }
    }
}

impl From<RequestError> for Trouble {
    fn from(error: RequestError) -> Trouble {
        match error.kind() {
            RequestErrorKind::NoResponders => Trouble::Nobody,
            RequestErrorKind::TimedOut => Trouble::Unanswered(format!("no answer within {PATIENCE:?}")),
            _ => Trouble::Unanswered(error.to_string()),
        }
    }
}

/// The bucket by its name, whatever connection it is asked over.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    stream: String,
    prefix: String,
}

impl Bucket {
    /// The bucket of this name: letters, digits, `-` and `_`.
    pub(super) fn new(name: &str) -> Bucket {
        Bucket { stream: format!("KV_{name}"), prefix: format!("$KV.{name}.") }
    }

    /// The key that a message is of.
    pub(super) fn key<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.prefix)
    }

    /// Makes the bucket, unless it is there, and has it keep values at least as long as `lease`. Tells
    /// whether as many servers keep it as are to.
    pub(super) async fn ensure(&self, client: &Client, lease: Option<Duration>) -> Result<bool, Trouble> {
        let age = lease.map(|lease| lease.max(MIN_AGE));
        let replicas = if client.server_info().cluster.is_some() { REPLICAS } else { 1 };
        let found: Result<Info, Trouble> = ask(client, format!("$JS.API.STREAM.INFO.{}", self.stream), None, "".into()).await;
        match found {
            Ok(info) => {
                let mut config = info.config;
                if let Some(age) = age.filter(|age| config.max_age < *age) {
                    let longer = Config { max_age: age, ..config.clone() };
                    match self.change(client, &longer).await {
                        Ok(()) => config = longer,
                        // A bucket that stays as it is still works: who watches keeps time himself, and who
                        // renews in time is there again.
                        Err(why) => tracing::warn!(
                            bucket = self.stream,
                            "values are kept for {:?} and not for {age:?}, as leases have it: {why}",
                            config.max_age
                        ),
                    }
                }
                if config.num_replicas >= replicas {
                    return Ok(true);
                }
                // It was made when the cluster was smaller, or while it was starting.
                let more = self.change(client, &Config { num_replicas: replicas, ..config }).await;
                if let Err(why) = &more {
                    tracing::debug!(bucket = self.stream, "fewer servers keep it than {replicas}: {why}");
                }
                Ok(more.is_ok())
            }
            Err(trouble) if trouble.is(ErrorCode::STREAM_NOT_FOUND) => self.make(client, age.unwrap_or(LEASE), replicas).await,
            Err(trouble) => Err(trouble),
        }
    }

    async fn make(&self, client: &Client, age: Duration, replicas: usize) -> Result<bool, Trouble> {
        let mut config = Config {
            name: self.stream.clone(),
            description: Some("The hosts of microhost, as they tell of themselves".to_owned()),
            subjects: vec![format!("{}>", self.prefix)],
            max_messages_per_subject: 1,
            max_age: age,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            num_replicas: replicas,
            ..Config::default()
        };
        loop {
            let made: Result<Info, Trouble> =
                ask(client, format!("$JS.API.STREAM.CREATE.{}", self.stream), None, json!(config).to_string().into()).await;
            match made {
                Ok(_) => return Ok(config.num_replicas == replicas),
                // Another host was faster. How many servers keep it is asked the next time.
                Err(trouble) if trouble.is(ErrorCode::STREAM_NAME_EXIST) => return Ok(false),
                // The cluster is smaller than that, or its servers do not all know of each other yet.
                Err(trouble)
                    if config.num_replicas > 1
                        && [ErrorCode::CLUSTER_NO_PEERS, ErrorCode::INSUFFICIENT_RESOURCES, ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED]
                            .iter()
                            .any(|code| trouble.is(*code)) =>
                {
                    config.num_replicas = 1;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn change(&self, client: &Client, config: &Config) -> Result<(), Trouble> {
        ask::<Info>(client, format!("$JS.API.STREAM.UPDATE.{}", self.stream), None, json!(config).to_string().into()).await.map(drop)
    }

    /// Puts a value.
    pub(super) async fn put(&self, client: &Client, key: &str, headers: HeaderMap, value: Bytes) -> Result<(), Trouble> {
        ask::<PublishAck>(client, format!("{}{key}", self.prefix), Some(headers), value).await.map(drop)
    }

    /// Takes a key out; those who watch are told.
    pub(super) async fn delete(&self, client: &Client, key: &str) -> Result<(), Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        self.put(client, key, headers, Bytes::new()).await
    }

    /// Has the server send to `inbox` the last value of each key, and then whatever happens.
    pub(super) async fn follow(&self, client: &Client, inbox: &str) -> Result<ConsumerInfo, Trouble> {
        let config = push::Config {
            deliver_subject: inbox.to_owned(),
            description: Some("A host of microhost".to_owned()),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: format!("{}>", self.prefix),
            replay_policy: ReplayPolicy::Instant,
            flow_control: true,
            idle_heartbeat: BEAT,
            num_replicas: 1,
            memory_storage: true,
            inactive_threshold: ABANDONED,
            ..push::Config::default()
        };
        let request = json!({ "stream_name": self.stream, "config": config.into_consumer_config() });
        ask(client, format!("$JS.API.CONSUMER.CREATE.{}", self.stream), None, request.to_string().into()).await
    }
}

/// Whether a message with these headers takes its key out.
pub(super) fn takes_out(headers: Option<&HeaderMap>) -> bool {
    let Some(headers) = headers else { return false };
    // The second one is of servers that tell when a value was let go.
    headers.get(OPERATION).is_some_and(|operation| operation.as_str() != "PUT") || headers.get("Nats-Marker-Reason").is_some()
}

async fn ask<T: DeserializeOwned>(client: &Client, subject: String, headers: Option<HeaderMap>, payload: Bytes) -> Result<T, Trouble> {
    let request = Request::new().payload(payload).timeout(Some(PATIENCE));
    let request = match headers {
        Some(headers) => request.headers(headers),
        None => request,
    };
    let answer = client.send_request(subject, request).await?;
    match serde_json::from_slice(&answer.payload) {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(Trouble::Refused(error)),
        Err(error) => Err(Trouble::Unanswered(format!("its answer cannot be read: {error}"))),
    }
}
