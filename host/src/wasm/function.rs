//! An exported function as an endpoint: messages become values, the pool runs the call, and what the
//! guest returns becomes a reply.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, stream};
use http::HeaderMap;
use tokio::sync::oneshot;

use super::abi::Width;
use super::call::{Call, Outcome, Target};
use super::hold::Hold;
use super::pool::{Pool, StreamSlot, Waiting};
use super::queue::{Job, Work};
use super::streams::{Flow, Piped, Wire};
use crate::rpc::{CallFuture, Event, Events, Form, Handler, OpenFuture, Payload, Reply, Request, StreamReply, StreamRequest, wrong_kind};
use crate::schema::{Flowing, Head, Method, MethodKind, Passing, Schema, Value};
use crate::status::{Code, Status};

/// A function of the component: how its messages are read and written, and where it runs.
pub struct Function {
    /// What describes it.
    pub schema: Arc<Schema>,
    /// Its service's and its own place in the schema.
    pub at: (usize, usize),
    /// What is called.
    pub target: Arc<Target>,
    /// The width of its result.
    pub width: Width,
    /// Where it runs.
    pub pool: Arc<Pool>,
}

impl Function {
    fn method(&self) -> &Method {
        &self.schema.services[self.at.0].methods[self.at.1]
    }

    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let method = self.method();
        if method.kind != MethodKind::Unary {
            return Err(wrong_kind());
        }
        let Request { form, body, headers, deadline, caller, .. } = request;
        let args = self.arguments(form, body)?;
        let limits = self.pool.limits();
        let deadline = sooner(deadline, limits.timeout);
        let (call, outcome) = Call::new(Arc::clone(&self.target), headers, caller, deadline, None);
        let waiting = self.begin(&call, args)?;
        let outcome = settled(outcome, waiting, deadline).await?;
        finish(&call, outcome.and_then(|value| self.reply(form, value)))
    }

    /// The arguments of a call whose caller does not stream.
    fn arguments(&self, form: Form, body: Payload) -> Result<Vec<Value>, Status> {
        match (form, body) {
            (Form::Encoded(codec), body) => self.method().decode(codec, &body.bytes()?),
            (Form::Values(fingerprint), Payload::Value(Value::Record(args))) if fingerprint == self.method().fingerprint => Ok(args),
            (Form::Values(_), _) => Err(self.other_type()),
        }
    }

    /// The reply's one message, for what the function returned.
    fn reply(&self, form: Form, value: Option<Value>) -> Result<Payload, Status> {
        match form {
            Form::Encoded(codec) => self.method().encode(codec, value, self.pool.limits().reply).map(Payload::Bytes),
            Form::Values(_) => self.returned(value).map(Payload::Value),
        }
    }

    /// A whole result as it is for a caller of the same type. An error of the function's own is a
    /// failed call all the same, for whoever counts; the caller finds its value in the status.
    fn returned(&self, value: Option<Value>) -> Result<Value, Status> {
        let value = value.unwrap_or(Value::Record(Vec::new()));
        match self.method().failure(&value) {
            Some(code) => Err(Status::new(code, "the service failed").with_value(value)),
            None => Ok(value),
        }
    }

    /// A typed caller was linked when the function had its type, and the function has another now.
    fn other_type(&self) -> Status {
        let Target { service, method, .. } = &*self.target;
        let why = format!("{service}/{method} has another type than its caller was linked with; start the caller again");
        Status::new(Code::Unimplemented, why).unseen()
    }

    /// Queues a call.
    fn begin<'a>(&'a self, call: &'a Arc<Call>, args: Vec<Value>) -> Result<Waiting<'a>, Status> {
        let waiting = Waiting::new(call, &self.pool);
        self.pool.submit(Job { call: Arc::clone(call), work: Work::Function(args, self.width) })?;
        Ok(waiting)
    }

    async fn open(self: Arc<Self>, request: StreamRequest) -> Result<StreamReply, Status> {
        let method = self.method();
        if method.kind == MethodKind::Unary {
            return Err(wrong_kind());
        }
        let slot = self.pool.open_stream()?;
        let StreamRequest { form, headers, deadline, caller, mut messages, .. } = request;
        if let Form::Values(fingerprint) = form
            && fingerprint != method.fingerprint
        {
            return Err(self.other_type());
        }
        let limits = self.pool.limits();
        let deadline = sooner(deadline, limits.stream_timeout);
        let (args, incoming) = match method.takes() {
            Passing::Values => {
                let message = within(deadline, messages.next()).await?.unwrap_or_else(|| Err(no_message()))?;
                (self.arguments(form, message)?, None)
            }
            Passing::Stream | Passing::Bytes | Passing::Future => (Vec::new(), Some(messages)),
        };
        let wire = Typed { function: Arc::clone(&self), form };
        let flow = Flow::new(Box::new(wire), incoming, limits.stream_buffer, self.pool.quota());
        let (call, outcome) = Call::new(Arc::clone(&self.target), headers, caller, deadline, Some(flow));
        let waiting = self.begin(&call, args)?;
        let outcome = settled(outcome, waiting, deadline).await?;
        if method.returns() == Passing::Values {
            let Reply { body, headers, trailers } = finish(&call, outcome.and_then(|value| self.reply(form, value)))?;
            slot.ended(Code::Ok);
            return Ok(StreamReply { headers, events: one(body, trailers) });
        }
        begun(call, outcome, slot)
    }
}

