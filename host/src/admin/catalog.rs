//! The descriptors of all that a host serves, by who brought them. They change while the host
//! runs, and readers see one whole state or the next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// Descriptors that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// They do not hold together: a type that no file declares, a name declared twice.
    #[error("the descriptors of {owner} are not valid: {why}")]
    Invalid {
        /// Who brought them.
        owner: String,
        /// The first fault.
        why: String,
    },
}

/// Something that two services bring under one name and in different shapes. Both are served as they are;
/// the listing shows the one of `other`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Who brought it already.
    pub other: String,
    /// Its full name: `shop.orders.Order`.
    pub name: String,
}

struct Entry {
    files: FileDescriptorSet,
    pool: DescriptorPool,
}

/// One state of a catalog.
#[derive(Default)]
pub struct Listing(BTreeMap<Arc<str>, Arc<Entry>>);

impl Listing {
    /// All files, each once, with all that anybody declares in it: who uses some types of another's
    /// interface brings a file with these alone.
    pub fn files(&self) -> FileDescriptorSet {
        let mut files: BTreeMap<&str, FileDescriptorProto> = BTreeMap::new();
        for file in self.0.values().flat_map(|entry| &entry.files.file) {
            match files.get_mut(file.name()) {
                None => drop(files.insert(file.name(), file.clone())),
                Some(known) if known == file => {}
                Some(known) => merge(known, file),
            }
        }
        FileDescriptorSet { file: files.into_values().collect() }
    }

    /// A method's request and reply, by their messages' full names.
    pub fn messages(&self, service: &str, method: &str) -> Option<(String, String)> {
        self.0.values().find_map(|entry| {
            let method = entry.pool.get_service_by_name(service)?.methods().find(|candidate| candidate.name() == method)?;
            Some((method.input().full_name().to_owned(), method.output().full_name().to_owned()))
        })
    }
}

/// The descriptors of a host.
#[derive(Default)]
pub struct Catalog {
    listing: ArcSwap<Listing>,
    /// Who brings a file, by its name. Locked by whoever writes.
    bringers: Mutex<Bringers>,
}

type Bringers = HashMap<String, BTreeSet<Arc<str>>>;

impl Catalog {
    /// Sets the descriptors that `owner` brings, in place of those it brought before.
    ///
    /// The set holds every file that one of its files imports. Fails, and changes nothing, where the set
    /// is not valid. What others bring in another shape is returned.
    pub fn set(&self, owner: &str, files: FileDescriptorSet) -> Result<Vec<Clash>, CatalogError> {
        let pool = DescriptorPool::from_file_descriptor_set(files.clone())
            .map_err(|error| CatalogError::Invalid { owner: owner.to_owned(), why: error.to_string() })?;
        let mut bringers = self.bringers.lock().expect("no writer panics");
        let mut entries = self.listing.load().0.clone();
        forget(&mut bringers, entries.remove(owner).as_deref(), owner);
        let owner: Arc<str> = owner.into();
        let mut clashes = Vec::new();
        for file in &files.file {
            let others = bringers.entry(file.name().to_owned()).or_default();
            for (other, entry) in others.iter().filter_map(|other| Some((other, entries.get(other)?))) {
                let known = entry.files.file.iter().find(|known| known.name() == file.name() && *known != file);
                let names = known.into_iter().flat_map(|known| differing(known, file));
                clashes.extend(names.map(|name| Clash { other: other.to_string(), name }));
            }
            others.insert(Arc::clone(&owner));
        }
        entries.insert(owner, Arc::new(Entry { files, pool }));
        self.listing.store(Arc::new(Listing(entries)));
        Ok(clashes)
    }

    /// Takes away what `owner` brought.
    pub fn remove(&self, owner: &str) {
        let mut bringers = self.bringers.lock().expect("no writer panics");
        let mut entries = self.listing.load().0.clone();
        forget(&mut bringers, entries.remove(owner).as_deref(), owner);
        self.listing.store(Arc::new(Listing(entries)));
    }

    /// The state now. A later state is another `Arc`.
    pub fn listing(&self) -> Arc<Listing> {
        self.listing.load_full()
    }
}

