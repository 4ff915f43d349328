//! `microhost call`: a call of any kind with messages in JSON, with nothing known of the service but
//! a name.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::{HeaderName, HeaderValue};
use microhost::settings::{parse_bytes, parse_duration};

use crate::discover::DiscoverArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

mod answer;
mod codec;
mod converse;
mod found;
mod frame;
mod input;
mod json;
pub mod names;
mod print;
mod protocol;
mod reflection;
mod reply;
mod request;
pub mod target;
mod tasks;
pub mod tls;
mod values;

use converse::Conversation;
use input::Input;
use protocol::Protocol;
use target::Target;

/// Call a method of a running service
///
/// Names may be short: `greeter`, `greet`, `Greet` and `example.greeter.Greet` mean one service,
/// `say-hello` and `SayHello` one method. A wrong name is answered with what there is.
///
/// A method that takes a stream is sent the messages of standard input, each as soon as it is
/// complete; the end of the input ends the stream. Of one that replies with a stream, every message
/// is printed as one line when it comes. Ctrl-C cancels the call.
#[derive(Args)]
#[command(
    override_usage = "microhost call [OPTIONS] <SERVICE> <METHOD> [JSON]...\n       microhost call [OPTIONS] <SERVICE>/<METHOD> [JSON]...",
    after_help = "\
Examples:
  microhost call greeter hello '{\"name\":\"Ada\"}'
  microhost call example.greeter.Greet/Hello '{}' --at https://api.example.com
  microhost call greeter hello --discover                        a host of this network, found by mDNS
  microhost call greeter hello --peer http://10.0.0.5:8080       a host that this one knows to have it
  echo '{\"name\":\"Ada\"}' | microhost call greeter hello -
  microhost call greeter hello '{}' -H 'authorization: Bearer x' --timeout 500ms
  microhost call payments watch '{\"id\":\"7\"}' | jq .state      a stream of replies, as they come
  tail -f events.jsonl | microhost call metrics collect          a stream of messages, as they come
  microhost call chat talk --protocol grpc                       both, from the terminal; Ctrl-D ends it

Exit codes: 0 answered, 2 a message is no JSON, 3 no such service or method, 4 nobody there,
64 + N the call ended with gRPC status N (69 is not_found, 65 canceled, by Ctrl-C too)."
)]
pub struct Call {
    /// The service: its full name or the end of it; the method may follow after a slash
    service: String,

    /// The method, `Hello` or `hello`, and the messages in JSON, of which a method that takes a
    /// stream may be given many; `-` reads standard input. Without a message it is `{}`, or standard
    /// input for a stream
    #[arg(value_name = "METHOD [JSON]")]
    rest: Vec<String>,

    /// The host to call [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "MICROHOST_AT")]
    at: Option<String>,

    /// The protocol
    #[arg(long, value_enum, default_value_t = Protocol::Connect)]
    protocol: Protocol,

    /// How messages are encoded on the wire: json for connect, proto for the others, unless given
    #[arg(long, value_enum)]
    codec: Option<CodecName>,

    /// Metadata to send, as `name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "K:V", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// How long the call may take: 30s unless given, for a stream as long as it lasts
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,

    /// The most bytes of one message, either way
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = parse_bytes)]
    max_message: usize,

    /// Trust the certificate authorities of this PEM file instead of the machine's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Trust any certificate
    #[arg(long)]
    insecure: bool,

    /// Lay messages out over lines, those of streams too
    #[arg(long, conflicts_with = "json")]
    pretty: bool,

    /// Print one line of JSON, for an error too: its code, message and details
    #[arg(long)]
    json: bool,

    /// Tell the answer's headers and trailers on standard error
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    discover: DiscoverArgs,
}

/// The host that is called unless another one is named.
const USUAL: &str = "http://127.0.0.1:8080";

/// How messages are encoded on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CodecName {
    /// Proto3 JSON
    Json,
    /// Protobuf, by the descriptors that the host tells by reflection
    Proto,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is no name of a header"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} is no value of a header"))?;
    Ok((name, value))
}

impl Call {
    /// Makes the call and prints what comes.
    pub fn execute(self) -> Outcome {
        let (service, method, messages) = names::split(&self.service, &self.rest)?;
        let input = Input::of(messages, self.max_message)?;
        let trust = tls::Trust { ca: self.ca.clone(), insecure: self.insecure };
        let search = self.discover.is_asked("--at", "MICROHOST_AT", self.at.as_deref())?;
        let target = if search { None } else { Some(Target::parse("--at", self.at.as_deref().unwrap_or(USUAL), trust.clone())?) };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Failed, "cannot start").because(&error))?;
        let outcome = runtime.block_on(async {
            let Some(target) = target else {
                let search = self.discover.begin()?;
                let found = found::find(&search, service, method, &trust).await?;
                let outcome = Conversation { call: &self, target: &found.target, service: &found.service, method }.run(input).await;
                search.end().await;
                return outcome;
            };
            Conversation { call: &self, target: &target, service, method }.run(input).await
        });
        // What looks for hosts may be waiting for one.
        runtime.shutdown_background();
        outcome
    }
}
