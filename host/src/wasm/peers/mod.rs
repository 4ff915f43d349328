//! Imports of other services' interfaces: a function that a guest calls as its own is another service's.
//!
//! The call goes by the service's [`crate::middleware::Client`], as every call to another service does,
//! and carries values instead of bytes: both sides have the same type for the function, which was checked
//! when the caller was linked and is checked by its fingerprint on each call. Where the callee is, and
//! in which version, is found at each call, so that it can be replaced meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, abortable};
use http::HeaderMap;
use wasmtime::component::{Accessor, ComponentNamedList, Lift, LinkerInstance, Lower, types};
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::abi::{self, Params, Return, TooLarge};
use super::call::{Call, Held};
use super::inbox::Occupied;
use super::quota;
use super::state::{State, current_call};
use crate::middleware::{Calling, Origin, Outgoing};
use crate::rpc::{Form, Payload, Plan, Reply, StreamReply};
use crate::schema::{Method, MethodKind, Passing, Schema, Value};
use crate::status::{Code, Status};

mod sent;
mod streams;

pub use sent::{Items, written};
pub use streams::received;

/// A function of another service.
#[derive(Debug)]
pub struct Peer {
    schema: Arc<Schema>,
    /// Its interface's and its own place among what the component needs.
    at: (usize, usize),
    path: Arc<str>,
}

/// The arguments as they were lifted.
type Arguments = std::result::Result<Vec<Value>, TooLarge>;

