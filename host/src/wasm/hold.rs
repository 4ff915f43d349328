//! Who can still bring calls to a service. A call that has found its way goes to the version that it
//! found, however much later its body comes; so a version must stay until nobody has a way to it.

use tokio::sync::watch;

/// Keeps a version of a service: part of every way to it.
#[derive(Clone)]
pub struct Hold {
    _way: watch::Receiver<()>,
}

/// Hands out holds, and hears when the last one has gone.
pub struct Held(watch::Sender<()>);

impl Held {
    /// A hold for one more way.
    pub fn hold(&self) -> Hold {
        Hold { _way: self.0.subscribe() }
    }

    /// Waits until there is no hold.
    pub async fn released(&self) {
        self.0.closed().await;
    }
}

impl Default for Held {
    fn default() -> Held {
        Held(watch::Sender::new(()))
    }
}
