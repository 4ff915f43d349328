//! Compiled components on disk, so that a component is compiled once on a machine.
//!
//! Native code is only ever loaded from what this cache wrote itself: the folder belongs to its
//! user alone, each entry carries a keyed hash over its code, and the key never leaves the folder.
//! An entry that fails any of it is as good as absent, and is made anew.
//!
//! An entry is two files. `KEY.entry` names the code by its content and holds the component's
//! schema; `HASH.code` is the code. Both are written aside and renamed into place, the code first,
//! so that hosts which share the cache see all of an entry or none of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use crate::stats::CacheStats;

/// What the cache holds at most, in bytes, unless told otherwise.
pub const DEFAULT_CAPACITY: u64 = 4 << 30;

/// The longest schema that an entry may hold, in bytes.
const MAX_SCHEMA: usize = 64 << 20;

const MAGIC: &[u8; 16] = b"microhost-entry1";

/// A folder of compiled components.
pub struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    capacity: u64,
    stats: Arc<CacheStats>,
}

/// The cache's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or read.
    #[error("cannot use the compile cache {folder}: {source}; name another one with --cache-dir, or do without with --no-cache")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could write native code into it.
    #[error("the compile cache {folder} is not safe: {why}; it must belong to you alone (chmod 700), or name another one with --cache-dir")]
    Unsafe {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A verified entry.
pub struct Entry {
    /// The component's schema, as it was given to [`Cache::put`].
    pub schema: Vec<u8>,
    /// The verified native code. Kept open, so that no other file can take its place.
    code: File,
}

impl Entry {
    /// A path to the very file that was verified.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.code.as_raw_fd()))
    }
}

impl Cache {
    /// Opens the cache in this folder, which is made if need be.
    pub fn open(folder: &Path, capacity: u64, stats: Arc<CacheStats>) -> Result<Cache, CacheError> {
        let io = |source| CacheError::Io { folder: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let metadata = fs::metadata(folder).map_err(io)?;
        let not_safe = |why| CacheError::Unsafe { folder: folder.to_owned(), why };
        // SAFETY: `geteuid` takes nothing and cannot fail.
        if metadata.uid() != unsafe { libc::geteuid() } {
            return Err(not_safe("it belongs to another user"));
        }
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(not_safe("others may write to it"));
        }
        let key = read_key(folder).map_err(io)?;
        Ok(Cache { folder: folder.to_owned(), key, capacity, stats })
    }

    /// The key of a component for an engine: both by content.
    pub fn key(component: &[u8], engine: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(engine).update(component);
        *hasher.finalize().as_bytes()
    }

    /// The entry under this key, if it is there, whole and this cache's own.
    pub fn get(&self, key: &[u8; 32]) -> Option<Entry> {
        let path = self.entry_path(key);
        match self.read(key, &path) {
            Ok(entry) => {
                self.stats.hits.fetch_add(1, Relaxed);
                // The time of last use decides what is evicted; failing to note it costs nothing else.
                let _ = touch(&entry.code);
                Some(entry)
            }
            Err(error) => {
                self.stats.misses.fetch_add(1, Relaxed);
                if error.kind() != io::ErrorKind::NotFound {
                    self.stats.refused.fetch_add(1, Relaxed);
                    tracing::warn!(path = %path.display(), %error, "a compile cache entry is refused; compiling anew");
                }
                None
            }
        }
    }

    fn read(&self, key: &[u8; 32], path: &Path) -> io::Result<Entry> {
        let mut bytes = Vec::new();
        let limit = (MAX_SCHEMA + MAGIC.len() + 64) as u64;
        open_own(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or not this cache's own");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (mac, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        let (code_hash, schema) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        // blake3's hashes compare in constant time.
        if self.mac(key, code_hash, schema) != blake3::Hash::from_bytes(*mac) {
            return Err(damaged());
        }
        let code = open_own(&self.code_path(code_hash))?;
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update_mmap(format!("/proc/self/fd/{}", code.as_raw_fd()))?;
        if hasher.finalize() != blake3::Hash::from_bytes(*code_hash) {
            return Err(damaged());
        }
        Ok(Entry { schema: schema.to_vec(), code })
    }

    /// Adds an entry and returns it, and evicts the longest unused ones where the cache outgrows its
    /// capacity.
    pub fn put(&self, key: &[u8; 32], schema: &[u8], code: &[u8]) -> io::Result<Entry> {
        if schema.len() > MAX_SCHEMA {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the schema is too large to be cached"));
        }
        let code_hash = *blake3::keyed_hash(&self.key, code).as_bytes();
        self.write(&self.code_path(&code_hash), &[code])?;
        let mac = self.mac(key, &code_hash, schema);
        let path = self.entry_path(key);
        self.write(&path, &[MAGIC, mac.as_bytes(), &code_hash, schema])?;
        let entry = self.read(key, &path)?;
        self.evict();
        Ok(entry)
    }

    fn mac(&self, key: &[u8; 32], code_hash: &[u8; 32], schema: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(MAGIC).update(key).update(code_hash).update(schema);
        hasher.finalize()
    }

    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix("new-").permissions(fs::Permissions::from_mode(0o600)).tempfile_in(&self.folder)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn entry_path(&self, key: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}.entry", blake3::Hash::from_bytes(*key).to_hex()))
    }

