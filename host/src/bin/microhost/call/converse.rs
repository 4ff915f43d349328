//! One call from its names to its end: ask what they mean, send, print what comes.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use microhost::schema::MethodKind;
use microhost::status::Code;
use prost_reflect::DescriptorPool;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Answer, Ask, Event};
use super::codec::Codec;
use super::input::Input;
use super::print::Printer;
use super::protocol::{Layout, Protocol};
use super::reply::Ending;
use super::request::{self, Outgoing, Progress};
use super::target::Target;
use super::tasks::{Tasks, tasks};
use super::{Call, CodecName, json, names, reflection};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::paint::visible;

/// How long a unary call may take, and for any other the questions before it, unless `--timeout`
/// says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the host may take to hear that a call is over.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the names mean.
struct Meant {
    endpoint: String,
    method: String,
    kind: MethodKind,
    layout: Layout,
    codec: Codec,
    /// Where it was asked for.
    schema: Option<DescriptorPool>,
}

/// What a call works with, and what outlives it for a moment.
struct Run {
    /// The connections.
    tasks: Tasks,
    printer: Printer,
    progress: Arc<Progress>,
}

/// A call that is being made.
pub struct Conversation<'a> {
    pub call: &'a Call,
    pub target: &'a Target,
    pub service: &'a str,
    pub method: &'a str,
}

