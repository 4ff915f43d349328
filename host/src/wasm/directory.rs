//! Who offers which interface, in this host and in others: what imports of other services are checked
//! against before a component is linked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use semver::Version;

use crate::registry::{Interface, Offer, View};
use crate::schema::{Schema, Service};
use crate::settings::Grants;

/// What the services of a host export, by the name of the service that exports it. Filled before the
/// first of them is linked, so that the order in which they start does not matter.
#[derive(Default)]
pub struct Directory {
    own: Mutex<BTreeMap<String, Arc<Schema>>>,
    /// What other hosts offer; nothing in a host that knows of no others.
    elsewhere: Arc<View>,
}

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
        /// The service that offers it, by its name in the settings, and the host where it is another.
        by: String,
        /// What does not fit.
        why: String,
    },
}

impl Directory {
    /// A directory that knows of other hosts what this view does.
    pub fn new(elsewhere: Arc<View>) -> Directory {
        Directory { own: Mutex::default(), elsewhere }
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Schema>>> {
        self.own.lock().expect("no holder panics")
    }

    /// Whether a service has an import that nobody offers, and that may not come later.
    pub fn lacks(&self, name: &str, schema: &Schema, grants: &Grants) -> bool {
        let faults = schema.needs.iter().flat_map(|need| self.faults(name, schema, need, grants));
        faults.into_iter().any(|fault| matches!(fault, NeedError::Nobody { .. }))
    }

    /// Notes what a service exports, in place of what it exported before.
    pub fn offer(&self, name: &str, schema: Arc<Schema>) {
        self.own().insert(name.to_owned(), schema);
    }

    /// Forgets what a service exports.
    pub fn withdraw(&self, name: &str) {
        self.own().remove(name);
    }

    /// Who exports a service of this full name: a service by its name in the settings, and its host where
    /// that is another.
    pub fn offering(&self, service: &str) -> Option<String> {
        let own = self.own().iter().find(|(_, schema)| schema.names().any(|name| name == service)).map(|(by, _)| by.clone());
        own.or_else(|| {
            let nodes = self.elsewhere.nodes();
            let offers = nodes.offering(service);
            offers.iter().find(|offer| offer.service().ready).or(offers.first()).map(called)
        })
    }

    /// Whether all that the service called `name` imports of others can be had: each import is granted,
    /// and offered in a version and with types that fit, or may come later.
    pub fn check(&self, name: &str, schema: &Schema, grants: &Grants) -> Result<(), Vec<NeedError>> {
        let faults: Vec<NeedError> = schema.needs.iter().flat_map(|need| self.faults(name, schema, need, grants)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// All that is wrong with one import, so that nobody has to start the service once for each.
    fn faults(&self, name: &str, own: &Schema, need: &Service, grants: &Grants) -> Vec<NeedError> {
        let (import, service) = (need.interface.clone(), need.name.clone());
        let mut faults = Vec::new();
        if !need.methods.iter().all(|method| grants.calls.iter().any(|grant| grant.covers(&service, &method.name))) {
            faults.push(NeedError::Grant { name: name.to_owned(), import: import.clone(), service: service.clone() });
        }
        let offers = self.own();
        // What it offers itself is what it will offer, not what a version before it does.
        let offers = offers.iter().map(|(by, schema)| (by, if *by == *name { own } else { &**schema }));
        let mut offered = offers.filter_map(|(by, schema)| Some((by, schema.services.iter().find(|other| other.name == service)?)));
        match offered.next() {
            Some((by, other)) => faults.extend(unfit(need, other).map(|why| NeedError::Unfit { import, by: by.clone(), why })),
            None if !self.elsewhere.nodes().offering(&service).is_empty() => faults.extend(self.unfit_elsewhere(need, import)),
            None if grants.late.iter().any(|late| late.covers(&service, "")) => {}
            None => faults.push(NeedError::Nobody { name: name.to_owned(), import, service }),
        }
        faults
    }
}

impl Directory {
    /// Why no other host's offer can stand for `need`; `None` where one can.
    fn unfit_elsewhere(&self, need: &Service, import: String) -> Option<NeedError> {
        let nodes = self.elsewhere.nodes();
        let mut first = None;
        for offer in nodes.offering(&need.name).iter() {
            let why = unfit_there(need, offer.interface())?;
            first.get_or_insert_with(|| NeedError::Unfit { import: import.clone(), by: called(offer), why });
        }
        first
    }
}

/// What people call another host's service.
fn called(offer: &Offer) -> String {
    format!("{} of the host {}", offer.service().name, offer.node.called())
}

/// Why what another host offers cannot stand for `need`; `None` where it can. Its types are known by
/// their fingerprints alone. A gateway takes any call; whether it understands this one shows then.
fn unfit_there(need: &Service, offered: &Interface) -> Option<String> {
    if offered.methods.is_empty() {
        return None;
    }
    let Some(wit) = &offered.wit else { return Some("it takes encoded messages; call it by name".to_owned()) };
    if let (Some(wants), Some(has)) = (version(&need.interface), version(wit))
        && !compatible(&wants, &has)
    {
        return Some(format!("it offers {wit}"));
    }
    need.methods.iter().find_map(|wanted| match offered.methods.iter().find(|method| method.name == wanted.name) {
        None => Some(format!("{wit} lacks the function {}", wanted.function)),
        Some(method) if method.fingerprint == Some(wanted.fingerprint.bits()) => None,
        Some(_) => Some(format!("function {}: the import is {}, {wit} has another type", wanted.function, wanted.signature)),
    })
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

    /// The service that a package offers or, as the other world, needs.
    fn schema(wit: &str) -> Arc<Schema> {
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve.push_str("test.wit", wit).expect("the text is WIT");
        Arc::new(Schema::of(&wit_component::encode(&resolve, package).expect("a package")).expect("one world"))
    }

    fn offer(version: &str, body: &str) -> Arc<Schema> {
        schema(&format!("package shop:stock@{version};\ninterface stock {{ {body} }}\nworld w {{ export stock; }}"))
    }

    fn need(body: &str) -> Arc<Schema> {
        schema(&format!(
            "package shop:orders@1.0.0;\nworld w {{ import shop:stock/stock@1.2.0; }}\npackage shop:stock@1.2.0 {{ interface stock {{ {body} }} }}"
        ))
    }

    const TAKE: &str = "record item { id: string } take: async func(item: item, count: u32) -> result<u32, string>;";

    fn check(offered: Option<Arc<Schema>>, needed: &str, grants: &str) -> Result<(), String> {
        let directory = Directory::default();
        if let Some(offered) = offered {
            directory.offer("stock", offered);
        }
        let grants: Grants = toml::from_str(grants).expect("grants");
        directory
            .check("orders", &need(needed), &grants)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    const GRANT: &str = "calls = [\"shop.stock.Stock\"]";

    #[test]
    fn what_fits_is_found_whatever_else_is_offered_and_whether_it_is_async() {
        let more = format!("{} more: func();", TAKE.replace("async ", ""));
        assert_eq!(check(Some(offer("1.4.2", &more)), TAKE, GRANT), Ok(()));
    }

    #[test]
    fn another_type_is_told_with_function_parameter_and_both_types() {
        let other = TAKE.replace("id: string", "id: u64");
        let error = check(Some(offer("1.2.0", &other)), TAKE, GRANT).expect_err("another type");
        assert_eq!(
            error,
            "shop:stock/stock@1.2.0: stock does not fit: function take: parameter `item` of the import is `record { id: string }`, \
             that of shop:stock/stock@1.2.0 is `record { id: u64 }`"
        );
        let other = TAKE.replace("result<u32, string>", "u32");
        let error = check(Some(offer("1.2.0", &other)), TAKE, GRANT).expect_err("another type");
        assert!(error.ends_with("the import returns `result<u32, string>`, shop:stock/stock@1.2.0 returns `u32`"), "{error}");
    }

    #[test]
    fn a_missing_function_another_version_and_nobody_are_told_apart() {
        let error = check(Some(offer("1.2.0", "other: func();")), TAKE, GRANT).expect_err("lacks it");
        assert!(error.ends_with("shop:stock/stock@1.2.0 lacks the function take"), "{error}");
        let error = check(Some(offer("2.0.0", TAKE)), TAKE, GRANT).expect_err("another version");
        assert!(error.ends_with("stock does not fit: it offers shop:stock/stock@2.0.0"), "{error}");
        let error = check(None, TAKE, GRANT).expect_err("nobody");
        assert!(error.contains("late = [\"shop.stock.Stock\"] under [service.orders.grants]"), "{error}");
        assert_eq!(check(None, TAKE, &format!("{GRANT}\nlate = [\"shop.stock.Stock\"]")), Ok(()));
    }

    #[test]
    fn a_grant_of_other_methods_is_none() {
        let error = check(Some(offer("1.2.0", TAKE)), TAKE, "calls = [\"shop.stock.Stock/Give\"]").expect_err("not granted");
        assert!(error.contains("grant it with calls = [\"shop.stock.Stock\"]"), "{error}");
    }
}