/// Notes that `owner` no longer brings the files of this entry.
fn forget(bringers: &mut Bringers, entry: Option<&Entry>, owner: &str) {
    for file in entry.into_iter().flat_map(|entry| &entry.files.file) {
        if let Some(others) = bringers.get_mut(file.name()) {
            others.remove(owner);
            if others.is_empty() {
                bringers.remove(file.name());
            }
        }
    }
}

/// Adds what only `more` declares.
fn merge(file: &mut FileDescriptorProto, more: &FileDescriptorProto) {
    fn add<T: Clone>(to: &mut Vec<T>, from: &[T], same: impl Fn(&T, &T) -> bool) {
        for one in from {
            if !to.iter().any(|known| same(known, one)) {
                to.push(one.clone());
            }
        }
    }
    // Places of comments and of public imports are by number, and would no longer fit.
    file.source_code_info = None;
    add(&mut file.dependency, &more.dependency, |a, b| a == b);
    add(&mut file.message_type, &more.message_type, |a, b| a.name == b.name);
    add(&mut file.enum_type, &more.enum_type, |a, b| a.name == b.name);
    add(&mut file.service, &more.service, |a, b| a.name == b.name);
    add(&mut file.extension, &more.extension, |a, b| a.name == b.name);
}

/// The full names of what both declare and do not declare alike.
fn differing(one: &FileDescriptorProto, other: &FileDescriptorProto) -> Vec<String> {
    fn of<'f, T: PartialEq>(one: &'f [T], other: &'f [T], name: fn(&T) -> &str) -> impl Iterator<Item = &'f str> {
        one.iter().filter(move |a| other.iter().any(|b| name(a) == name(b) && *a != b)).map(name)
    }
    let names = of(&one.message_type, &other.message_type, |message| message.name())
        .chain(of(&one.enum_type, &other.enum_type, |item| item.name()))
        .chain(of(&one.service, &other.service, |service| service.name()));
    let package = if one.package().is_empty() { String::new() } else { format!("{}.", one.package()) };
    names.map(|name| format!("{package}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use prost_types::DescriptorProto;

    use super::*;

    fn files(name: &str, message: &str) -> FileDescriptorSet {
        let message = DescriptorProto { name: Some(message.into()), ..Default::default() };
        FileDescriptorSet { file: vec![FileDescriptorProto { name: Some(name.into()), message_type: vec![message], ..Default::default() }] }
    }

    #[test]
    fn a_file_that_two_bring_is_listed_once() {
        let catalog = Catalog::default();
        catalog.set("a", files("x.proto", "X")).expect("valid");
        catalog.set("b", files("x.proto", "X")).expect("the same");
        assert_eq!(catalog.listing().files().file.len(), 1);
        catalog.remove("a");
        assert_eq!(catalog.listing().files().file.len(), 1);
        catalog.remove("b");
        assert_eq!(catalog.listing().files().file.len(), 0);
    }

    #[test]
    fn parts_of_one_file_make_a_whole_and_other_shapes_of_one_name_are_told() {
        let catalog = Catalog::default();
        assert_eq!(catalog.set("a", files("x.proto", "X")).expect("valid"), []);
        assert_eq!(catalog.set("b", files("x.proto", "Y")).expect("another part"), []);
        let merged = catalog.listing().files();
        let names: Vec<&str> = merged.file[0].message_type.iter().map(|message| message.name()).collect();
        assert_eq!((merged.file.len(), names), (1, vec!["X", "Y"]));
        let mut other = files("x.proto", "X");
        other.file[0].message_type[0].field.push(prost_types::FieldDescriptorProto {
            name: Some("f".into()),
            number: Some(1),
            label: Some(1),
            r#type: Some(5),
            ..Default::default()
        });
        let clashes = catalog.set("c", other).expect("valid by itself");
        assert_eq!(clashes, [Clash { other: "a".into(), name: "X".into() }]);
        assert_eq!(catalog.listing().files(), merged);
        catalog.set("a", files("x.proto", "Z")).expect("its own may change");
    }
}