impl Conversation<'_> {
    /// Makes the call and prints what comes. Ctrl-C cancels it.
    pub async fn run(&self, input: Input) -> Outcome {
        let (tasks, done) = tasks();
        let mut run = Run { tasks, printer: Printer::start()?, progress: Arc::default() };
        let progress = Arc::clone(&run.progress);
        let outcome = tokio::select! {
            outcome = self.whole(input, &mut run) => outcome,
            _ = tokio::signal::ctrl_c() => Err(counted(Failure::new(Exit::Status(Code::Canceled), "canceled: interrupted"), &progress)),
        };
        // What is left of the call is dropped by now; the host is told so by the connections, and
        // what came before a failure is printed.
        let Run { tasks, mut printer, .. } = run;
        drop(tasks);
        let _ = timeout(GOODBYE, async { tokio::join!(done.wait(), printer.finish()) }).await;
        outcome
    }

    async fn whole(&self, input: Input, run: &mut Run) -> Outcome {
        let patience = self.call.timeout.unwrap_or(PATIENCE);
        let headers: HeaderMap = self.call.headers.iter().cloned().collect();
        let meant = timeout(patience, self.meaning(&headers, &run.tasks)).await.unwrap_or_else(|_| Err(self.late(patience)))?;
        let outgoing = if meant.kind.client_streams() {
            request::many(input.many(), meant.codec.clone(), Arc::clone(&run.progress))
        } else {
            request::single(input.single(&meant.method).await?, &meant.codec, meant.layout, &run.progress)?
        };
        // A stream may well be meant to last.
        let limit = if meant.kind == MethodKind::Unary { Some(patience) } else { self.call.timeout };
        let exchange = self.exchange(&meant, headers, limit, outgoing, run);
        let outcome = match limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?))) {
            Some((limit, end)) => timeout_at(end, exchange).await.unwrap_or_else(|_| Err(self.late(limit))),
            None => exchange.await,
        };
        let streams = meant.kind != MethodKind::Unary;
        let ending = outcome.map_err(|failure| if streams { counted(failure, &run.progress) } else { failure })?;
        let Err(mut wrong) = ending else { return run.printer.finish().await };
        if let Some(schema) = &meant.schema {
            wrong.explain(schema);
        }
        if self.call.json {
            run.printer.print(serde_json::to_string(&wrong).map_err(|error| wrong.failure().because(&error))?).await?;
        }
        Err(wrong.failure())
    }

    /// What the names mean, asked of the host, and how messages are encoded for it.
    async fn meaning(&self, headers: &HeaderMap, tasks: &Tasks) -> Outcome<Meant> {
        let proto = match self.call.codec {
            Some(codec) => codec == CodecName::Proto,
            None => self.call.protocol != Protocol::Connect,
        };
        let untold = |why: String| Failure::new(Exit::Refused, format!("{} does not tell what it serves", self.target.name())).note(why);
        let catalog = match reflection::ask(self.target, headers, tasks).await? {
            Ok(catalog) => catalog,
            // Full names need nobody's list.
            Err(_) if self.service.contains('.') && !proto => {
                return Ok(Meant {
                    endpoint: format!("/{}/{}", self.service, self.method),
                    method: self.method.to_owned(),
                    kind: MethodKind::Unary,
                    layout: self.call.protocol.layout(MethodKind::Unary),
                    codec: Codec::Json,
                    schema: None,
                });
            }
            Err(why) if proto => return Err(untold(why).advise("--codec json, and the full names of service and method")),
            Err(why) => return Err(untold(why).advise("the full names, as in `microhost call example.greeter.Greet Hello`")),
        };
        let (service, method) = names::resolve(catalog.offered(), self.service, self.method)?;
        let (service, method, kind) = (service.to_owned(), method.name.clone(), method.kind);
        let schema = if proto { Some(catalog.schema().await.map_err(untold)?) } else { None };
        let codec = match &schema {
            None => Codec::Json,
            Some(schema) => Codec::proto(schema, &service, &method)
                .ok_or_else(|| untold(format!("its schema has no {service}/{method}")).advise("--codec json"))?,
        };
        let layout = self.call.protocol.layout(kind);
        Ok(Meant { endpoint: format!("/{service}/{method}"), method, kind, layout, codec, schema })
    }

    /// Sends the messages and prints the answer's, until it ends.
    async fn exchange(
        &self,
        meant: &Meant,
        mut headers: HeaderMap,
        limit: Option<Duration>,
        outgoing: Outgoing,
        run: &mut Run,
    ) -> Outcome<Ending> {
        let Outgoing { body, mut outlet } = outgoing;
        for (name, value) in meant.layout.headers(meant.codec.name(), limit) {
            let value =
                value.parse().map_err(|error| Failure::new(Exit::Usage, format!("{value:?} is no value of a header")).because(&error))?;
            headers.insert(name, value);
        }
        let ask = Ask {
            target: self.target,
            endpoint: &meant.endpoint,
            version: self.call.protocol.version(meant.kind),
            layout: meant.layout,
            codec: meant.codec.name(),
            headers,
            limit: self.call.max_message,
        };
        let mut talk = pin!(async {
            let mut answer = ask.open(body, &run.tasks).await?;
            self.tell_head(answer.head());
            let ending = self.print(meant, &mut answer, run).await?;
            if let Ok(trailers) = &ending {
                self.tell_headers(trailers);
            }
            // Where the host leaves its side open, the call is over all the same.
            let _ = timeout(GOODBYE, answer.drain()).await;
            Ok(ending)
        });
        match &mut outlet {
            None => talk.await,
            Some(outlet) => tokio::select! {
                biased;
                Ok(failure) = &mut outlet.failed => Err(failure),
                ending = &mut talk => ending,
            },
        }
    }

    /// Prints messages as they come; that of a method with one reply when the call has gone well.
    async fn print(&self, meant: &Meant, answer: &mut Answer, run: &mut Run) -> Outcome<Ending> {
        let streams = meant.kind.server_streams();
        let readable = self.call.pretty || (!streams && !self.call.json && io::stdout().is_terminal());
        let mut single = None;
        loop {
            match answer.next().await? {
                Event::Message(message) => {
                    run.progress.came.fetch_add(1, Relaxed);
                    let text = meant.codec.decode(message)?;
                    let text = if readable { json::pretty(&text) } else { json::compact(&text) };
                    if streams {
                        run.printer.print(text).await?;
                    } else if single.replace(text).is_some() {
                        return Err(Failure::new(
                            Exit::Status(Code::Internal),
                            format!("internal: {} replies with one message, and the host sent more", meant.method),
                        ));
                    }
                }
                Event::End(Ok(trailers)) => {
                    match single {
                        Some(text) => run.printer.print(text).await?,
                        None if streams => {}
                        None => {
                            return Err(Failure::new(
                                Exit::Status(Code::Internal),
                                format!("internal: {} replies with one message, and the host sent none", meant.method),
                            ));
                        }
                    }
                    return Ok(Ok(trailers));
                }
                Event::End(Err(wrong)) => return Ok(Err(wrong)),
            }
        }
    }

    fn late(&self, limit: Duration) -> Failure {
        let what = format!("deadline_exceeded: no answer from {} within {}", self.target.name(), humantime::format_duration(limit));
        Failure::new(Exit::Status(Code::DeadlineExceeded), what).advise("--timeout with a longer time")
    }

    fn tell_head(&self, (status, headers): (StatusCode, &HeaderMap)) {
        if self.call.verbose {
            output::tell(format_args!("< {status}"));
            self.tell_headers(headers);
        }
    }

    fn tell_headers(&self, headers: &HeaderMap) {
        if self.call.verbose {
            let line = |(name, value): (&HeaderName, &http::HeaderValue)| {
                output::tell(format_args!("< {name}: {}", visible(&String::from_utf8_lossy(value.as_bytes()))));
            };
            headers.iter().for_each(line);
        }
    }
}

/// Says how far a call had come that the host did not end.
fn counted(failure: Failure, progress: &Progress) -> Failure {
    match (progress.sent.load(Relaxed), progress.came.load(Relaxed)) {
        (0, 0) => failure,
        (sent, came) => failure.note(format!("messages until then: {sent} sent, {came} received")),
    }
}
