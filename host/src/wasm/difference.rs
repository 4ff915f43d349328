//! What one version of a service offers that another does not: what callers would miss, what they gain,
//! and what it newly asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::directory::unfit;
use super::wire::Wire;
use crate::schema::{Handled, Origin, Schema, Service};

pub use super::wire::Change;

/// The difference of two versions, by what callers see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What only the new version offers.
    pub added: Vec<Item>,
    /// What only the old one offered.
    pub removed: Vec<Item>,
    /// What both offer, with different types.
    pub changed: Vec<Change>,
    /// What the new version imports and the old one did not.
    pub imports_added: Vec<String>,
    /// What only the old one imported.
    pub imports_removed: Vec<String>,
}

/// Something that callers reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Its name: `example.greeter.Greet/Hello`.
    pub name: String,
    /// Its type, as the component writes it.
    pub signature: String,
}

impl Difference {
    /// What is different in `new`.
    pub fn of(old: &Schema, new: &Schema) -> Difference {
        let mut difference = Difference::default();
        for service in &old.services {
            match new.services.iter().find(|other| other.name == service.name) {
                Some(other) => difference.functions(service, other),
                None => difference.removed.extend(items(service)),
            }
        }
        let known = |service: &&Service| old.services.iter().any(|other| other.name == service.name);
        difference.added.extend(new.services.iter().filter(|service| !known(service)).flat_map(items));
        difference.handled(old.handled.as_ref(), new.handled.as_ref());
        match (&old.http, &new.http) {
            (Some(export), None) => difference.removed.push(plain_http(export)),
            (None, Some(export)) => difference.added.push(plain_http(export)),
            _ => {}
        }
        let wire = Wire::changes(old, new, &difference.changed);
        difference.changed.extend(wire);
        difference.imports_added = imports(new, old);
        difference.imports_removed = imports(old, new);
        difference
    }

