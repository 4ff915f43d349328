//! The descriptors of all that a host serves, by who brought them. They change while the host
//! runs, and readers see one whole state or the next.

use std::collections::BTreeMap;
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
    /// Another one has a file of this name with other contents.
    #[error("{owner} and {other} both bring {file}, with different contents")]
    Conflict {
        /// Who brought the second.
        owner: String,
        /// Who has the first.
        other: String,
        /// The file's name.
        file: String,
    },
}

struct Entry {
    files: FileDescriptorSet,
    pool: DescriptorPool,
}

/// One state of a catalog.
#[derive(Default)]
pub struct Listing(BTreeMap<String, Arc<Entry>>);

impl Listing {
    /// All files, each once.
    pub fn files(&self) -> FileDescriptorSet {
        let mut files: BTreeMap<&str, &FileDescriptorProto> = BTreeMap::new();
        for file in self.0.values().flat_map(|entry| &entry.files.file) {
            files.insert(file.name(), file);
        }
        FileDescriptorSet { file: files.into_values().cloned().collect() }
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
    writing: Mutex<()>,
}

impl Catalog {
    /// Sets the descriptors that `owner` brings, in place of those it brought before.
    ///
    /// The set holds every file that one of its files imports. Fails, and changes nothing, where
    /// the set is not valid or another owner has one of the files with other contents.
    pub fn set(&self, owner: &str, files: FileDescriptorSet) -> Result<(), CatalogError> {
        let pool = DescriptorPool::from_file_descriptor_set(files.clone())
            .map_err(|error| CatalogError::Invalid { owner: owner.to_owned(), why: error.to_string() })?;
        let _writing = self.writing.lock().expect("no writer panics");
        let mut entries = self.listing.load().0.clone();
        entries.remove(owner);
        for (other, entry) in &entries {
            let conflict =
                files.file.iter().find(|file| entry.files.file.iter().any(|known| known.name() == file.name() && known != *file));
            if let Some(file) = conflict {
                return Err(CatalogError::Conflict { owner: owner.to_owned(), other: other.clone(), file: file.name().to_owned() });
            }
        }
        entries.insert(owner.to_owned(), Arc::new(Entry { files, pool }));
        self.listing.store(Arc::new(Listing(entries)));
        Ok(())
    }

    /// Takes away what `owner` brought.
    pub fn remove(&self, owner: &str) {
        let _writing = self.writing.lock().expect("no writer panics");
        let mut entries = self.listing.load().0.clone();
        entries.remove(owner);
        self.listing.store(Arc::new(Listing(entries)));
    }

    /// The state now. A later state is another `Arc`.
    pub fn listing(&self) -> Arc<Listing> {
        self.listing.load_full()
    }
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
    fn one_name_for_different_files_is_refused_and_changes_nothing() {
        let catalog = Catalog::default();
        catalog.set("a", files("x.proto", "X")).expect("valid");
        let error = catalog.set("b", files("x.proto", "Y")).expect_err("conflict").to_string();
        assert_eq!(error, "b and a both bring x.proto, with different contents");
        assert_eq!(catalog.listing().files(), files("x.proto", "X"));
        catalog.set("a", files("x.proto", "Y")).expect("its own may change");
    }
}