/// A caller's deadline or the service's own limit, whichever comes first.
pub fn sooner(deadline: Option<Instant>, limit: Duration) -> Instant {
    let own = Instant::now() + limit;
    deadline.map_or(own, |deadline| deadline.min(own))
}

fn late() -> Status {
    Status::new(Code::DeadlineExceeded, "the call was not answered before its deadline")
}

/// What a call is told that lacks the message it takes.
fn no_message() -> Status {
    Status::new(Code::Unimplemented, "the call takes one message, and the request has none")
}

/// Waits for something of the caller's until the deadline.
async fn within<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Status> {
    tokio::time::timeout_at(deadline.into(), future).await.map_err(|_| late())
}

/// Waits until a call is answered or begins to be.
pub async fn settled(outcome: oneshot::Receiver<Outcome>, waiting: Waiting<'_>, deadline: Instant) -> Result<Outcome, Status> {
    // Where it is too late, `waiting` goes, and so tells the instance.
    let outcome = within(deadline, outcome).await.map_err(|late| waiting.late(late))?;
    waiting.over();
    Ok(outcome.unwrap_or_else(|_| Err(Status::new(Code::Unavailable, "the service is being stopped"))))
}

/// A whole reply, with the metadata that the guest set.
pub fn finish(call: &Call, body: Result<Payload, Status>) -> Result<Reply, Status> {
    let body = body.map_err(|status| failed(call, status))?;
    let metadata = std::mem::take(&mut *call.reply.lock().expect("no holder panics"));
    Ok(Reply { body, headers: metadata.headers, trailers: metadata.trailers })
}

/// A failure before the reply began.
fn failed(call: &Call, status: Status) -> Status {
    let metadata = std::mem::take(&mut *call.reply.lock().expect("no holder panics"));
    told(status, metadata.headers, metadata.trailers)
}

/// A failure with the metadata that the guest set.
fn told(status: Status, mut all: HeaderMap, trailers: HeaderMap) -> Status {
    all.extend(trailers);
    if all.is_empty() { status } else { status.with_metadata(all) }
}

/// The events of a reply of one message.
fn one(body: Payload, trailers: HeaderMap) -> Events {
    Box::pin(stream::iter([Event::Message(body), Event::End(Ok(trailers))]))
}

/// A reply that has begun to stream.
pub fn begun(call: Arc<Call>, outcome: Outcome, slot: StreamSlot) -> Result<StreamReply, Status> {
    if let Err(status) = outcome {
        return Err(failed(&call, status));
    }
    let headers = std::mem::take(&mut call.reply.lock().expect("no holder panics").headers);
    Ok(StreamReply { headers, events: Box::pin(Streaming { call, over: false, slot }) })
}

