//! The places of a service's open streams.

use std::sync::Arc;

use super::Pool;
use crate::status::{Code, Status};
use crate::wasm::quota::Held;

/// An open stream of a service, counted until it is dropped.
pub struct StreamSlot {
    pool: Arc<Pool>,
    _held: Held,
}

impl StreamSlot {
    /// The stream has ended with this code.
    pub fn ended(&self, code: Code) {
        self.pool.tally.ended(code);
    }
}

impl Pool {
    /// Counts a stream that is opened.
    ///
    /// Fails with `resource_exhausted` where the service has as many as its limit `streams` allows.
    pub fn open_stream(self: &Arc<Pool>) -> Result<StreamSlot, Status> {
        let held = self.quota.stream().map_err(Status::unseen)?;
        Ok(StreamSlot { pool: Arc::clone(self), _held: held })
    }
}
