//! What a host offers, asked by gRPC reflection, which every gRPC server of weight has.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use microhost::schema::MethodKind;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::names::{Method, Offered};
use super::target::{Target, Version};
use super::tasks::Tasks;
use crate::failure::Outcome;

/// A schema has no more files than this.
const MAX_FILES: usize = 4096;

/// What a host offers, and the descriptors that it told of it.
pub struct Catalog {
    client: ServerReflectionClient<Channel>,
    headers: HeaderMap,
    offered: Vec<Offered>,
    files: BTreeMap<String, FileDescriptorProto>,
}

/// Asks what a host offers; `Ok(Err(why))` where it answers but does not tell.
///
/// The connection is driven by `tasks`.
pub async fn ask(target: &Target, headers: &HeaderMap, tasks: &Tasks) -> Outcome<Result<Catalog, String>> {
    let wire = target.connect(Version::Two).await?;
    Ok(list(wire, target, headers, tasks).await)
}

async fn list(
    wire: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    target: &Target,
    headers: &HeaderMap,
    tasks: &Tasks,
) -> Result<Catalog, String> {
    let (sender, connection) = http2::handshake(tasks.clone(), wire).await.map_err(|error| error.to_string())?;
    // Its error reaches the sender too.
    tasks.execute(connection);
    let origin = target.origin().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let mut client = ServerReflectionClient::with_origin(Channel(sender), origin);

    let services = match &exchange(&mut client, headers, vec![MessageRequest::ListServices(String::new())]).await?[..] {
        [MessageResponse::ListServicesResponse(list)] => list.service.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        _ => return Err("the host's answer is no list of services".to_owned()),
    };
    let symbols = services.iter().cloned().map(MessageRequest::FileContainingSymbol).collect();
    let mut files = BTreeMap::new();
    for answer in exchange(&mut client, headers, symbols).await? {
        keep(answer, &mut files)?;
    }
    let offered = services.into_iter().map(|service| Offered { methods: methods(&service, &files), service }).collect();
    Ok(Catalog { client, headers: headers.clone(), offered, files })
}

/// Keeps the files of an answer; one that tells of an error has none.
fn keep(answer: MessageResponse, files: &mut BTreeMap<String, FileDescriptorProto>) -> Result<(), String> {
    let MessageResponse::FileDescriptorResponse(answer) = answer else { return Ok(()) };
    for file in answer.file_descriptor_proto.iter().filter_map(|bytes| FileDescriptorProto::decode(&bytes[..]).ok()) {
        files.insert(file.name().to_owned(), file);
    }
    if files.len() > MAX_FILES { Err(format!("its schema has more than {MAX_FILES} files")) } else { Ok(()) }
}

impl Catalog {
    /// The services.
    pub fn offered(&self) -> &[Offered] {
        &self.offered
    }

    /// The descriptors of all that is offered. What they import is asked for: some hosts send a
    /// file's imports along with it, and some do not.
    pub async fn schema(mut self) -> Result<DescriptorPool, String> {
        // It has the files of protobuf's own types, which hosts need not tell.
        let known = DescriptorPool::global();
        loop {
            let missing = |name: &&String| !self.files.contains_key(*name) && known.get_file_by_name(name).is_none();
            let mut names: Vec<String> = self.files.values().flat_map(|file| &file.dependency).filter(missing).cloned().collect();
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                break;
            }
            let questions = names.iter().cloned().map(MessageRequest::FileByFilename).collect();
            for answer in exchange(&mut self.client, &self.headers, questions).await? {
                keep(answer, &mut self.files)?;
            }
            if let Some(untold) = names.iter().find(|name| !self.files.contains_key(*name)) {
                return Err(format!("its schema imports {untold}, which it does not tell"));
            }
        }
        let mut pool = known.clone();
        let own = self.files.into_values().filter(|file| known.get_file_by_name(file.name()).is_none());
        pool.add_file_descriptor_protos(own).map_err(|error| format!("its schema is not valid: {error}"))?;
        Ok(pool)
    }
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
fn methods(service: &str, files: &BTreeMap<String, FileDescriptorProto>) -> Vec<Method> {
    let full = |file: &FileDescriptorProto, name: &str| match file.package() {
        "" => name.to_owned(),
        package => format!("{package}.{name}"),
    };
    let found = files.values().flat_map(|file| file.service.iter().map(move |one| (file, one)));
    let found = found.into_iter().find(|(file, one)| full(file, one.name()) == service);
    let methods = found.into_iter().flat_map(|(_, one)| &one.method);
    methods
        .map(|method| Method { name: method.name().to_owned(), kind: MethodKind::of(method.client_streaming(), method.server_streaming()) })
        .collect()
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
