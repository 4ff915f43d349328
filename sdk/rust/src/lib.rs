//! Writes microservices for microhost in Rust.
//!
//! A service is a component: it exports interfaces of its own, and microhost serves them over
//! HTTP/JSON and gRPC. [`service!`] generates the traits to implement; the rest of this crate is
//! what the host offers to the code behind them.
//!
//! - [`context`]: who calls, how long there is to answer, the metadata of the call and of its reply.
//! - [`Status`]: an error that any function can end a call with. A function with errors of its own
//!   in its WIT does without.
//! - Logs: whatever is written with the crates `log` and, with the feature `tracing`, `tracing`
//!   becomes log lines of the service, fields too. Nothing has to be set up. A panic is logged as an
//!   error before it ends the instance.
//! - [`mod@handler`]: calls as they come, for gateways, with [`handler!`](crate::handler!).
//! - [`proto`], with the feature `proto`: services that begin with a `.proto` file, with [`serve!`].
//! - [`rpc`]: calls of other services by name, in JSON with the feature `json`, in protobuf with `proto`.
//! - [`registry`]: which services there are and where, and what this one says of itself: labels, and whether
//!   it is to be called.
//! - [`time::sleep`] waits without holding up the other calls of the instance.
//!
//! All of it compiles for other targets too, so that a service's own tests run by `cargo test`: there
//! is no call and no host then, the context is empty and logs go to stderr.

#[doc(hidden)]
pub use wit_bindgen;

pub use wit_bindgen::spawn_local as spawn;

pub mod context;
pub mod handler;
pub mod log;
#[cfg(feature = "proto")]
pub mod proto;
pub mod registry;
pub mod rpc;
mod start;
mod status;
pub mod time;

pub use start::start;
pub use status::{Code, OrStatus, Status};

include!(concat!(env!("OUT_DIR"), "/service.rs"));

/// The host's types, for the option `with` of [`service!`].
pub mod types {
    pub use crate::bindings::microhost::service::types::{Code, Status};
}

/// The host's interfaces as they are. Elsewhere than in wasm each call of them panics, so this
/// crate makes none there.
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package microhost:sdk;

            world sdk {
                import microhost:service/types@0.1.0;
                import microhost:service/log@0.1.0;
                import microhost:service/context@0.1.0;
                import wasi:clocks/monotonic-clock@0.3.0;
            }
        ",
        path: ["wit", "wasi/clocks.wit"],
        additional_derives: [PartialEq, Eq],
        generate_unused_types: true,
        generate_all,
    });
}
