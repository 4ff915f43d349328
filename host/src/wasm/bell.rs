//! How an instance is called to attention, by the pool and by the calls that run in it.

use futures::task::AtomicWaker;

/// Wakes an instance and its keeper.
#[derive(Debug, Default)]
pub struct Bell {
    /// The instance, which takes calls.
    pub instance: AtomicWaker,
    /// Its keeper, which stands outside of the store.
    pub keeper: AtomicWaker,
}

impl Bell {
    /// A running call was abandoned: both are to look.
    pub fn abandoned(&self) {
        self.keeper.wake();
        self.instance.wake();
    }
}
