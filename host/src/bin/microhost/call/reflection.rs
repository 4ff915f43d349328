//! What a host offers, asked by gRPC reflection, which every gRPC server of weight has.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::names::Offered;
use super::target::{Target, Version};
use crate::failure::Outcome;

/// Asks what a host offers; `Ok(Err(why))` where it answers but does not tell.
pub async fn ask(target: &Target, headers: &HeaderMap) -> Outcome<Result<Vec<Offered>, String>> {
    let wire = target.connect(Version::Two).await?;
    Ok(list(wire, target, headers).await)
}

async fn list(
    wire: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Vec<Offered>, String> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), wire).await.map_err(|error| error.to_string())?;
    // Ends with the command's runtime; its error reaches the sender too.
    tokio::spawn(connection);
    let origin = target.origin().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let mut client = ServerReflectionClient::with_origin(Channel(sender), origin);

    let services = match &exchange(&mut client, headers, vec![MessageRequest::ListServices(String::new())]).await?[..] {
        [MessageResponse::ListServicesResponse(list)] => list.service.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        _ => return Err("the host's answer is no list of services".to_owned()),
    };
    let symbols = services.iter().cloned().map(MessageRequest::FileContainingSymbol).collect();
    let files = exchange(&mut client, headers, symbols).await?;
    Ok(services.into_iter().zip(files).map(|(service, file)| Offered { methods: methods(&service, &file), service }).collect())
}

/// Puts questions and waits for as many answers.
async fn exchange(
    client: &mut ServerReflectionClient<Channel>,
    headers: &HeaderMap,
    questions: Vec<MessageRequest>,
) -> Result<Vec<MessageResponse>, String> {
    let count = questions.len();
    let questions = questions.into_iter().map(|question| ServerReflectionRequest { host: String::new(), message_request: Some(question) });
    let mut request = tonic::Request::new(stream::iter(questions));
    *request.metadata_mut() = MetadataMap::from_headers(headers.clone());
    let mut answers = client.server_reflection_info(request).await.map_err(told)?.into_inner();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let answer = answers.message().await.map_err(told)?.ok_or("the host stopped answering")?;
        all.push(answer.message_response.ok_or("the host sent an empty answer")?);
    }
    Ok(all)
}

fn told(status: tonic::Status) -> String {
    format!("{}: {}", status.code(), status.message())
}

/// The methods of a service; none where its file is not told.
fn methods(service: &str, answer: &MessageResponse) -> Vec<String> {
    let MessageResponse::FileDescriptorResponse(files) = answer else { return Vec::new() };
    let files = files.file_descriptor_proto.iter().filter_map(|bytes| FileDescriptorProto::decode(&bytes[..]).ok());
    for file in files {
        for one in &file.service {
            let full = match file.package() {
                "" => one.name().to_owned(),
                package => format!("{package}.{}", one.name()),
            };
            if full == service {
                return one.method.iter().map(|method| method.name().to_owned()).collect();
            }
        }
    }
    Vec::new()
}

/// An HTTP/2 connection as tonic's client wants it.
struct Channel(SendRequest<Body>);

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