    /// Whether callers of the old version can do without knowing: nothing is gone, nothing has changed.
    pub fn is_compatible(&self) -> bool {
        self.removed.is_empty() && self.changed.is_empty()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    fn functions(&mut self, old: &Service, new: &Service) {
        for method in &old.methods {
            let name = format!("{}/{}", old.name, method.name);
            match new.methods.iter().find(|other| other.function == method.function) {
                None => self.removed.push(Item { name, signature: method.signature.clone() }),
                Some(other) if other.fingerprint != method.fingerprint => {
                    let why = method.types_of.difference("the running version", &other.types_of, "the new one");
                    let why = why.unwrap_or_else(|| "a type within it differs".to_owned());
                    self.changed.push(Change { name, before: method.signature.clone(), after: other.signature.clone(), why });
                }
                // As the same type may be written differently, there is no more to say.
                Some(_) => {}
            }
        }
        let is_new = |function: &str| old.methods.iter().all(|method| method.function != function);
        let gained = new.methods.iter().filter(|method| is_new(&method.function));
        self.added.extend(gained.map(|method| Item { name: format!("{}/{}", new.name, method.name), signature: method.signature.clone() }));
        // Only what is left: a function that is gone has been told already.
        let same = old
            .methods
            .iter()
            .all(|method| new.methods.iter().any(|other| other.fingerprint == method.fingerprint && other.function == method.function));
        if same && let Some(why) = unfit(old, new) {
            let (before, after) = (old.interface.clone(), new.interface.clone());
            self.changed.push(Change {
                name: old.name.clone(),
                before,
                after,
                why: format!("by semantic versioning callers do not take it: {why}"),
            });
        }
    }

    fn handled(&mut self, old: Option<&Handled>, new: Option<&Handled>) {
        let open = |handled: Option<&Handled>| handled.is_some_and(Handled::takes_anything);
        let gateway = || Item { name: "*".to_owned(), signature: "calls of any service".to_owned() };
        match (open(old), open(new)) {
            (true, false) => self.removed.push(gateway()),
            (false, true) => self.added.push(gateway()),
            _ => {}
        }
        let methods = |handled: Option<&Handled>| -> Vec<(String, String)> {
            let services = handled.into_iter().flat_map(|handled| &handled.services);
            let rows = services.flat_map(|service| {
                service.methods.iter().map(|method| {
                    let stream = |streams: bool| if streams { "stream " } else { "" };
                    let (takes, returns) = (stream(method.kind.client_streams()), stream(method.kind.server_streams()));
                    let signature = format!("rpc {}({takes}{}) returns ({returns}{})", method.name, method.input(), method.output());
                    (format!("{}/{}", service.name, method.name), signature)
                })
            });
            rows.collect()
        };
        let (before, after) = (methods(old), methods(new));
        for (name, signature) in &before {
            match after.iter().find(|(other, _)| other == name) {
                None => self.removed.push(Item { name: name.clone(), signature: signature.clone() }),
                Some((_, other)) if other != signature => {
                    let why = "it takes or returns another message, or streams where it did not".to_owned();
                    self.changed.push(Change { name: name.clone(), before: signature.clone(), after: other.clone(), why });
                }
                Some(_) => {}
            }
        }
        let is_new = |name: &String| before.iter().all(|(known, _)| known != name);
        let gained = after.iter().filter(|(name, _)| is_new(name));
        self.added.extend(gained.map(|(name, signature)| Item { name: name.clone(), signature: signature.clone() }));
    }
}

fn items(service: &Service) -> impl Iterator<Item = Item> {
    service.methods.iter().map(|method| Item { name: format!("{}/{}", service.name, method.name), signature: method.signature.clone() })
}

fn plain_http(export: &str) -> Item {
    Item { name: "plain HTTP".to_owned(), signature: export.to_owned() }
}

/// What `of` imports and `other` does not; WASI and the host come in several versions, and all of one
/// line are alike.
fn imports(of: &Schema, other: &Schema) -> Vec<String> {
    let bare = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let name = |schema: &Schema| -> Vec<(String, String)> {
        let asked = schema.imports().iter().filter(|import| !import.functions.is_empty());
        asked
            .map(|import| (if import.origin == Origin::Service { import.name.clone() } else { bare(&import.name) }, import.name.clone()))
            .collect()
    };
    let known = name(other);
    name(of).into_iter().filter(|(key, _)| known.iter().all(|(other, _)| other != key)).map(|(_, name)| name).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.removed {
            writeln!(f, "- {}: {}", item.name, item.signature)?;
        }
        for change in &self.changed {
            writeln!(f, "~ {}: {}\n    before: {}\n    after:  {}", change.name, change.why, change.before, change.after)?;
        }
        for item in &self.added {
            writeln!(f, "+ {}: {}", item.name, item.signature)?;
        }
        for import in &self.imports_removed {
            writeln!(f, "- imports {import}")?;
        }
        for import in &self.imports_added {
            writeln!(f, "+ imports {import}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wit_parser::Resolve;

    use super::*;

    /// The schema of a package of one interface, `test:shop/stock@VERSION`, with these lines.
    fn schema(version: &str, lines: &str) -> Schema {
        let text = format!("package test:shop@{version};\ninterface stock {{\n{lines}\n}}\nworld shop {{ export stock; }}\n");
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", &text).expect("the text is WIT");
        Schema::of(&wit_component::encode(&resolve, package).expect("the package can be encoded")).expect("it has a schema")
    }

    fn difference(old: &str, new: &str) -> Difference {
        Difference::of(&schema("1.2.0", old), &schema("1.2.0", new))
    }

    #[test]
    fn what_is_added_breaks_nobody() {
        let found = difference("take: func(id: string);", "take: func(id: string);\ngive: func(id: string) -> u32;");
        assert!(found.is_compatible() && !found.is_empty());
        assert_eq!(found.to_string(), "+ test.shop.Stock/Give: give: func(id: string) -> u32\n");
        assert!(difference("take: func(id: string);", "take: async func(id: string);").is_compatible());
        assert!(Difference::of(&schema("1.2.0", "take: func();"), &schema("1.3.0", "take: func();")).is_compatible());
    }

    #[test]
    fn what_is_gone_or_of_another_type_is_told_with_both_types() {
        let found = difference("take: func(id: string);\ngive: func();", "take: func(id: u32);");
        assert_eq!((found.removed[0].name.as_str(), found.changed[0].name.as_str()), ("test.shop.Stock/Give", "test.shop.Stock/Take"));
        let text = found.to_string();
        assert!(text.contains("take: func(id: string)") && text.contains("take: func(id: u32)"), "{text}");
        assert!(!found.is_compatible());
    }

    #[test]
    fn names_that_stand_in_json_are_part_of_the_contract() {
        let renamed = difference("take: func(id: string);", "take: func(item: string);");
        assert!(renamed.to_string().contains("`string id = 1`") && !renamed.is_compatible(), "{renamed}");
        let same = "take: func(of: NAME) -> bool;";
        let record = |name: &str| format!("record {name} {{ id: string }}\n{}", same.replace("NAME", name));
        assert!(difference(&record("item"), &record("thing")).is_compatible(), "nobody sees the name of a record");
        let cases = |name: &str| format!("enum {name} {{ red, green }}\n{}", same.replace("NAME", name));
        assert!(!difference(&cases("colour"), &cases("paint")).is_compatible(), "cases are named after their type");
    }

    #[test]
    fn another_line_of_versions_is_no_version_of_the_same() {
        let found = Difference::of(&schema("1.2.0", "take: func();"), &schema("2.0.0", "take: func();"));
        assert!(found.to_string().contains("semantic versioning"), "{found}");
    }
}
