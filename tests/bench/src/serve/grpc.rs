//! Bare tonic: its own server and router, unary calls, prost. The service is what tonic's code generator
//! writes, by hand, so that no protoc is needed.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;

use super::streams::StreamsServer;
use crate::message::{Message, PATH, SERVICE};

pub async fn serve(listener: TcpListener, direct: bool) -> Result<()> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(EchoServer)
        .add_service(StreamsServer { direct })
        .serve_with_incoming(incoming)
        .await
        .context("the gRPC server stopped")
}

#[derive(Clone)]
struct EchoServer;

impl NamedService for EchoServer {
    const NAME: &'static str = SERVICE;
}

impl Service<Request<Body>> for EchoServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(tonic::Status::unimplemented("no such method").into_http());
            }
            Ok(Grpc::new(ProstCodec::<Message, Message>::default()).unary(Echo, request).await)
        })
    }
}

struct Echo;

impl UnaryService<Message> for Echo {
    type Response = Message;
    type Future = Ready<Result<tonic::Response<Message>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Message>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}
