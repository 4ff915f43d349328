//! What a service offers to the router, and what the router finds for a call.

use std::sync::Arc;

use super::{HttpServed, Served};

/// A path's endpoint.
pub type Route = Arc<Served>;

/// Answers calls of endpoints that nobody knows before they are called.
pub trait Gateway: Send + Sync {
    /// The endpoint of this name. It is made for one call, on the call's way, so it should cost
    /// little; what is counted of it belongs to the gateway as a whole, as callers choose the names.
    fn endpoint(&self, service: &str, method: &str) -> Served;
}

/// All that callers reach a service by.
#[derive(Default)]
pub struct Offer {
    /// Its endpoints.
    pub endpoints: Vec<Served>,
    /// Its gateway, with the services that it is asked for: where none is named, all that nobody else
    /// serves.
    pub gateway: Option<(Vec<String>, Arc<dyn Gateway>)>,
    /// Its route of plain HTTP.
    pub http: Option<HttpServed>,
}
