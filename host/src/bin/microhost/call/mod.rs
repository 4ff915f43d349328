//! `microhost call`: one call with a message in JSON, with nothing known of the service but a name.

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use microhost::settings::parse_duration;
use microhost::status::Code;
use serde::de::IgnoredAny;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

mod json;
mod names;
mod reflection;
mod reply;
mod target;
mod tls;

use target::{Target, Version};

/// The longest reply that is read.
const MAX_REPLY: usize = 256 << 20;

/// Call a method of a running service
///
/// Names may be short: `greeter`, `greet`, `Greet` and `example.greeter.Greet` mean one service,
/// `say-hello` and `SayHello` one method. A wrong name is answered with what there is.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost call greeter hello '{\"name\":\"Ada\"}'
  microhost call example.greeter.Greet Hello '{}' --at https://api.example.com
  echo '{\"name\":\"Ada\"}' | microhost call greeter hello -
  microhost call greeter hello '{}' -H 'authorization: Bearer x' --timeout 500ms

Exit codes: 0 answered, 3 no such service or method, 4 nobody there,
64 + N the call ended with gRPC status N (69 is not_found).")]
pub struct Call {
    /// The service: its full name or the end of it
    service: String,

    /// The method: `Hello` or `hello`
    method: String,

    /// The request message in JSON; `-` reads it from standard input
    #[arg(default_value = "{}")]
    message: String,

    /// The host to call
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "MICROHOST_AT")]
    at: String,

    /// Metadata to send, as `name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "K:V", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,

    /// Trust the certificate authorities of this PEM file instead of the machine's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Trust any certificate
    #[arg(long)]
    insecure: bool,

    /// Print one line of JSON, for an error too: its code, message and details
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is no name of a header"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} is no value of a header"))?;
    Ok((name, value))
}

impl Call {
    /// Makes the call and prints the reply.
    pub fn execute(self) -> Outcome {
        let message = self.read_message()?;
        let target = Target::parse(&self.at, tls::Trust { ca: self.ca.clone(), insecure: self.insecure })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Failed, "cannot start").because(&error))?;
        let answer = runtime.block_on(async { tokio::time::timeout(self.timeout, self.answer(&target, message)).await });
        let (status, body) = answer.unwrap_or_else(|_| {
            let what = format!("deadline_exceeded: no answer from {} within {}", target.origin(), humantime::format_duration(self.timeout));
            Err(Failure::new(Exit::Status(Code::DeadlineExceeded), what).advise("--timeout with a longer time"))
        })?;
        self.show(status, &body)
    }

    fn read_message(&self) -> Outcome<String> {
        let mut message = self.message.clone();
        if message == "-" {
            message.clear();
            io::stdin()
                .read_to_string(&mut message)
                .map_err(|error| Failure::new(Exit::Refused, "cannot read the message from standard input").because(&error))?;
        }
        match serde_json::from_str::<IgnoredAny>(&message) {
            Ok(_) => Ok(message),
            Err(error) => Err(Failure::new(Exit::Usage, "the message is not valid JSON")
                .because(&error)
                .advise("a JSON object in single quotes: '{\"name\":\"Ada\"}'")),
        }
    }

    async fn answer(&self, target: &Target, message: String) -> Outcome<(StatusCode, String)> {
        let headers: HeaderMap = self.headers.iter().cloned().collect();
        let endpoint = match reflection::ask(target, &headers).await? {
            Ok(offered) => {
                let (service, method) = names::resolve(&offered, &self.service, &self.method)?;
                format!("/{service}/{method}")
            }
            // Full names need nobody's list.
            Err(_) if self.service.contains('.') => format!("/{}/{}", self.service, self.method),
            Err(why) => {
                return Err(Failure::new(Exit::Refused, format!("{} does not tell what it serves", target.origin()))
                    .note(why)
                    .advise("the full names, as in `microhost call example.greeter.Greet Hello`"));
            }
        };
        self.post(target, &endpoint, headers, message).await
    }

    /// Makes a unary call in the Connect protocol.
    async fn post(&self, target: &Target, endpoint: &str, headers: HeaderMap, message: String) -> Outcome<(StatusCode, String)> {
        let broken = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(Exit::Unreachable, format!("{} broke off", target.origin())).because(error).advise("the host's log tells more")
        };
        let wire = target.connect(Version::One).await?;
        let (mut sender, connection) = http1::handshake(wire).await.map_err(|error| broken(&error))?;
        // Ends with the command's runtime; its error reaches the sender too.
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(Bytes::from(message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.path(endpoint)?.into();
        *request.headers_mut() = headers;
        let own = [
            (header::HOST, target.authority().to_owned()),
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (HeaderName::from_static("connect-protocol-version"), "1".to_owned()),
            (HeaderName::from_static("connect-timeout-ms"), self.timeout.as_millis().min(MAX_TIMEOUT_MS).to_string()),
        ];
        for (name, value) in own {
            let value =
                value.parse().map_err(|error| Failure::new(Exit::Usage, format!("{value:?} is no value of a header")).because(&error))?;
            request.headers_mut().insert(name, value);
        }
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_REPLY).collect().await.map_err(|error| broken(error.as_ref()))?.to_bytes();
        let text = String::from_utf8(body.into()).map_err(|error| broken(&error))?;
        Ok((head.status, text))
    }

    fn show(&self, status: StatusCode, body: &str) -> Outcome {
        let valid = serde_json::from_str::<IgnoredAny>(body).is_ok();
        if status == StatusCode::OK && valid {
            let readable = !self.json && io::stdout().is_terminal();
            return output::print(if readable { json::pretty(body) } else { body.to_owned() });
        }
        if self.json && valid {
            output::print(body)?;
        }
        Err(reply::failure(status, body))
    }
}

/// The largest value of `connect-timeout-ms`: ten digits.
const MAX_TIMEOUT_MS: u128 = 9_999_999_999;
