//! One run of messages from the server, as long as nothing is amiss with it: none missing, none out of
//! order, and a sign of life at least every few seconds. Otherwise it ends, and says why.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::{self, Context};
use async_nats::{Client, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::bucket::{self, Bucket, Trouble};
use super::wire;
use crate::connections::{Link, Nats};
use crate::registry::PATIENCE;

/// With the server's beats: the number of the last message that it has sent.
const LAST_SENT: &str = "Nats-Last-Consumer";

/// With the server's beats: it waits for an answer under this subject before it goes on.
const STALLED: &str = "Nats-Consumer-Stalled";

/// What has happened in the bucket.
#[derive(Debug)]
pub(super) enum Heard {
    /// A value was put, so long ago.
    Put { key: String, value: Bytes, lease: Duration, age: Duration },
    /// A key was taken out.
    Removed { key: String },
    /// Nothing, and the server is there.
    Beat,
}

/// All that happens in a bucket, over one connection.
pub(super) struct Source {
    bucket: Bucket,
    client: Client,
    context: Context,
    link: watch::Receiver<Link>,
    /// Of the connection that the server sends over.
    number: u64,
    messages: Subscriber,
    /// Messages so far; the server counts them.
    count: u64,
    /// When this began, by the server's clock: what it says of other times is compared with that only.
    began: SystemTime,
    complete: bool,
    sign: Instant,
}

impl Source {
    /// Begins with the last value of each key.
    pub(super) async fn open(server: &Nats, bucket: &Bucket) -> Result<Source, String> {
        let (client, number) = server.connected().await.map_err(|error| error.to_string())?;
        let (client, link) = (client.clone(), server.link());
        bucket.ensure(&client, None).await.map_err(|trouble| trouble.to_string())?;
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        let info = bucket.follow(&client, &inbox).await.map_err(|trouble: Trouble| trouble.to_string())?;
        let began = SystemTime::from(info.created);
        let (context, complete) = (jetstream::new(client.clone()), info.num_pending == 0);
        Ok(Source { bucket: bucket.clone(), client, context, link, number, messages, count: 0, began, complete, sign: Instant::now() })
    }

    /// Whether all has been told that was there when it began.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// When the server last gave a sign of life.
    pub(super) fn sign(&self) -> Instant {
        self.sign
    }

    /// Waits for what happens next.
    pub(super) async fn next(&mut self) -> Result<Heard, String> {
        let message = tokio::select! {
            // What has been sent is heard before it is asked how the connection is.
            biased;
            message = self.messages.next() => message.ok_or("the subscription has ended")?,
            why = broken(&mut self.link, self.number) => return Err(why),
            () = tokio::time::sleep_until(self.sign + PATIENCE) => return Err(format!("no sign of life within {PATIENCE:?}")),
        };
        self.sign = Instant::now();
        match message.status {
            None => self.heard(message),
            Some(StatusCode::IDLE_HEARTBEAT) => self.beat(message).await,
            Some(status) => Err(format!("the server ends the watch: {status} {}", message.description.unwrap_or_default())),
        }
    }

    fn heard(&mut self, message: Message) -> Result<Heard, String> {
        let message = jetstream::Message { message, context: self.context.clone() };
        let info = message.info().map_err(|error| format!("a message cannot be read: {error}"))?;
        self.count += 1;
        if info.consumer_sequence != self.count {
            return Err("messages were lost".to_owned());
        }
        let age = if self.complete { Duration::ZERO } else { self.began.duration_since(info.published.into()).unwrap_or_default() };
        self.complete |= info.pending == 0;
        let Some(key) = self.bucket.key(&message.subject) else {
            return Err(format!("a message of something else: {}", message.subject));
        };
        let (key, headers) = (key.to_owned(), message.headers.as_ref());
        Ok(match bucket::takes_out(headers) {
            true => Heard::Removed { key },
            false => Heard::Put { key, lease: wire::lease(headers), value: message.payload.clone(), age },
        })
    }

    async fn beat(&mut self, message: Message) -> Result<Heard, String> {
        let headers = message.headers.unwrap_or_default();
        let stalled = headers.get(STALLED).map(|subject| subject.as_str().to_owned());
        let waits = stalled.is_some() || message.reply.is_some();
        for subject in stalled.into_iter().chain(message.reply.map(|reply| reply.to_string())) {
            self.client.publish(subject, Bytes::new()).await.map_err(|error| error.to_string())?;
        }
        if let Some(sent) = headers.get(LAST_SENT).and_then(|sent| sent.as_str().parse::<u64>().ok()) {
            if sent != self.count {
                return Err("messages were lost".to_owned());
            }
            // Values may be let go before they are sent; then no message is the last one.
            self.complete |= !waits;
        }
        Ok(Heard::Beat)
    }
}

/// Waits until there is another connection than this one, or none, and says why.
async fn broken(link: &mut watch::Receiver<Link>, number: u64) -> String {
    match link.wait_for(|link| *link != Link::Up(number)).await.as_deref() {
        Ok(Link::Down(why)) => why.clone(),
        _ => "the connection broke".to_owned(),
    }
}
