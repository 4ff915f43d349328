//! gRPC server reflection, v1 and v1alpha, of what is served at the moment.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use prost_types::FileDescriptorSet;
use tonic_reflection::server::Builder;
use tower_service::Service as _;

use super::health;
use crate::admin::{Catalog, Listing};

/// The start of every path of reflection.
pub(super) const PREFIX: &str = "/grpc.reflection.v1";

const V1: &str = "/grpc.reflection.v1.ServerReflection/";
const V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/";

type Answer = Box<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<tonic::body::Body>> + Send + Sync>;

/// The services for one state of the catalog.
struct Built {
    of: Arc<Listing>,
    v1: Answer,
    v1_alpha: Answer,
}

/// The reflection of a host.
pub(super) struct Reflection(ArcSwap<Built>);

impl Reflection {
    pub(super) fn new(catalog: &Catalog) -> Reflection {
        Reflection(ArcSwap::from_pointee(built(catalog.listing())))
    }

    /// Answers a request under [`PREFIX`].
    pub(super) async fn answer(&self, catalog: &Catalog, request: Request<Incoming>) -> Response<tonic::body::Body> {
        let listing = catalog.listing();
        if !Arc::ptr_eq(&self.0.load().of, &listing) {
            // Two that do this at once do it twice, and the outcome is the same.
            self.0.store(Arc::new(built(listing)));
        }
        let services = self.0.load_full();
        let path = request.uri().path();
        if path.starts_with(V1) {
            (services.v1)(request).await
        } else if path.starts_with(V1_ALPHA) {
            (services.v1_alpha)(request).await
        } else {
            tonic::Status::unimplemented("of gRPC reflection there are v1 and v1alpha").into_http()
        }
    }
}

fn built(of: Arc<Listing>) -> Built {
    let files = of.files();
    let v1 = builder(files.clone()).build_v1().map(|service| {
        answer_with(move |request| {
            let mut service = service.clone();
            async move { service.call(request).await }.map(|Ok(response)| response).boxed()
        })
    });
    let v1_alpha = builder(files).build_v1alpha().map(|service| {
        answer_with(move |request| {
            let mut service = service.clone();
            async move { service.call(request).await }.map(|Ok(response)| response).boxed()
        })
    });
    Built { of, v1: v1.unwrap_or_else(broken), v1_alpha: v1_alpha.unwrap_or_else(broken) }
}

fn builder(files: FileDescriptorSet) -> Builder<'static> {
    // A component that tells the host of its own health may have brought them: they would be listed twice.
    let are_there = files.file.iter().any(|file| file.service.iter().any(|of| [file.package(), of.name()].join(".") == health::NAME));
    let builder = Builder::configure().register_file_descriptor_set(files);
    if are_there { builder } else { builder.register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET) }
}

fn answer_with(answer: impl Fn(Request<Incoming>) -> BoxFuture<'static, Response<tonic::body::Body>> + Send + Sync + 'static) -> Answer {
    Box::new(answer)
}

/// The catalog takes valid descriptors only; should they not be shown all the same, calls go on.
fn broken(error: tonic_reflection::server::Error) -> Answer {
    tracing::error!(%error, "the descriptors of what is served cannot be reflected");
    Box::new(|_| std::future::ready(tonic::Status::internal("reflection is not available, the host's log says why").into_http()).boxed())
}
