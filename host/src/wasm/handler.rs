//! The export `microhost:service/handler`: calls go to the guest as a head and bytes. Where the
//! component brings descriptors, the guest sees protobuf only, whatever the caller speaks.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::abi::Width;
use super::call::{Call, Target};
use super::function::{begun, code, finish, settled, sooner};
use super::health::HEALTH;
use super::hold::Hold;
use super::imports::entries;
use super::pool::{Pool, Waiting};
use super::queue::{Job, Work};
use super::streams::{Flow, Wire};
use crate::rpc::{
    CallFuture, Caller, Codec, Endpoint, Gateway, Handler, OpenFuture, Payload, Reply, Request, Served, StreamReply, StreamRequest,
    wrong_kind,
};
use crate::schema::{Flowing, HandledMethod, Head, MethodKind, Passing, Schema, Value};
use crate::stats::EndpointStats;
use crate::status::{Code, Detail, Status};

/// One function of the handler's interface in the component.
#[derive(Clone, Copy)]
pub struct Export {
    /// Its place among the exports that the pool knows.
    pub place: usize,
    /// It is a plain `func`, and takes the instance for itself.
    pub exclusive: bool,
    /// The width of its result.
    pub width: Width,
}

/// The handler of a component.
pub struct Exported {
    /// What describes its services.
    pub schema: Arc<Schema>,
    /// Where it runs.
    pub pool: Arc<Pool>,
    /// Answers unary calls.
    pub call: Export,
    /// Answers calls with streams.
    pub open: Export,
    /// What is counted of the calls that no descriptor names, all together.
    pub stats: Arc<EndpointStats>,
}

impl Exported {
    /// An endpoint of the handler; `at` is the place of its service and method in the schema, where
    /// descriptors describe it.
    pub fn endpoint(self: &Arc<Self>, service: &str, method: &str, at: Option<(usize, usize)>) -> Method {
        let (service, method): (Arc<str>, Arc<str>) = (service.into(), method.into());
        // Callers have no way to it.
        let by_host = at.is_some() && *service == *HEALTH;
        let target = |export: Export| {
            let (service, method) = (Arc::clone(&service), Arc::clone(&method));
            Arc::new(Target { service, method, export: export.place, exclusive: export.exclusive, by_host })
        };
        Method { call: target(self.call), open: target(self.open), handler: Arc::clone(self), at }
    }
}

/// The handler as a gateway: its component brings no descriptors, and so takes whatever is called.
pub struct Open {
    /// What it leads to.
    pub handler: Arc<Exported>,
    /// Keeps it there.
    pub hold: Hold,
}

impl Gateway for Open {
    fn endpoint(&self, service: &str, method: &str) -> Served {
        let Open { handler: exported, hold } = self;
        let method = Arc::new(exported.endpoint(service, method, None));
        Served {
            endpoint: Endpoint {
                service: Arc::clone(&method.call.service),
                method: Arc::clone(&method.call.method),
                safe: false,
                kind: None,
            },
            handler: Arc::new(Entry { method, _hold: hold.clone() }),
            stats: Arc::clone(&exported.stats),
            max_request: exported.pool.limits().request,
        }
    }
}

/// A method that the handler answers.
pub struct Method {
    handler: Arc<Exported>,
    call: Arc<Target>,
    open: Arc<Target>,
    at: Option<(usize, usize)>,
}

impl Method {
    fn described(&self) -> Option<&HandledMethod> {
        let (service, method) = self.at?;
        Some(&self.handler.schema.handled.as_ref()?.services[service].methods[method])
    }

    fn kind(&self) -> Option<MethodKind> {
        self.described().map(|method| method.kind)
    }

    /// A caller's message as the guest takes it.
    fn request(&self, codec: Codec, message: Bytes) -> Result<Bytes, Status> {
        match self.described() {
            Some(method) => method.request(codec, message, self.handler.pool.limits().request),
            None => Ok(message),
        }
    }

