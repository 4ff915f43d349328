//! The page that lists what is served.

use serde_json::{Value, json};

use super::Overview;
use crate::rpc::MethodKind;

/// Services with their methods, sorted by name, and the routes of plain HTTP.
pub(super) fn list(overview: &Overview) -> Value {
    let listing = overview.catalog.listing();
    let mut services: Vec<(String, Vec<Value>)> = Vec::new();
    for route in overview.router.all() {
        let endpoint = &route.endpoint;
        let (input, output) = listing.messages(&endpoint.service, &endpoint.method).unzip();
        let method = json!({
            "name": &*endpoint.method,
            "path": endpoint.path(),
            // None where the endpoint takes calls of every kind.
            "kind": endpoint.kind.map(MethodKind::name),
            "input": input,
            "output": output,
            "safe": endpoint.safe,
        });
        match services.last_mut().filter(|(name, _)| **name == *endpoint.service) {
            Some((_, methods)) => methods.push(method),
            None => services.push((endpoint.service.to_string(), vec![method])),
        }
    }
    let routes: Vec<Value> =
        overview.router.all_http().iter().map(|served| json!({ "service": &*served.service, "route": served.route.as_str() })).collect();
    json!({ "http": routes, "services": services.into_iter().map(|(name, methods)| json!({ "name": name, "methods": methods })).collect::<Vec<_>>() })
}
