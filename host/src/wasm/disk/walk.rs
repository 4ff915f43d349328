//! Counts what is in folders: the bytes of all files, and all names.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::MAX_WALK;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The lengths of all files, each once, however many names it has.
    pub bytes: u64,
    /// Names of files, folders and links, without the folders that were walked.
    pub files: u64,
}

/// Folders that cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A folder cannot be read.
    #[error("cannot count what is in {path}, which it may write to: {source}")]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is too much in them.
    #[error(
        "counting what is in the folders that it may write to takes longer than {limit:?} (it has come to {path}); grant it a folder of its own, with less in it"
    )]
    Slow {
        /// How far it has come.
        path: PathBuf,
        /// The time that it may take.
        limit: Duration,
    },
}

/// The folders themselves, however they are written, without those that are within others.
pub fn roots<'p>(paths: impl Iterator<Item = &'p Path>) -> Result<Vec<PathBuf>, WalkError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|source| WalkError::Read { path: path.to_owned(), source });
    let mut found = paths.map(real).collect::<Result<Vec<PathBuf>, WalkError>>()?;
    found.sort();
    // In this order what is within a folder comes right after it.
    found.dedup_by(|inner, outer| inner.starts_with(outer));
    Ok(found)
}

/// Which file it is, on this machine.
pub fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Counts what is in these folders, at any depth, but for the bytes of some files. Links are not followed.
/// What is gone when it is looked at does not count, nor what may not be read.
pub fn walk(roots: &[PathBuf], but: &HashSet<(u64, u64)>) -> Result<Found, WalkError> {
    let (began, mut found, mut linked) = (Instant::now(), Found::default(), HashSet::new());
    let mut left = roots.to_vec();
    while let Some(folder) = left.pop() {
        let failed = |source| WalkError::Read { path: folder.clone(), source };
        let Some(entries) = unless_gone(fs::read_dir(&folder)).map_err(failed)? else { continue };
        for entry in entries {
            if began.elapsed() > MAX_WALK {
                return Err(WalkError::slow(folder));
            }
            let Some(entry) = unless_gone(entry).map_err(failed)? else { continue };
            let Some(metadata) = unless_gone(entry.metadata()).map_err(failed)? else { continue };
            found.files += 1;
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.is_file() && !but.contains(&identity(&metadata)) && is_first(&metadata, &mut linked) {
                found.bytes = found.bytes.saturating_add(metadata.len());
            }
        }
    }
    Ok(found)
}

/// Whether this is the first name of a file that is met.
fn is_first(metadata: &Metadata, linked: &mut HashSet<(u64, u64)>) -> bool {
    metadata.nlink() < 2 || linked.insert(identity(metadata))
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_once_by_their_length_and_names_each() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("in")).expect("a folder");
        fs::write(at("in/a"), [0; 1000]).expect("a file");
        fs::hard_link(at("in/a"), at("b")).expect("a second name");
        fs::File::create(at("sparse")).and_then(|file| file.set_len(5000)).expect("a sparse file");
        std::os::unix::fs::symlink("/", at("out")).expect("a link");
        let roots = [folder.path().to_owned()];
        assert_eq!(walk(&roots, &HashSet::new()).expect("counted"), Found { bytes: 6000, files: 5 });
        let but = HashSet::from([identity(&fs::metadata(at("b")).expect("it is there"))]);
        assert_eq!(walk(&roots, &but).expect("counted"), Found { bytes: 5000, files: 5 });
    }

    #[test]
    fn folders_within_others_are_not_counted_twice() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "a/in", "a-b"] {
            fs::create_dir(at(name)).expect("a folder");
        }
        let (a, inside, other, again) = (at("a"), at("a/in"), at("a-b"), at("a/../a"));
        let found = roots([&*inside, &*other, &*a, &*again].into_iter()).expect("they are there");
        let real = |path: &Path| fs::canonicalize(path).expect("it is there");
        assert_eq!(found, [real(&a), real(&other)]);
    }
}