/// Defines a function that the component imports from another service, as the kind that it wants.
pub fn define(link: &mut LinkerInstance<'_, State>, ty: &types::ComponentFunc, schema: &Arc<Schema>, at: (usize, usize)) -> Result<()> {
    let service = &schema.needs[at.0];
    let path = format!("/{}/{}", service.name, service.methods[at.1].name).into();
    let peer = Arc::new(Peer { schema: Arc::clone(schema), at, path });
    // A row for each width, since wasmtime wants the widths to be part of a type.
    macro_rules! widths {
        ($($n:literal)*) => {
            match abi::widths(ty) {
                $(
                    ($n, 0) => wrap::<Params<$n>, Return<0>>(link, ty.async_(), peer, |params| params.0, Return),
                    ($n, _) => wrap::<Params<$n>, Return<1>>(link, ty.async_(), peer, |params| params.0, Return),
                )*
                (n, _) => wasmtime::bail!("parameters {n} core values wide"),
            }
        };
    }
    widths!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

fn wrap<P, R>(
    link: &mut LinkerInstance<'_, State>,
    is_async: bool,
    peer: Arc<Peer>,
    arguments: fn(P) -> Arguments,
    result: fn(Option<Value>) -> R,
) -> Result<()>
where
    P: ComponentNamedList + Lift + Send + Sync + 'static,
    R: ComponentNamedList + Lower + Send + Sync + 'static,
{
    let name = peer.method().function.clone();
    if is_async {
        link.func_wrap_concurrent(&name, move |accessor, params: P| {
            let call = Arc::clone(&peer).call(accessor, arguments(params));
            Box::pin(async move { call.await.map(result) })
        })
    } else {
        link.func_wrap_async(&name, move |store, params: P| {
            let call = Arc::clone(&peer).call_plain(store, arguments(params));
            Box::new(async move { call.await.map(result) })
        })
    }
}

/// A call that is under way.
struct Begun {
    answer: Answer,
    /// The call that it was made for, if it was for one.
    origin: Option<Arc<Call>>,
    /// Its arguments are counted for the service that calls, too: it could wait for any number of calls.
    held: Option<quota::Held>,
}

impl Begun {
    /// A call that is not made.
    fn refused(status: Status, origin: Option<Arc<Call>>) -> Begun {
        Begun { answer: Answer::Unary(Calling::failed(status)), origin, held: None }
    }
}

enum Answer {
    Unary(Calling<Reply>),
    Streams(Calling<StreamReply>),
}

/// What came back.
enum Came {
    Value(Payload),
    Replies(crate::rpc::Events),
}

impl Peer {
    fn method(&self) -> &Method {
        &self.schema.needs[self.at.0].methods[self.at.1]
    }

    /// A call of an `async func`: others in the instance go on meanwhile.
    fn call(self: Arc<Peer>, accessor: &Accessor<State>, args: Arguments) -> BoxFuture<'_, Result<Option<Value>>> {
        Box::pin(async move {
            let Begun { answer, origin, held: _held } = accessor.with(|mut access| self.begin(access.as_context_mut(), args))?;
            let came = self.wait(answer, origin.as_deref()).await;
            let value = accessor.with(|mut access| self.finish(access.as_context_mut(), came, &origin))?;
            match (value, origin) {
                (Ok(value), _) => Ok(value),
                // Nothing that the guest could be told: its call ends without it, and it is not to go on.
                (Err(status), Some(call)) => {
                    call.fail(status);
                    std::future::pending().await
                }
                (Err(status), None) => Err(inexpressible(&status)),
            }
        })
    }

    /// A call of a plain `func`: it holds the whole instance until it is answered.
    fn call_plain<'a>(self: Arc<Peer>, mut store: StoreContextMut<'a, State>, args: Arguments) -> BoxFuture<'a, Result<Option<Value>>> {
        Box::pin(async move {
            let Begun { answer, origin, held: _held } = self.begin(store.as_context_mut(), args)?;
            let occupied = Occupied::new(&store.data().inbox);
            store.data().pool.look_for_more_everywhere();
            let came = self.wait(answer, origin.as_deref()).await;
            drop(occupied);
            match (self.finish(store.as_context_mut(), came, &origin)?, origin) {
                (Ok(value), _) => Ok(value),
                // It cannot be left waiting: the instance would wait with it.
                (Err(status), origin) => {
                    let error = inexpressible(&status);
                    if let Some(call) = origin {
                        call.fail(status);
                    }
                    Err(error)
                }
            }
        })
    }

    fn begin(self: &Arc<Peer>, mut store: StoreContextMut<'_, State>, args: Arguments) -> Result<Begun> {
        let call = current_call(&mut store);
        let pool = Arc::clone(&store.data().pool);
        let (method, limits) = (self.method(), pool.limits());
        let args = match args {
            Ok(args) => args,
            Err(TooLarge) => {
                let why = format!("the arguments take more than the limit host-call, {} bytes", limits.host_call);
                return Ok(Begun::refused(Status::new(Code::ResourceExhausted, why), call));
            }
        };
        let held = match pool.quota().hold(args.iter().map(Value::size).sum()) {
            Ok(held) => held,
            Err(status) => return Ok(Begun::refused(status, call)),
        };
        let origin = call.as_ref().map(|call| Origin { deadline: call.deadline, depth: call.caller.depth, headers: &call.headers });
        let unary = method.kind == MethodKind::Unary;
        let own = if unary { limits.timeout } else { limits.stream_timeout };
        let outgoing = Outgoing {
            path: Arc::clone(&self.path),
            form: Form::Values(method.fingerprint),
            metadata: HeaderMap::new(),
            // A call that is served has a deadline, which goes for this one too.
            timeout: origin.is_none().then_some(own),
            // A type does not say so.
            idempotent: false,
            plan: Some(Arc::clone(self) as Arc<dyn Plan>),
        };
        let answer = if unary {
            Answer::Unary(pool.peers().call(origin, outgoing, Payload::Value(Value::Record(args))))
        } else {
            let messages = streams::messages(store.as_context_mut(), method, args)?;
            Answer::Streams(pool.peers().open(origin, outgoing, messages))
        };
        Ok(Begun { answer, origin: call, held: Some(held) })
    }

    /// What the guest is told; an error where it cannot be.
    fn finish(
        &self,
        store: StoreContextMut<'_, State>,
        came: std::result::Result<Came, Status>,
        origin: &Option<Arc<Call>>,
    ) -> Result<std::result::Result<Option<Value>, Status>> {
        let method = self.method();
        let result = match came {
            Ok(Came::Value(payload)) => payload.value(),
            Ok(Came::Replies(events)) => Ok(method.flowed(streams::replies(store, &self.schema, self.at, events, origin)?)),
            Err(status) => Err(status),
        };
        Ok(match result {
            Ok(value) => Ok(Some(value)),
            Err(mut status) => match status.take_value::<Value>().or_else(|| method.failing(&status)) {
                Some(value) => Ok(Some(value)),
                None => Err(status),
            },
        })
    }

    /// Waits for an answer, for as long as somebody waits for the call that it was made for.
    async fn wait(&self, answer: Answer, origin: Option<&Call>) -> std::result::Result<Came, Status> {
        let answer = async {
            match answer {
                Answer::Unary(call) => call.await.map(|reply| Came::Value(reply.body)),
                Answer::Streams(open) => streams::came(open.await?, self.method().returns() != Passing::Values).await,
            }
        };
        let Some(call) = origin else { return answer.await };
        let (answer, abort) = abortable(answer);
        let _outgoing = Held::new(call, abort);
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Plan for Peer {
    fn request(&self, value: Value, limit: usize) -> std::result::Result<Bytes, Status> {
        self.method().write_request(value, limit)
    }

    fn reply(&self, message: &[u8]) -> std::result::Result<Value, Status> {
        self.method().read_reply(message)
    }

    fn failed(&self, status: Status, begun: bool) -> Status {
        let method = self.method();
        let value = if begun && method.has_ending() { method.read_ending(&status) } else { method.read_failure(&status) };
        match value {
            Some(value) => status.with_value(value),
            None => status,
        }
    }
}

/// What is told of a call whose origin nobody waits for.
pub fn gone() -> Status {
    Status::new(Code::Canceled, "nobody waits any longer for the call that it was made for")
}

fn inexpressible(status: &Status) -> wasmtime::Error {
    wasmtime::format_err!(
        "a call of another service failed with {}: {}; the function has no error type that could say so: give it a result",
        status.code(),
        status.message()
    )
}
