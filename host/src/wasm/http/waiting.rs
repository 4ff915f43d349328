//! Who waits for a response, from the request to the end of its body.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::wasm::call::{Call, Outcome};
use crate::wasm::pool::Pool;

/// Held for as long as somebody waits: if it goes before the call is over, the call is abandoned, and
/// taken out of the queue if it is still there.
pub(super) struct Waiting {
    call: Arc<Call>,
    pool: Arc<Pool>,
    over: bool,
}

impl Waiting {
    /// Waits for this call, which goes to this pool.
    pub(super) fn new(call: &Arc<Call>, pool: &Arc<Pool>) -> Waiting {
        Waiting { call: Arc::clone(call), pool: Arc::clone(pool), over: false }
    }

    /// The call is over.
    pub(super) fn over(mut self) {
        self.over = true;
    }

    /// A piece of the response has come: what the guest may compute counts from one to the next.
    pub(super) fn progressed(&self) {
        self.call.progressed();
    }

    /// Lets a call that has answered go on to its end, for a time.
    pub(super) fn linger(self, outcome: oneshot::Receiver<Outcome>, time: Duration) {
        // Without a runtime the host is ending, and the call with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if timeout(time, outcome).await.is_ok() {
                self.over();
            }
        });
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over && !self.call.abandon() {
            self.pool.forget(&self.call);
        }
    }
}
