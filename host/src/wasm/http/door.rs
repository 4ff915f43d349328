//! The export that takes requests, found in the component and called in an instance.

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::{Accessor, GuestTaskId, Instance, InstancePre};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView, p2, p3};

use crate::wasm::state::State;

/// What the guest answered: a response, or an error instead of one.
pub type Head = Result<Response<WasiBody>, Error>;

/// How a response's body ended; nothing where it was given up.
pub type Sent = ();

/// A request on its way to an instance, and the ways back.
pub struct Exchange {
    pub(super) request: Request<WasiBody>,
    pub(super) secure: bool,
    /// Hears of the response.
    pub(super) head: oneshot::Sender<Head>,
    /// Tells when the response's body is over, for the instance.
    pub(super) over: oneshot::Receiver<Sent>,
    /// The same, for the guest.
    pub(super) sent: oneshot::Receiver<Sent>,
}

/// The export, as the component has it.
pub enum Door {
    /// `wasi:http/incoming-handler@0.2`: a plain function.
    P2(p2::bindings::ProxyIndices),
    /// `wasi:http/handler@0.3`: an async one.
    P3(p3::bindings::ServiceIndices),
}

impl Door {
    /// The door of a component, if it has one; the newer one where it has both.
    pub fn of(pre: &InstancePre<State>) -> Option<Door> {
        // Fails exactly where the component lacks the export, or has another type for it.
        let newer = p3::bindings::ServiceIndices::new(pre).map(Door::P3);
        newer.or_else(|_| p2::bindings::ProxyIndices::new(pre).map(Door::P2)).ok()
    }

    /// Whether a call has its instance to itself until it is over.
    pub fn exclusive(&self) -> bool {
        matches!(self, Door::P2(_))
    }

    /// The export of one instance.
    pub fn of_instance(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Exported> {
        Ok(match self {
            Door::P2(indices) => Exported::P2(Box::new(indices.load(store, instance)?)),
            Door::P3(indices) => Exported::P3(Box::new(indices.load(store, instance)?)),
        })
    }
}

/// The export of one instance.
pub enum Exported {
    /// Of WASI 0.2.
    P2(Box<p2::bindings::Proxy>),
    /// Of WASI 0.3.
    P3(Box<p3::bindings::Service>),
}

/// A request whose call is queued in its instance.
pub struct Begun<'a> {
    /// The task that it is to the instance.
    pub task: GuestTaskId,
    /// Resolves when the call is over, its response's body too; fails with the trap that ended it.
    pub done: BoxFuture<'a, wasmtime::Result<()>>,
}

impl Exported {
    /// Queues a request in the instance. It must be run to its end, or go with its store.
    pub fn start<'a>(&'a self, accessor: &'a Accessor<State>, exchange: Exchange) -> wasmtime::Result<Begun<'a>> {
        match self {
            Exported::P2(proxy) => Exported::start_p2(proxy, accessor, exchange),
            Exported::P3(service) => Exported::start_p3(service, accessor, exchange),
        }
    }

    fn start_p2<'a>(proxy: &'a p2::bindings::Proxy, accessor: &'a Accessor<State>, exchange: Exchange) -> wasmtime::Result<Begun<'a>> {
        let Exchange { request, secure, head, over: _, sent: _ } = exchange;
        let scheme = if secure { Scheme::Https } else { Scheme::Http };
        let func = proxy.wasi_http_incoming_handler().func_handle();
        let call = accessor.with(|mut access| {
            let mut http = access.data_mut().http();
            let request = http.new_incoming_request(scheme, request)?;
            let out = http.new_response_outparam_from_callback(move |answer| {
                // Whoever waited may have gone.
                let _ = head.send(answer.map_err(Error::from));
            })?;
            func.start_call_concurrent(access, (request, out))
        })?;
        // The function goes on until the body is written; what it wrote last is no more its affair.
        Ok(Begun { task: call.task(), done: Box::pin(func.finish_call_concurrent(accessor, call)) })
    }

    fn start_p3<'a>(service: &'a p3::bindings::Service, accessor: &'a Accessor<State>, exchange: Exchange) -> wasmtime::Result<Begun<'a>> {
        let Exchange { request, secure: _, head, over, sent } = exchange;
        let func = service.wasi_http_handler().func_handle();
        let call = accessor.with(|mut access| {
            let http = access.data_mut().http();
            // How the guest fared with the request's body is nobody's business but its own.
            let (request, _) = p3::Request::from_http(http.hooks, request);
            let request = http.table.push(request)?;
            func.start_call_concurrent(access, (request,))
        })?;
        let task = call.task();
        let done = async move {
            let answer = match func.finish_call_concurrent(accessor, call).await? {
                (Ok(response),) => {
                    let sent = async { sent.await.map_err(|_| Error::ConnectionTerminated) };
                    Ok(accessor.with(|mut access| {
                        let response = access.data_mut().http().table.delete(response)?;
                        response.into_http(access, sent)
                    })?)
                }
                (Err(code),) => Err(Error::from(code)),
            };
            let responded = answer.is_ok();
            // Whoever waited may have gone; then there is no body to wait for, and `over` tells so.
            if head.send(answer).is_ok() && responded {
                // An error means that the body was given up, which is an end too.
                let _ = over.await;
            }
            Ok(())
        };
        Ok(Begun { task, done: Box::pin(done) })
    }
}
