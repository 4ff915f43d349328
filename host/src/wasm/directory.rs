//! Who offers which interface in this host: what imports of other services are checked against before a
//! component is linked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use semver::Version;

use crate::schema::{Schema, Service};
use crate::settings::Grants;

/// What the services of a host export, by the name of the service that exports it. Filled before the
/// first of them is linked, so that the order in which they start does not matter.
#[derive(Default)]
pub struct Directory(Mutex<BTreeMap<String, Arc<Schema>>>);

/// An import that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedError {
    /// No service offers it.
    #[error(
        "{import}: no service here offers it; run one that exports it beside this one, or let it come later with late = [{service:?}] under [service.{name}.grants], or --late {service}"
    )]
    Nobody {
        /// The service that needs it.
        name: String,
        /// The import: `shop:payments/payment@1.2.0`.
        import: String,
        /// The service's full name: `shop.payments.Payment`.
        service: String,
    },
    /// It is not granted.
    #[error(
        "{import}: the service may not call it; grant it with calls = [{service:?}] under [service.{name}.grants], or --allow-call {service}"
    )]
    Grant {
        /// The service that needs it.
        name: String,
        /// The import.
        import: String,
        /// The service's full name.
        service: String,
    },
    /// Whoever offers it has another version, another type, or lacks a function.
    #[error("{import}: {by} does not fit: {why}")]
    Unfit {
        /// The import.
        import: String,
        /// The service that offers it, by its name in the settings.
        by: String,
        /// What does not fit.
        why: String,
    },
}

impl Directory {
    /// Notes what a service exports, in place of what it exported before.
    pub fn offer(&self, name: &str, schema: Arc<Schema>) {
        self.0.lock().expect("no holder panics").insert(name.to_owned(), schema);
    }

    /// Forgets what a service exports.
    pub fn withdraw(&self, name: &str) {
        self.0.lock().expect("no holder panics").remove(name);
    }

    /// Whether all that the service called `name` imports of others can be had: each import is granted,
    /// and offered in a version and with types that fit, or may come later.
    pub fn check(&self, name: &str, schema: &Schema, grants: &Grants) -> Result<(), Vec<NeedError>> {
        let faults: Vec<NeedError> = schema.needs.iter().flat_map(|need| self.faults(name, need, grants)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// All that is wrong with one import, so that nobody has to start the service once for each.
    fn faults(&self, name: &str, need: &Service, grants: &Grants) -> Vec<NeedError> {
        let (import, service) = (need.interface.clone(), need.name.clone());
        let mut faults = Vec::new();
        if !need.methods.iter().all(|method| grants.calls.iter().any(|grant| grant.covers(&service, &method.name))) {
            faults.push(NeedError::Grant { name: name.to_owned(), import: import.clone(), service: service.clone() });
        }
        let offers = self.0.lock().expect("no holder panics");
        let mut offered = offers.iter().filter_map(|(by, schema)| Some((by, schema.services.iter().find(|other| other.name == service)?)));
        match offered.next() {
            Some((by, other)) => faults.extend(unfit(need, other).map(|why| NeedError::Unfit { import, by: by.clone(), why })),
            None if grants.late.iter().any(|late| late.covers(&service, "")) => {}
            None => faults.push(NeedError::Nobody { name: name.to_owned(), import, service }),
        }
        faults
    }
}

/// Why `offered` cannot stand for `need`; `None` where it can.
pub fn unfit(need: &Service, offered: &Service) -> Option<String> {
    if let (Some(wants), Some(has)) = (version(&need.interface), version(&offered.interface))
        && !compatible(&wants, &has)
    {
        return Some(format!("it offers {}", offered.interface));
    }
    need.methods.iter().find_map(|wanted| {
        let Some(method) = offered.methods.iter().find(|method| method.function == wanted.function) else {
            return Some(format!("{} lacks the function {}", offered.interface, wanted.function));
        };
        if method.fingerprint == wanted.fingerprint {
            return None;
        }
        let why = wanted.types_of.difference("the import", &method.types_of, &offered.interface);
        let why = why.unwrap_or_else(|| format!("the import is {}, {} has {}", wanted.signature, offered.interface, method.signature));
        Some(format!("function {}: {why}", wanted.function))
    })
}

/// The version of an interface such as `shop:payments/payment@1.2.0`.
fn version(interface: &str) -> Option<Version> {
    Version::parse(interface.split_once('@')?.1).ok()
}

/// Whether `has` can stand for `wants` by the rules of semantic versioning: no older, and of the same
/// major version, or of the same minor one before 1.0.
fn compatible(wants: &Version, has: &Version) -> bool {
    let line = |version: &Version| match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    };
    line(wants) == line(has) && has >= wants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_of_the_same_line_stand_for_older_ones() {
        let fits = |wants: &str, has: &str| compatible(&wants.parse().expect("a version"), &has.parse().expect("a version"));
        assert!(fits("1.2.0", "1.2.0") && fits("1.2.0", "1.3.1") && fits("0.2.1", "0.2.7"));
        assert!(!fits("1.2.0", "1.1.9") && !fits("1.2.0", "2.0.0") && !fits("0.2.0", "0.3.0") && !fits("0.0.1", "0.0.2"));
    }
}
