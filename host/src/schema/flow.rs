//! What of a function streams: its one parameter, its result, or both.
//!
//! gRPC and Connect know one message type each way, so a stream is the only parameter or the whole
//! result. How a stream of results ended is told by the future beside it, as WASI 0.3 has it:
//! `tuple<stream<t>, future<result<_, e>>>`.

use wit_parser::{Function, Type, TypeDefKind};

use super::Handle;
use super::Value;
use super::fault::Fault;
use super::source::{Resolved, Source};
use crate::status::Status;

/// How values pass one side of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// All at once.
    Values,
    /// One after the other.
    Stream,
    /// `stream<u8>`, of which each message carries a chunk.
    Bytes,
    /// One, later.
    Future,
}

/// What the messages of a side hold.
#[derive(Clone, Copy)]
pub(super) enum Element {
    /// `stream<u8>`: each message is a chunk of bytes.
    Chunk,
    /// A value of this type.
    Of(Type),
}

/// A function's parameters.
pub(super) enum Input {
    /// The fields of the request, or the request itself.
    Values,
    /// The one parameter is a stream or future.
    Flow(Passing, Element),
}

/// A function's result, without the `result` around it.
pub(super) enum Output {
    Value(Option<Type>),
    /// A stream or future, and the error type of the future that tells how it ended.
    Flow(Passing, Element, Option<Ending>),
}

/// `future<result<_, e>>` beside a stream.
pub(super) struct Ending(pub(super) Option<Type>);

/// The handles in the result of a function whose reply streams.
#[derive(Debug, PartialEq)]
pub struct Flowing {
    /// The stream or future of the reply's messages.
    pub items: Handle,
    /// The future that tells how they ended.
    pub ending: Option<Handle>,
}

impl Source {
    /// The function's parameters; fails with the reason where a stream cannot be carried.
    pub(super) fn input(&self, function: &Function) -> Result<Input, String> {
        let [parameter] = function.params.as_slice() else {
            let stream = function.params.iter().find(|parameter| self.flow(parameter.ty).is_some());
            return match stream {
                Some(parameter) => Err(format!(
                    "parameter `{}` is a stream beside other parameters; make it the only one, and send what else there is as metadata or as its first element",
                    parameter.name
                )),
                None => Ok(Input::Values),
            };
        };
        match self.flow(parameter.ty) {
            None => Ok(Input::Values),
            Some(flow) => {
                let (passing, element) = self.element(flow).map_err(|why| format!("parameter `{}` {why}", parameter.name))?;
                Ok(Input::Flow(passing, element))
            }
        }
    }

    /// The function's result, and the error type of the `result` around it where there is one.
    pub(super) fn output(&self, function: &Function) -> Result<(Output, Option<Option<Type>>), String> {
        let (ok, error) = match function.result.map(|ty| self.resolved(ty)) {
            Some(Resolved::Defined(_, TypeDefKind::Result(result))) => (result.ok, Some(result.err)),
            _ => (function.result, None),
        };
        let output = ok.map_or(Ok(Output::Value(None)), |ty| self.body(ty)).map_err(|why| format!("the result {why}"))?;
        Ok((output, error))
    }

    fn body(&self, ty: Type) -> Result<Output, String> {
        if let Some(flow) = self.flow(ty) {
            let (passing, element) = self.element(flow)?;
            return Ok(Output::Flow(passing, element, None));
        }
        let Resolved::Defined(_, TypeDefKind::Tuple(tuple)) = self.resolved(ty) else { return Ok(Output::Value(Some(ty))) };
        let [first, second] = tuple.types.as_slice() else { return Ok(Output::Value(Some(ty))) };
        let (Some(flow @ (Passing::Stream, _)), Some((Passing::Future, Some(ending)))) = (self.flow(*first), self.flow(*second)) else {
            return Ok(Output::Value(Some(ty)));
        };
        match self.resolved(ending) {
            Resolved::Defined(_, TypeDefKind::Result(result)) if result.ok.is_none() => {
                let (passing, element) = self.element(flow)?;
                Ok(Output::Flow(passing, element, Some(Ending(result.err))))
            }
            _ => Err(format!(
                "has `{}` beside its stream; what tells how a stream ended is a `future<result<_, e>>`",
                self.type_name(*second)
            )),
        }
    }

    /// Whether a type is a stream or future, and of what.
    fn flow(&self, ty: Type) -> Option<(Passing, Option<Type>)> {
        match self.resolved(ty) {
            Resolved::Defined(_, TypeDefKind::Stream(element)) => Some((Passing::Stream, *element)),
            Resolved::Defined(_, TypeDefKind::Future(element)) => Some((Passing::Future, *element)),
            _ => None,
        }
    }

    fn element(&self, (passing, element): (Passing, Option<Type>)) -> Result<(Passing, Element), String> {
        let Some(element) = element else {
            return Err("streams nothing; give its elements a type".into());
        };
        Ok(match self.resolved(element) {
            Resolved::Scalar(Type::U8) if passing == Passing::Stream => (Passing::Bytes, Element::Chunk),
            _ => (passing, Element::Of(element)),
        })
    }
}

impl Flowing {
    /// Takes the handles out of what a function returned, without the `result` around it.
    ///
    /// Fails with `internal` where it holds no stream.
    pub fn of(value: Option<Value>) -> Result<Flowing, Status> {
        match value {
            Some(Value::Handle(items)) => Ok(Flowing { items, ending: None }),
            Some(Value::Record(mut pair)) => match (pair.pop(), pair.pop()) {
                (Some(Value::Handle(ending)), Some(Value::Handle(items))) => Ok(Flowing { items, ending: Some(ending) }),
                _ => Err(Fault::mismatch().into_status()),
            },
            _ => Err(Fault::mismatch().into_status()),
        }
    }
}
