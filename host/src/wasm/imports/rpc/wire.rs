//! The types of `microhost:service/rpc`, and what becomes of them.

use wasmtime::component::{ComponentType, FutureReader, Lift, Lower, StreamReader};
use wasmtime::{AsContextMut, Result, StoreContextMut};

use crate::rpc::{self, Messages, Payload};
use crate::schema::Value;
use crate::status::{self, Status};
use crate::wasm::abi::Item;
use crate::wasm::imports::metadata::{Entry, told};
use crate::wasm::peers::{Items, written};
use crate::wasm::state::State;

#[derive(ComponentType, Lift)]
#[component(record)]
pub struct Target {
    pub service: String,
    pub method: String,
    pub codec: String,
    pub metadata: Vec<Entry>,
    pub timeout: Option<u64>,
    pub idempotent: bool,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub struct Reply {
    message: Vec<u8>,
    headers: Vec<Entry>,
    trailers: Vec<Entry>,
}

impl Reply {
    /// Fails where the answer is no bytes.
    pub fn of(reply: rpc::Reply) -> std::result::Result<Reply, Status> {
        let rpc::Reply { body, headers, trailers } = reply;
        Ok(Reply { message: body.bytes()?.into(), headers: told(&headers), trailers: told(&trailers) })
    }
}

/// The cases are gRPC's codes in their order, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Code {
    #[component(name = "canceled")]
    Canceled,
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "invalid-argument")]
    InvalidArgument,
    #[component(name = "deadline-exceeded")]
    DeadlineExceeded,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "already-exists")]
    AlreadyExists,
    #[component(name = "permission-denied")]
    PermissionDenied,
    #[component(name = "resource-exhausted")]
    ResourceExhausted,
    #[component(name = "failed-precondition")]
    FailedPrecondition,
    #[component(name = "aborted")]
    Aborted,
    #[component(name = "out-of-range")]
    OutOfRange,
    #[component(name = "unimplemented")]
    Unimplemented,
    #[component(name = "internal")]
    Internal,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "data-loss")]
    DataLoss,
    #[component(name = "unauthenticated")]
    Unauthenticated,
}

impl From<status::Code> for Code {
    fn from(code: status::Code) -> Code {
        match code {
            status::Code::Canceled => Code::Canceled,
            // A failure that says that all went well says nothing.
            status::Code::Ok | status::Code::Unknown => Code::Unknown,
            status::Code::InvalidArgument => Code::InvalidArgument,
            status::Code::DeadlineExceeded => Code::DeadlineExceeded,
            status::Code::NotFound => Code::NotFound,
            status::Code::AlreadyExists => Code::AlreadyExists,
            status::Code::PermissionDenied => Code::PermissionDenied,
            status::Code::ResourceExhausted => Code::ResourceExhausted,
            status::Code::FailedPrecondition => Code::FailedPrecondition,
            status::Code::Aborted => Code::Aborted,
            status::Code::OutOfRange => Code::OutOfRange,
            status::Code::Unimplemented => Code::Unimplemented,
            status::Code::Internal => Code::Internal,
            status::Code::Unavailable => Code::Unavailable,
            status::Code::DataLoss => Code::DataLoss,
            status::Code::Unauthenticated => Code::Unauthenticated,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Detail {
    #[component(name = "type-name")]
    type_name: String,
    value: Vec<u8>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Failure {
    code: Code,
    message: String,
    details: Vec<Detail>,
}

// wasmtime wants to be able to read what a future is made of.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub struct Error {
    failure: Failure,
    metadata: Vec<Entry>,
}

impl Error {
    pub fn of(status: &Status) -> Error {
        let details = status.details().iter();
        let details = details.map(|detail| Detail { type_name: detail.type_name.to_string(), value: detail.value.to_vec() });
        let failure = Failure { code: status.code().into(), message: status.message().to_owned(), details: details.collect() };
        Error { failure, metadata: told(status.metadata()) }
    }
}

/// How the messages of a reply ended.
pub type Ending = std::result::Result<Vec<Entry>, Error>;

#[derive(ComponentType, Lower)]
#[component(record)]
pub struct Replies {
    pub headers: FutureReader<Vec<Entry>>,
    pub messages: StreamReader<Item>,
    pub ending: FutureReader<Ending>,
}

/// The messages that the guest sends.
pub fn messages(mut store: StoreContextMut<'_, State>, messages: StreamReader<Item>) -> Result<Messages> {
    let (sink, written) = written(store.data(), |value| match value {
        Value::Bytes(bytes) => Payload::Bytes(bytes.into()),
        // The type of the function allows for nothing else.
        other => Payload::Value(other),
    });
    messages.pipe(store.as_context_mut(), Items(sink))?;
    Ok(written)
}
