//! What the admin API asks of a host. The app implements it, so that this floor need not know the app.

use super::view::{Description, ServiceView};

/// A host, as those who may run it see it.
///
/// Whatever changes a host is a method here that returns a future, fails with a
/// [`Status`](crate::status::Status), and has a row in the API's table of POST paths. The figures of a
/// [`ServiceView`] are left at zero: the API fills them in.
pub trait Control: Send + Sync {
    /// Every service by name, those that could not be started too.
    fn services(&self) -> Vec<ServiceView>;

    /// All that is known of a service; `None` where there is none of this name. One that could not be
    /// started has neither endpoints nor imports.
    fn describe(&self, name: &str) -> Option<Description>;
}