    /// A guest's message as the caller takes it.
    fn reply(&self, codec: Codec, message: Bytes) -> Result<Bytes, Status> {
        let limit = self.handler.pool.limits().reply;
        match self.described() {
            Some(method) => method.reply(codec, message, limit),
            None if message.len() > limit => Err(too_large("reply", limit)),
            None => Ok(message),
        }
    }

    /// The record `head`.
    fn head(&self, codec: Codec, headers: &http::HeaderMap, deadline: Option<Instant>, caller: &Caller) -> Value {
        let codec = if self.at.is_some() { Codec::Proto } else { codec };
        let metadata = entries(headers).map(|(name, value)| Value::Record(vec![Value::String(name), Value::Bytes(value)]));
        let left = |deadline: Instant| u64::try_from(deadline.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(u64::MAX);
        let peer = caller.peer.map(|peer| Value::String(peer.to_string()));
        let service = caller.service.as_ref().map(|service| Value::String(service.to_string()));
        Value::Record(vec![
            Value::String(self.call.service.to_string()),
            Value::String(self.call.method.to_string()),
            Value::String(codec.name().to_owned()),
            Value::List(metadata.collect()),
            option(deadline.map(|deadline| Value::U64(left(deadline)))),
            Value::Record(vec![option(peer), option(service)]),
        ])
    }

    async fn call(&self, request: Request) -> Result<Reply, Status> {
        if self.kind().is_some_and(|kind| kind != MethodKind::Unary) {
            return Err(wrong_kind());
        }
        let Request { form, body, headers, deadline, caller, .. } = request;
        let (codec, body) = (form.codec()?, body.bytes()?);
        let pool = &self.handler.pool;
        let args = vec![self.head(codec, &headers, deadline, &caller), Value::Bytes(self.request(codec, body)?.into())];
        let deadline = sooner(deadline, pool.limits().timeout);
        let (call, outcome) = Call::new(Arc::clone(&self.call), headers, caller, deadline, None);
        let waiting = Waiting::new(&call, pool);
        pool.submit(Job { call: Arc::clone(&call), work: Work::Function(args, self.handler.call.width) })?;
        let outcome = settled(outcome, waiting, deadline).await?;
        finish(&call, outcome.and_then(succeeded).and_then(|value| self.reply(codec, bytes(value)?).map(Payload::Bytes)))
    }

    async fn open(self: Arc<Self>, request: StreamRequest) -> Result<StreamReply, Status> {
        if self.kind() == Some(MethodKind::Unary) {
            return Err(wrong_kind());
        }
        let pool = &self.handler.pool;
        let slot = pool.open_stream()?;
        let StreamRequest { form, headers, deadline, caller, messages, .. } = request;
        let codec = form.codec()?;
        let args = vec![self.head(codec, &headers, deadline, &caller)];
        let limits = pool.limits();
        let deadline = sooner(deadline, limits.stream_timeout);
        let wire = Undecoded { method: Arc::clone(&self), codec };
        let flow = Flow::new(Box::new(wire), Some(messages), limits.stream_buffer, pool.quota());
        let (call, outcome) = Call::new(Arc::clone(&self.open), headers, caller, deadline, Some(flow));
        let waiting = Waiting::new(&call, pool);
        pool.submit(Job { call: Arc::clone(&call), work: Work::Function(args, self.handler.open.width) })?;
        let outcome = settled(outcome, waiting, deadline).await?;
        begun(call, outcome, slot)
    }
}

/// The messages of a call that the guest decodes.
struct Undecoded {
    method: Arc<Method>,
    codec: Codec,
}

impl Undecoded {
    /// Whether messages are the guest's as they are.
    fn passes(&self) -> bool {
        self.method.at.is_none() || self.codec == Codec::Proto
    }
}

impl Wire for Undecoded {
    fn takes(&self) -> Passing {
        Passing::Stream
    }

