//! Who waits for a call's outcome. Going away is all that a caller has to do to take his call back.

use std::sync::Arc;

use super::Pool;
use crate::status::Status;
use crate::wasm::call::Call;

/// Held by whoever waits: if it goes before the outcome comes, the call is abandoned, and taken out
/// of the queue if it is still there.
pub struct Waiting<'a> {
    call: &'a Arc<Call>,
    pool: &'a Pool,
    over: bool,
}

impl<'a> Waiting<'a> {
    /// Waits for this call, which goes to this pool.
    pub fn new(call: &'a Arc<Call>, pool: &'a Pool) -> Waiting<'a> {
        Waiting { call, pool, over: false }
    }

    /// The outcome has come.
    pub fn over(mut self) {
        self.over = true;
    }

    /// What a caller is told whose deadline has passed: also why, where a limit of the service held it up.
    pub fn late(&self, status: Status) -> Status {
        self.pool.late(status)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over && !self.call.abandon() {
            self.pool.forget(self.call);
        }
    }
}