    fn code_path(&self, hash: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}.code", blake3::Hash::from_bytes(*hash).to_hex()))
    }

    /// Removes the longest unused files until the rest fits. Code that is in use stays mapped where
    /// it is; its entry merely has to be made again.
    fn evict(&self) {
        let Ok(listing) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = listing
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "code" || extension == "entry"))
            .filter_map(|file| {
                let metadata = file.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), file.path()))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, size, path) in files {
            if total <= self.capacity {
                break;
            }
            // Another host may have removed it already.
            if fs::remove_file(&path).is_ok() {
                self.stats.evicted.fetch_add(1, Relaxed);
            }
            total -= size;
        }
    }
}

/// Opens a file only if it is a plain one that nobody else may write.
fn open_own(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)?;
    let metadata = file.metadata()?;
    // SAFETY: `geteuid` takes nothing and cannot fail.
    let own = metadata.is_file() && metadata.uid() == unsafe { libc::geteuid() } && metadata.permissions().mode() & 0o022 == 0;
    if own { Ok(file) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may have written it")) }
}

fn touch(file: &File) -> io::Result<()> {
    file.set_modified(SystemTime::now())
}

/// The folder's own key, made at first use. Of two hosts that make it at once, both use the first.
fn read_key(folder: &Path) -> io::Result<[u8; 32]> {
    let path = folder.join("key");
    if !path.exists() {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = tempfile::Builder::new().prefix("new-").permissions(fs::Permissions::from_mode(0o600)).tempfile_in(folder)?;
        file.write_all(&key)?;
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
            _ => {}
        }
    }
    let mut key = [0; 32];
    open_own(&path)?.read_exact(&mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, capacity: u64) -> Cache {
        Cache::open(folder, capacity, Arc::default()).expect("a fresh folder serves")
    }

    fn only(folder: &Path, extension: &str) -> PathBuf {
        let mut found = fs::read_dir(folder)
            .expect("a folder")
            .flatten()
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|e| e == extension));
        let first = found.next().expect("one file");
        assert!(found.next().is_none());
        first
    }

    #[test]
    fn what_was_put_is_got_by_another_host() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Cache::key(b"component", &[1; 32]);
        assert!(cache(folder.path(), 1 << 20).get(&key).is_none());
        cache(folder.path(), 1 << 20).put(&key, b"schema", b"code").expect("it fits");
        let entry = cache(folder.path(), 1 << 20).get(&key).expect("it is there");
        assert_eq!(entry.schema, b"schema");
        assert_eq!(fs::read(entry.path()).expect("code"), b"code");
        assert!(cache(folder.path(), 1 << 20).get(&Cache::key(b"component", &[2; 32])).is_none(), "another engine");
    }

    #[test]
    fn damaged_and_forged_entries_are_refused() {
        for (extension, at) in [("code", 1), ("entry", 20), ("entry", 60), ("entry", 81)] {
            let folder = tempfile::tempdir().expect("a folder");
            let cache = cache(folder.path(), 1 << 20);
            let key = Cache::key(b"component", &[1; 32]);
            cache.put(&key, b"schema", b"code").expect("it fits");
            let path = only(folder.path(), extension);
            let mut bytes = fs::read(&path).expect("a file");
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("ours to damage");
            assert!(cache.get(&key).is_none(), "{extension} changed at {at}");
            assert_eq!(cache.stats.refused.load(Relaxed), 1);
        }
    }

    #[test]
    fn an_entry_under_another_key_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = cache(folder.path(), 1 << 20);
        let (one, two) = (Cache::key(b"one", &[1; 32]), Cache::key(b"two", &[1; 32]));
        cache.put(&one, b"schema", b"code").expect("it fits");
        fs::rename(cache.entry_path(&one), cache.entry_path(&two)).expect("ours to move");
        assert!(cache.get(&two).is_none());
    }

    #[test]
    fn files_that_others_may_write_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = cache(folder.path(), 1 << 20);
        let key = Cache::key(b"component", &[1; 32]);
        cache.put(&key, b"schema", b"code").expect("it fits");
        fs::set_permissions(only(folder.path(), "code"), fs::Permissions::from_mode(0o666)).expect("ours");
        assert!(cache.get(&key).is_none());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        assert!(matches!(Cache::open(folder.path(), 1, Arc::default()), Err(CacheError::Unsafe { .. })));
    }

    #[test]
    fn the_longest_unused_goes_first_when_the_cache_is_full() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = cache(folder.path(), 2600);
        for (i, name) in [b"a", b"b"].iter().enumerate() {
            let key = Cache::key(*name, &[1; 32]);
            cache.put(&key, b"", &[u8::try_from(i).expect("small"); 1000]).expect("it fits");
            for path in [cache.entry_path(&key)].into_iter().chain(
                fs::read_dir(folder.path())
                    .expect("a folder")
                    .flatten()
                    .map(|f| f.path())
                    .filter(|p| p.extension().is_some_and(|e| e == "code")),
            ) {
                let file = File::open(&path).expect("there");
                let age = std::time::Duration::from_secs(if i == 0 { 1000 } else { 10 });
                if file.metadata().and_then(|m| m.modified()).is_ok_and(|m| m.elapsed().is_ok_and(|e| e.as_secs() < 5)) {
                    file.set_modified(SystemTime::now() - age).expect("ours");
                }
            }
        }
        cache.put(&Cache::key(b"c", &[1; 32]), b"", &[7; 1000]).expect("it fits");
        assert!(cache.get(&Cache::key(b"a", &[1; 32])).is_none());
        assert!(cache.get(&Cache::key(b"b", &[1; 32])).is_some());
        assert!(cache.get(&Cache::key(b"c", &[1; 32])).is_some());
    }
}
