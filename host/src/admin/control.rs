//! What the admin API asks of a host. The app implements it, so that this floor need not know the app.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::change::{Change, Swapped};
use super::view::{Description, ServiceView};
use crate::status::Status;

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

    /// Changes which version of a service runs. Dropping the future before that has happened leaves all
    /// as it is.
    ///
    /// Fails with `not_found` where there is no such service, with `invalid_argument` for an order that
    /// cannot be read, with `aborted` while another change of it is under way, and with
    /// `failed_precondition` where it is refused; the version that ran goes on then.
    fn change(self: Arc<Self>, service: String, change: Change) -> BoxFuture<'static, Result<Swapped, Status>>;
}