    fn returns(&self) -> Passing {
        Passing::Stream
    }

    fn element(&self, message: Payload) -> Result<Value, Status> {
        Ok(Value::Bytes(self.method.request(self.codec, message.bytes()?)?.into()))
    }

    fn find(&self, message: &[u8]) -> Option<Result<Range<usize>, Status>> {
        let limit = self.method.handler.pool.limits().request;
        self.passes().then(|| if message.len() > limit { Err(too_large("request", limit)) } else { Ok(0..message.len()) })
    }

    fn head(&self, length: usize) -> Option<Result<Head, Status>> {
        let limit = self.method.handler.pool.limits().reply;
        self.passes().then(|| if length > limit { Err(too_large("reply", limit)) } else { Ok(Head::default()) })
    }

    fn message(&self, element: Value) -> Result<Payload, Status> {
        self.method.reply(self.codec, bytes(Some(element))?).map(Payload::Bytes)
    }

    fn flowing(&self, result: Option<Value>) -> Result<Flowing, Status> {
        Flowing::of(succeeded(result)?)
    }

    fn ended(&self, value: Value) -> Result<(), Status> {
        succeeded(Some(value)).map(drop)
    }
}

fn too_large(what: &str, limit: usize) -> Status {
    Status::new(Code::ResourceExhausted, format!("the {what} is over {limit} bytes"))
}

fn option(value: Option<Value>) -> Value {
    match value {
        None => Value::Variant(0, None),
        Some(value) => Value::Variant(1, Some(Box::new(value))),
    }
}

/// What a `result` holds, or the failure in it.
fn succeeded(value: Option<Value>) -> Result<Option<Value>, Status> {
    match value {
        Some(Value::Variant(0, value)) => Ok(value.map(|value| *value)),
        Some(Value::Variant(1, Some(failure))) => Err(failure_of(*failure).unwrap_or_else(foreign)),
        _ => Err(foreign()),
    }
}

fn bytes(value: Option<Value>) -> Result<Bytes, Status> {
    match value {
        Some(Value::Bytes(bytes)) => Ok(bytes.into()),
        _ => Err(foreign()),
    }
}

/// The component exports an interface of the handler's name and of other types.
fn foreign() -> Status {
    Status::new(Code::Internal, "the service answered with what is no answer of microhost:service/handler")
}

/// The record `failure`.
fn failure_of(value: Value) -> Option<Status> {
    let Value::Record(fields) = value else { return None };
    let Ok([Value::Variant(code, None), Value::String(message), Value::List(details)]) = <[Value; 3]>::try_from(fields) else {
        return None;
    };
    // The cases are gRPC's codes in their order, from 1.
    let code = Code::from_number(u8::try_from(code + 1).ok()?)?;
    details.into_iter().try_fold(Status::new(code, message), |status, detail| {
        let Value::Record(fields) = detail else { return None };
        let Ok([Value::String(type_name), Value::Bytes(value)]) = <[Value; 2]>::try_from(fields) else { return None };
        Some(status.with_detail(Detail { type_name: type_name.into(), value: value.into(), debug: None }))
    })
}

/// The way in to a method.
pub struct Entry {
    /// What it leads to.
    pub method: Arc<Method>,
    /// Keeps it there.
    pub _hold: Hold,
}

impl Handler for Entry {
    fn call(&self, request: Request) -> CallFuture {
        let method = Arc::clone(&self.method);
        Box::pin(async move {
            let result = method.call(request).await;
            method.handler.pool.tally().ended(code(&result));
            result
        })
    }

    fn open(&self, request: StreamRequest) -> OpenFuture {
        let method = Arc::clone(&self.method);
        Box::pin(async move {
            let handler = Arc::clone(&method.handler);
            let result = method.open(request).await;
            // One that has begun ends with its last event.
            if let Err(status) = &result {
                handler.pool.tally().ended(status.code());
            }
            result
        })
    }
}
