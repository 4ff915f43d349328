//! What a hop replaces: tonic's client, over loopback, to a tonic server in another process.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use futures::stream;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Streaming};
use tonic_prost::ProstCodec;

use super::Work;
use crate::items::{CONSUME, Consumed, ECHO, Item, PRODUCE, ProduceRequest};
use crate::message::{Message, PATH};

/// Does the work with the server at `address`, over one connection; how long it took.
pub fn run(address: SocketAddr, work: Work) -> Result<Duration> {
    // What `#[tokio::main]` makes, as most clients have it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the tokio runtime")?;
    // On a task: the thread that waits for the runtime is not one of its own.
    runtime.block_on(async { tokio::spawn(connected(address, work)).await.context("the client panicked")? })
}

async fn connected(address: SocketAddr, work: Work) -> Result<Duration> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).context("no address")?.tcp_nodelay(true);
    let channel = endpoint.connect().await.with_context(|| format!("cannot connect to {address}"))?;
    let began = Instant::now();
    match work {
        Work::Calls { count, width } => {
            let several = (0..width).map(|place| tokio::spawn(calls(channel.clone(), super::share(count, width, place))));
            for done in try_join_all(several).await.context("a client panicked")? {
                done?;
            }
        }
        Work::Produce { count, size } => {
            let mut client = ready(channel).await?;
            let codec = ProstCodec::<ProduceRequest, Item>::default();
            let reply = client.server_streaming(ProduceRequest { count, size }.into_request(), path(PRODUCE), codec).await?;
            all_came(count, read(reply.into_inner()).await?)?;
        }
        Work::Consume { count, size } => {
            let mut client = ready(channel).await?;
            let codec = ProstCodec::<Item, Consumed>::default();
            let reply = client.client_streaming(made(count, size).into_request(), path(CONSUME), codec).await?;
            all_came(count, reply.into_inner().value)?;
        }
        Work::Echo { count, size } => {
            let mut client = ready(channel).await?;
            let reply = client.streaming(made(count, size).into_request(), path(ECHO), ProstCodec::<Item, Item>::default()).await?;
            all_came(count, read(reply.into_inner()).await?)?;
        }
    }
    Ok(began.elapsed())
}

fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>> {
    let mut client = Grpc::new(channel);
    client.ready().await.context("the connection is gone")?;
    Ok(client)
}

async fn calls(channel: Channel, count: u32) -> Result<()> {
    let mut client = Grpc::new(channel);
    let message = Message::sample();
    for _ in 0..count {
        client.ready().await.context("the connection is gone")?;
        let reply = client.unary(message.clone().into_request(), path(PATH), ProstCodec::<Message, Message>::default()).await?;
        ensure!(*reply.get_ref() == message, "the answer is not what was sent");
    }
    Ok(())
}

fn made(count: u32, size: u32) -> impl futures::Stream<Item = Item> + Send + 'static {
    stream::iter((0..count).map(move |_| Item { value: vec![7; size as usize] }))
}

async fn read(mut items: Streaming<Item>) -> Result<u64> {
    let mut came = 0;
    while items.message().await?.is_some() {
        came += 1;
    }
    Ok(came)
}

fn all_came(count: u32, came: u64) -> Result<()> {
    ensure!(came == u64::from(count), "{came} of {count} messages came");
    Ok(())
}
