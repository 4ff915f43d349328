//! A host of the tests' own, which does what a good one never does: it goes away, sends what nobody
//! may send, or stops reading.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::grpc::frame;
use crate::soon;

/// The path of reflection.
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// What answers calls.
pub type Script = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A host at an address of its own: it offers `test.peer.Peer` with the methods `One`, `Up`, `Down`
/// and `Both`, of a message `test.note.Note { string text = 1; }`, over HTTP/2 without TLS.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Peer {
    /// A host whose calls are answered by `script`, each in a task of its own.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Peer
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Peer::serve(script, true).await
    }

    /// The same without reflection.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn secretive<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Peer
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Peer::serve(script, false).await
    }

    async fn serve<F>(script: impl Fn(Call) -> F + Send + Sync + 'static, tells: bool) -> Peer
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let script: Script = Arc::new(move |call| Box::pin(script(call)));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let script = Arc::clone(&script);
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    // Small, so that a caller that does not wait for room is found out soon.
                    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
                    while let Some(Ok((request, response))) = connection.accept().await {
                        let mut call = Call::new(request, response);
                        if call.path == REFLECTION && tells {
                            tokio::spawn(reflect(call));
                        } else if call.path == REFLECTION {
                            call.begin().trailers(&[("grpc-status", "12")]);
                        } else {
                            tokio::spawn(script(call));
                        }
                    }
                });
            }
        });
        Peer { address, task }
    }

    /// `microhost` with arguments against this host.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> crate::command::Command {
        crate::command::Command::microhost(args).args(["--at", &format!("http://{}", self.address)])
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How much a caller may send ahead of the one who reads.
pub const WINDOW: u32 = 65_535;

/// A call, with all that HTTP/2 can do to it.
pub struct Call {
    /// `/test.peer.Peer/Both`
    pub path: String,
    /// The request's headers.
    pub headers: HeaderMap,
    body: RecvStream,
    buffer: BytesMut,
    response: SendResponse<Bytes>,
    out: Option<SendStream<Bytes>>,
}

impl Call {
    fn new(request: Request<RecvStream>, response: SendResponse<Bytes>) -> Call {
        let (head, body) = request.into_parts();
        Call { path: head.uri.path().to_owned(), headers: head.headers, body, buffer: BytesMut::new(), response, out: None }
    }

    /// The next message of a body of frames; how the caller reset the call, if it did.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Option<Reason>> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<5>() {
                let length = 5 + u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
                if self.buffer.len() >= length {
                    return Ok(Some(self.buffer.split_to(length).freeze().slice(5..)));
                }
            }
            match self.body.data().await {
                None => return Ok(None),
                Some(Ok(data)) => {
                    let _ = self.body.flow_control().release_capacity(data.len());
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(error.reason()),
            }
        }
    }

    /// How the caller resets the call, waited for.
    ///
    /// # Panics
    /// If it does not.
    pub async fn reset_by_caller(&mut self) -> Option<Reason> {
        soon("the caller's reset", async {
            loop {
                match self.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        let out = self.out.as_mut().expect("the answer has begun");
                        return futures::future::poll_fn(|context| out.poll_reset(context)).await.ok();
                    }
                    Err(reason) => return reason,
                }
            }
        })
        .await
    }

    /// Begins the answer, in the content type of the request.
    pub fn begin(&mut self) -> &mut Call {
        let content_type = self.headers.get("content-type").cloned().expect("a call has a content type");
        let response = Response::builder().header("content-type", content_type).body(()).expect("a response");
        self.out = self.response.send_response(response, false).ok();
        self
    }

    /// Sends bytes as they are. The caller may be gone.
    pub fn send(&mut self, bytes: impl Into<Bytes>) -> &mut Call {
        if let Some(out) = &mut self.out {
            let _ = out.send_data(bytes.into(), false);
        }
        self
    }

    /// Sends a message.
    pub fn reply(&mut self, text: &str) -> &mut Call {
        self.send(frame(false, &Note { text: text.to_owned() }.encode_to_vec()))
    }

    /// Ends with these trailers.
    pub fn trailers(&mut self, pairs: &[(&'static str, &'static str)]) {
        let trailers = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        if let Some(out) = &mut self.out {
            let _ = out.send_trailers(trailers.collect());
        }
    }

    /// Ends without trailers.
    pub fn end(&mut self) {
        if let Some(out) = &mut self.out {
            let _ = out.send_data(Bytes::new(), true);
        }
    }

    /// Resets the call.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.out {
            Some(out) => out.send_reset(reason),
            None => self.response.send_reset(reason),
        }
    }
}

/// The message of this host's methods.
#[derive(Clone, PartialEq, Message)]
pub struct Note {
    /// Any text.
    #[prost(string, tag = "1")]
    pub text: String,
}

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, optional, tag = "3")]
    file_by_filename: Option<String>,
    #[prost(string, optional, tag = "4")]
    file_containing_symbol: Option<String>,
    #[prost(string, optional, tag = "7")]
    list_services: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Reflected {
    #[prost(message, optional, tag = "4")]
    files: Option<Files>,
    #[prost(message, optional, tag = "6")]
    services: Option<Services>,
}

#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    services: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// Answers reflection one file at a time, without what a file imports, as some hosts do.
async fn reflect(mut call: Call) {
    call.begin();
    while let Ok(Some(message)) = call.message().await {
        let question = Question::decode(message).expect("reflection's questions are messages");
        let note = question.file_by_filename.as_deref() == Some("test/note.proto");
        let answer = if question.list_services.is_some() {
            Reflected { files: None, services: Some(Services { services: vec![Named { name: "test.peer.Peer".to_owned() }] }) }
        } else {
            let file = if note { note_file() } else { peer_file() };
            Reflected { files: Some(Files { files: vec![file.encode_to_vec()] }), services: None }
        };
        call.send(frame(false, &answer.encode_to_vec()));
    }
    call.trailers(&[("grpc-status", "0")]);
}

fn note_file() -> FileDescriptorProto {
    let text = FieldDescriptorProto {
        name: Some("text".into()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        ..FieldDescriptorProto::default()
    };
    FileDescriptorProto {
        name: Some("test/note.proto".into()),
        package: Some("test.note".into()),
        message_type: vec![DescriptorProto { name: Some("Note".into()), field: vec![text], ..DescriptorProto::default() }],
        syntax: Some("proto3".into()),
        ..FileDescriptorProto::default()
    }
}

fn peer_file() -> FileDescriptorProto {
    let method = |(name, up, down): (&str, bool, bool)| MethodDescriptorProto {
        name: Some(name.into()),
        input_type: Some(".test.note.Note".into()),
        output_type: Some(".test.note.Note".into()),
        client_streaming: Some(up),
        server_streaming: Some(down),
        ..MethodDescriptorProto::default()
    };
    let methods = [("One", false, false), ("Up", true, false), ("Down", false, true), ("Both", true, true)].map(method);
    FileDescriptorProto {
        name: Some("test/peer.proto".into()),
        package: Some("test.peer".into()),
        dependency: vec!["test/note.proto".into()],
        service: vec![ServiceDescriptorProto { name: Some("Peer".into()), method: methods.into(), ..ServiceDescriptorProto::default() }],
        syntax: Some("proto3".into()),
        ..FileDescriptorProto::default()
    }
}
