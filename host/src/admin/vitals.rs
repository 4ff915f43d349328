//! Whether the host itself is well, whatever its services say.

use std::time::Duration;

use futures::future::BoxFuture;

/// What tells whether a host is well. It is asked anew each time, as what hangs cannot tell that it does.
pub trait Vitals: Send + Sync {
    /// Whether all that takes up work does so within `patience`: a host of which a part does not can be
    /// helped by starting it again.
    ///
    /// Fails with what does not answer.
    fn alive(&self, patience: Duration) -> BoxFuture<'_, Result<(), String>>;

    /// Whether the host can do its work: it is alive, and the disks that it needs answer within `patience`.
    ///
    /// Fails with what does not.
    fn able(&self, patience: Duration) -> BoxFuture<'_, Result<(), String>>;
}