/// The events of a reply that streams.
struct Streaming {
    call: Arc<Call>,
    over: bool,
    slot: StreamSlot,
}

impl Stream for Streaming {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.over {
            return Poll::Ready(None);
        }
        let Some(flow) = &self.call.flow else { return Poll::Ready(None) };
        let end = match flow.reply.poll_next(cx) {
            Poll::Ready(Piped::Message(message)) => return Poll::Ready(Some(Event::Message(message))),
            Poll::Ready(Piped::End(end)) => end,
            Poll::Pending => return Poll::Pending,
        };
        self.over = true;
        self.slot.ended(code(&end));
        let trailers = std::mem::take(&mut self.call.reply.lock().expect("no holder panics").trailers);
        Poll::Ready(Some(Event::End(match end {
            Ok(()) => Ok(trailers),
            Err(status) => Err(told(status, HeaderMap::new(), trailers)),
        })))
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if !self.over {
            self.call.leave();
        }
        if let Some(flow) = &self.call.flow {
            flow.stop();
            flow.reply.close();
        }
    }
}

/// The messages of a typed function.
struct Typed {
    function: Arc<Function>,
    form: Form,
}

impl Typed {
    fn limit(&self) -> usize {
        self.function.pool.limits().reply
    }
}

impl Wire for Typed {
    fn takes(&self) -> Passing {
        self.function.method().takes()
    }

    fn returns(&self) -> Passing {
        self.function.method().returns()
    }

    fn element(&self, message: Payload) -> Result<Value, Status> {
        match self.form {
            Form::Encoded(codec) => self.function.method().decode_item(codec, &message.bytes()?),
            Form::Values(_) => message.value(),
        }
    }

    fn find(&self, message: &[u8]) -> Option<Result<Range<usize>, Status>> {
        match self.form {
            Form::Encoded(codec) => self.function.method().find_bytes(codec, message),
            Form::Values(_) => None,
        }
    }

    fn head(&self, length: usize) -> Option<Result<Head, Status>> {
        match self.form {
            Form::Encoded(codec) => self.function.method().head_of_bytes(codec, length, self.limit()),
            Form::Values(_) => None,
        }
    }

    fn message(&self, element: Value) -> Result<Payload, Status> {
        match self.form {
            Form::Encoded(codec) => self.function.method().encode_item(codec, element, self.limit()).map(Payload::Bytes),
            Form::Values(_) => Ok(Payload::Value(element)),
        }
    }

    fn flowing(&self, result: Option<Value>) -> Result<Flowing, Status> {
        if let (Form::Values(_), Some(value)) = (self.form, &result)
            && self.function.method().failure(value).is_some()
        {
            return Err(self.function.returned(result).err().unwrap_or_else(wrong_kind));
        }
        self.function.method().flowing(result, self.limit())
    }

    fn ended(&self, value: Value) -> Result<(), Status> {
        if let Form::Values(_) = self.form
            && let Value::Variant(1, _) = value
        {
            let status = self.function.method().ended(value.clone(), self.limit()).err();
            return Err(status.unwrap_or_else(wrong_kind).with_value(value));
        }
        self.function.method().ended(value, self.limit())
    }
}

/// The code that a call ended with.
pub fn code<T>(result: &Result<T, Status>) -> Code {
    result.as_ref().err().map_or(Code::Ok, Status::code)
}

/// The way in to a function.
pub struct Entry {
    /// What it leads to.
    pub function: Arc<Function>,
    /// Keeps it there.
    pub _hold: Hold,
}

impl Handler for Entry {
    fn call(&self, request: Request) -> CallFuture {
        let function = Arc::clone(&self.function);
        Box::pin(async move {
            let result = function.call(request).await;
            function.pool.tally().ended(code(&result));
            result
        })
    }

    fn open(&self, request: StreamRequest) -> OpenFuture {
        let function = Arc::clone(&self.function);
        Box::pin(async move {
            let pool = Arc::clone(&function.pool);
            let result = function.open(request).await;
            // One that has begun ends with its last event.
            if let Err(status) = &result {
                pool.tally().ended(status.code());
            }
            result
        })
    }
}
