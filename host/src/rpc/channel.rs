//! The way to a service, wherever it runs.

use super::{CallFuture, OpenFuture, Request, StreamRequest};

/// A way to the endpoints of other services, which are named by their path: `/example.greeter.Greet/Hello`.
///
/// Whoever calls by a channel does not know where the callee is: in this host the call goes straight
/// into the callee's server chain, elsewhere over a connection. What comes back is the callee's own
/// answer, or a status:
///
/// - `unavailable` where no service of that name is known or reachable; the handler has not seen the call.
/// - `unimplemented` where the service has no such method, or one of another kind or form.
///
/// A future resolves at the request's deadline at the latest, as that of a [`super::Handler`] does.
/// Dropping it, or the events of a reply, cancels the call. A channel neither looks at grants nor
/// shortens deadlines: [`crate::middleware::Client`] does.
pub trait Channel: Send + Sync {
    /// Begins a unary call.
    fn call(&self, path: &str, request: Request) -> CallFuture;

    /// Begins a call with streams.
    fn open(&self, path: &str, request: StreamRequest) -> OpenFuture;
}
