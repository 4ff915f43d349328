//! Bare tonic's calls with streams: as its examples write them, and with no channel in between, so
//! that no more is measured against than tonic itself.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::items::{CONSUME, Consumed, ECHO, Item, PRODUCE, ProduceRequest, SERVICE};

/// The service.
#[derive(Clone)]
pub struct StreamsServer;

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
        Box::pin(async move {
            Ok(match request.uri().path() {
                PRODUCE => Grpc::new(ProstCodec::<Item, ProduceRequest>::default()).server_streaming(Produce, request).await,
                CONSUME => Grpc::new(ProstCodec::<Consumed, Item>::default()).client_streaming(Consume, request).await,
                ECHO => Grpc::new(ProstCodec::<Item, Item>::default()).streaming(Echo, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Produce;

/// So many items, made one after the other as they are asked for.
fn items(ProduceRequest { count, size }: ProduceRequest) -> impl Stream<Item = Result<Item, Status>> + Send {
    stream::iter((0..count).map(move |_| Ok(Item { value: vec![b'm'; size as usize] })))
}

impl ServerStreamingService<ProduceRequest> for Produce {
    type Response = Item;
    type ResponseStream = BoxStream<'static, Result<Item, Status>>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<ProduceRequest>) -> Self::Future {
        ready(Ok(tonic::Response::new(items(request.into_inner()).boxed())))
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
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Item>>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}
