//! Requests to a host's admin API: by its socket, or by its URL with the token.

use std::error::Error;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use microhost::admin::view::Problem;
use microhost::admin::{PATH, PREFIX};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::call::target::{Target, Version, Wire};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// The longest answer, and the longest line of one that streams.
const MAX_ANSWER: usize = 64 << 20;

/// A host that is asked.
pub struct Client {
    way: Way,
}

enum Way {
    Socket(PathBuf),
    Url { target: Target, token: Option<String> },
}

/// The lines of an answer, as they come.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

/// A part of a path, or a value of a query, with all that has a meaning there escaped.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Client {
    /// The host with this socket.
    pub fn by(socket: PathBuf) -> Client {
        Client { way: Way::Socket(socket) }
    }

    /// The host at a URL.
    pub fn at(target: Target, token: Option<String>) -> Client {
        Client { way: Way::Url { target, token } }
    }

    /// Reads what is at a path of the API.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Sends a request to a path of the API, with a body in JSON or none, and reads the answer.
    pub async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Outcome<T> {
        let body = whole(self.open(method, path, body).await?).await.map_err(|error| self.broken(error.as_ref()))?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(Exit::Failed, format!("{} answers in a way that this microhost does not understand", self.name()))
                .because(&error)
                .advise("use the microhost that runs the host: their versions may differ too much")
        })
    }

    /// Reads what is at a path of the API as it comes.
    pub async fn lines(&self, path: &str) -> Outcome<Lines> {
        let body = self.open(Method::GET, path, Bytes::new()).await?.into_body();
        Ok(Lines { body, buffer: BytesMut::new() })
    }

    /// What the host is called in messages.
    pub fn name(&self) -> String {
        match &self.way {
            Way::Socket(socket) => socket.display().to_string(),
            Way::Url { target, .. } => target.name(),
        }
    }

    async fn open(&self, method: Method, path: &str, body: Bytes) -> Outcome<Response<Incoming>> {
        let endpoint = format!("{PREFIX}{PATH}{path}");
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (wire, path): (TokioIo<Box<dyn Wire>>, _) = match &self.way {
            Way::Socket(socket) => {
                headers.insert(HOST, HeaderValue::from_static("localhost"));
                let wire = UnixStream::connect(socket).await.map_err(|error| {
                    Failure::new(Exit::Unreachable, format!("no host answers at {}", socket.display()))
                        .because(&error)
                        .advise("`microhost services` lists the hosts that run, if there are several; `microhost run` starts one")
                })?;
                (TokioIo::new(Box::new(wire)), endpoint.parse().map_err(|error| wrong_path(&endpoint, &error))?)
            }
            Way::Url { target, token } => {
                let host = HeaderValue::from_str(target.authority()).map_err(|error| {
                    Failure::new(Exit::Usage, format!("{:?} is no host to name in a request", target.authority())).because(&error)
                })?;
                headers.insert(HOST, host);
                if let Some(token) = token {
                    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                        .map_err(|error| Failure::new(Exit::Usage, "the token cannot be sent in a header").because(&error))?;
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
                (target.connect(Version::One).await?, target.path(&endpoint)?)
            }
        };
        *request.uri_mut() = path.into();
        let (mut sender, connection) = http1::handshake(wire).await.map_err(|error| self.broken(&error))?;
        // Its error reaches the sender or the body too, and it ends with both.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    /// Why the host refused, as it says.
    async fn refused(&self, response: Response<Incoming>) -> Failure {
        let status = response.status();
        let body = match whole(response).await {
            Ok(body) => body,
            Err(error) => return self.broken(error.as_ref()),
        };
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal::Problem(problem)) => {
                let exit = match problem.code.as_str() {
                    "internal" | "unavailable" | "aborted" | "resource_exhausted" => Exit::Failed,
                    _ => Exit::Refused,
                };
                Failure::new(exit, problem.message)
            }
            Ok(Refusal::Page { error }) if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Failure::new(Exit::Refused, format!("{} does not let this command in", self.name()))
                    .note(error)
                    .advise("--token TOKEN, or MICROHOST_TOKEN in the environment")
            }
            _ => Failure::new(Exit::Refused, format!("{} is no microhost with an admin API", self.name()))
                .note(format!("it answers with {status}"))
                .advise("--host URL names the address that `microhost run` tells"),
        }
    }

    fn broken(&self, error: &(dyn Error + 'static)) -> Failure {
        Failure::new(Exit::Unreachable, format!("{} broke off", self.name())).because(error).advise("the host's log tells more")
    }
}

/// What a host answers that refuses: the API, or a page before it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Problem(Problem),
    Page { error: String },
}

fn wrong_path(path: &str, error: &http::uri::InvalidUri) -> Failure {
    Failure::new(Exit::Usage, format!("{path:?} is no path")).because(error)
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    Ok(Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes())
}

impl Lines {
    /// The next line; `None` at the end, also where the host went away.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Outcome<Option<T>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| Failure::new(Exit::Failed, "the host sent a line that is no line of a log").because(&error));
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err(Failure::new(Exit::Failed, "the host sent a line without an end"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                // A host that is killed says no more than one that ends.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}
