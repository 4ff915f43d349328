//! `microhost:service/rpc`: calls of other services by name, as bytes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::abortable;
use wasmtime::component::StreamReader;
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::{Row, define, define_waiting};
use crate::middleware::{Calling, Origin, Outgoing};
use crate::rpc::{Codec, Form};
use crate::status::{Code, Status};
use crate::wasm::abi::Item;
use crate::wasm::call::{Call, Held};
use crate::wasm::peers::gone;
use crate::wasm::state::{State, current_call};

mod replies;
mod wire;

use super::metadata;
use wire::{Error, Replies, Reply, Target};

pub(super) const FUNCTIONS: &[Row] =
    &[("call", |link, name, kind| define_waiting(link, name, kind, call)), ("open", |link, name, kind| define(link, name, kind, open))];

/// The one result of `call`.
type Answer = (std::result::Result<Reply, Error>,);

/// A unary call. What it waits for has nothing to do with the store any more.
fn call(mut store: StoreContextMut<'_, State>, (target, message): (Target, Vec<u8>)) -> Result<impl Future<Output = Answer> + use<>> {
    let origin = current_call(&mut store);
    let peers = store.data().pool.peers();
    let calling = match outgoing(target) {
        Ok(outgoing) => peers.call(origin.as_deref().map(of), outgoing, message.into()),
        Err(status) => Calling::failed(status),
    };
    Ok(async move {
        let answer = match origin {
            None => calling.await,
            Some(origin) => {
                let (calling, abort) = abortable(calling);
                let _held = Held::new(&*origin, abort);
                calling.await.unwrap_or_else(|_| Err(gone()))
            }
        };
        (answer.and_then(Reply::of).map_err(|status| Error::of(&status)),)
    })
}

/// A call with streams. It goes on by itself, and the guest reads how.
fn open(mut store: StoreContextMut<'_, State>, (target, messages): (Target, StreamReader<Item>)) -> Result<(Replies,)> {
    let origin = current_call(&mut store);
    let pool = Arc::clone(&store.data().pool);
    let messages = wire::messages(store.as_context_mut(), messages)?;
    let calling = match outgoing(target) {
        Ok(outgoing) => pool.peers().open(origin.as_deref().map(of), outgoing, messages),
        Err(status) => Calling::failed(status),
    };
    Ok((replies::begin(store, calling, origin)?,))
}

fn of(call: &Call) -> Origin<'_> {
    Origin { deadline: call.deadline, depth: call.caller.depth, headers: &call.headers }
}

/// What the guest asks for, checked.
fn outgoing(target: Target) -> std::result::Result<Outgoing, Status> {
    let Target { service, method, codec, metadata, timeout, idempotent } = target;
    let invalid = |why: String| Status::new(Code::InvalidArgument, why);
    let codec = Codec::named(&codec).ok_or_else(|| {
        let known: Vec<&str> = Codec::ALL.into_iter().map(Codec::name).collect();
        invalid(format!("there is no codec {codec:?}; there are {}", known.join(", ")))
    })?;
    // A name that brings a slash would be another path than the one that is granted.
    for (what, name) in [("service", &service), ("method", &method)] {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
            return Err(invalid(format!(
                "{name:?} is no name of a {what}; one looks like example.greeter.Greet, and its method like Hello"
            )));
        }
    }
    let metadata = metadata::headers(metadata).map_err(|unfit| invalid(unfit.to_string()))?;
    let path = ["/", &service, "/", &method].concat().into();
    Ok(Outgoing { path, form: Form::Encoded(codec), metadata, timeout: timeout.map(Duration::from_nanos), idempotent, plan: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(service: &str, method: &str, codec: &str) -> Target {
        let (service, method, codec) = (service.to_owned(), method.to_owned(), codec.to_owned());
        Target { service, method, codec, metadata: Vec::new(), timeout: Some(5), idempotent: true }
    }

    #[test]
    fn a_target_becomes_a_path_with_its_codec_and_time() {
        let outgoing = outgoing(target("a.B", "C", "json")).expect("valid");
        assert_eq!((&*outgoing.path, outgoing.form), ("/a.B/C", Form::Encoded(Codec::Json)));
        assert_eq!((outgoing.timeout, outgoing.idempotent), (Some(Duration::from_nanos(5)), true));
    }

    #[test]
    fn an_unknown_codec_is_answered_with_those_there_are() {
        let status = outgoing(target("a.B", "C", "xml")).err().expect("unknown");
        assert_eq!(status.message(), "there is no codec \"xml\"; there are json, proto, msgpack, cbor, bson");
    }

    #[test]
    fn a_name_cannot_be_another_path_than_it_seems() {
        for (service, method) in [("a.B/C", "D"), ("a.B", "C/D"), ("", "C"), ("a.B", ""), ("a B", "C"), ("a.B", "C\n")] {
            assert_eq!(outgoing(target(service, method, "json")).err().expect(method).code(), Code::InvalidArgument);
        }
    }
}
