//! Bare tonic's calls with streams, as its guide writes them: what the server makes comes from a task
//! through a channel, as a component's items do; what goes back is the client's own stream.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use tokio::sync::mpsc::{self, Receiver};

use crate::items::{CONSUME, Consumed, ECHO, Item, PRODUCE, ProduceRequest, SERVICE};

/// Items between a task and tonic: as many as in tonic's examples, and of large ones no more than these
/// bytes, since 128 MiB for each stream are nobody's intention.
const AHEAD: usize = 128;
const AHEAD_BYTES: usize = 256 << 10;

/// The service.
#[derive(Clone)]
pub struct StreamsServer {
    /// Whether tonic makes its items where it asks for them, without a task and a channel in between.
    pub direct: bool,
}

impl NamedService for StreamsServer {
    const NAME: &'static str = SERVICE;
}

impl Service<Request<Body>> for StreamsServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let direct = self.direct;
        Box::pin(async move {
            Ok(match request.uri().path() {
                PRODUCE => Grpc::new(ProstCodec::<Item, ProduceRequest>::default()).server_streaming(Produce { direct }, request).await,
                CONSUME => Grpc::new(ProstCodec::<Consumed, Item>::default()).client_streaming(Consume, request).await,
                ECHO => Grpc::new(ProstCodec::<Item, Item>::default()).streaming(Echo, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

type Items = BoxStream<'static, Result<Item, Status>>;
type Reply<T> = Ready<Result<tonic::Response<T>, Status>>;

/// What comes out of a channel.
fn received(receiver: Receiver<Result<Item, Status>>) -> Items {
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) }).boxed()
}

struct Produce {
    direct: bool,
}

impl ServerStreamingService<ProduceRequest> for Produce {
    type Response = Item;
    type ResponseStream = Items;
    type Future = Reply<Items>;

    fn call(&mut self, request: tonic::Request<ProduceRequest>) -> Self::Future {
        let ProduceRequest { count, size } = request.into_inner();
        let mut items = (0..count).map(move |_| Ok(Item { value: vec![b'm'; size as usize] }));
        if self.direct {
            return ready(Ok(tonic::Response::new(stream::iter(items).boxed())));
        }
        let (sender, receiver) = mpsc::channel((AHEAD_BYTES / (size as usize).max(1)).clamp(1, AHEAD));
        tokio::spawn(async move {
            // It fails when the client has gone, and nobody reads on.
            while let Some(item) = items.next()
                && sender.send(item).await.is_ok()
            {}
        });
        ready(Ok(tonic::Response::new(received(receiver))))
    }
}

struct Consume;

impl ClientStreamingService<Item> for Consume {
    type Response = Consumed;
    type Future = BoxFuture<'static, Result<tonic::Response<Consumed>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Item>>) -> Self::Future {
        Box::pin(async move {
            let mut items = request.into_inner();
            let mut value = 0;
            while items.message().await?.is_some() {
                value += 1;
            }
            Ok(tonic::Response::new(Consumed { value }))
        })
    }
}

struct Echo;

impl StreamingService<Item> for Echo {
    type Response = Item;
    type ResponseStream = Streaming<Item>;
    type Future = Reply<Streaming<Item>>;

    fn call(&mut self, request: tonic::Request<Streaming<Item>>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}
