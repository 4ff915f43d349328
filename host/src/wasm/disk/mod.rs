//! What a service has in the folders that it may write to. WASI knows no bound for it, so each function
//! that can make a file grow or make a new name is replaced by one that counts first.
//!
//! What is there when the service starts counts; growth is charged before it happens, and refused with
//! `insufficient-space` where it would be too much. A file counts by its length, however little of it is
//! written. What is truncated counts no more, and what has lost its last name when nobody of the service
//! has it open any more. Files, folders and links count by name. The count is the service's: of all
//! instances, and of all versions as long as they have the same folders.
//!
//! The count may be more than there is, where a call ended, or a count was made, while bytes were on their
//! way, and it does not see what others do in the same folders. So whoever is refused has it counted anew,
//! if that has not been done just before. It is never less than what the service made: that is why changes
//! of names wait for one another, and all of them for a count.
//!
//! `walk` counts what is there, `ledger` keeps the count, `files` has WASI's functions with the count
//! added, `stream` is what bytes go through, and `p2` and `p3` put them into a linker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use tokio::runtime::Handle;
use wasmtime::component::Linker;

use super::state::State;
use crate::settings::{Grants, Limits};
use crate::stats::ServiceStats;

mod alike;
mod files;
mod ledger;
mod p2;
mod p3;
mod stream;
mod walk;

pub use ledger::Ledger;
pub use walk::WalkError;

use ledger::{Charge, End};

/// The time that counting what is in the folders may take.
const MAX_WALK: Duration = Duration::from_secs(10);

/// A service's bounds in its folders, and what it has taken of them.
pub struct Disk {
    name: Arc<str>,
    bytes: u64,
    files: u64,
    ledger: Arc<Ledger>,
    stats: Arc<ServiceStats>,
    /// Where folders are walked.
    heavy: Handle,
}

/// There is no room for what a guest wants.
pub struct Full;

impl Disk {
    /// Counts what the service has in the folders that it may write to; `None` where there is none. The
    /// version before it may have counted them already. Blocks for as long as counting takes.
    pub fn of(
        name: &Arc<str>,
        limits: &Limits,
        grants: &Grants,
        before: Option<&Arc<Ledger>>,
        stats: &Arc<ServiceStats>,
        heavy: &Handle,
    ) -> Result<Option<Arc<Disk>>, WalkError> {
        let writable = grants.folders.values().filter(|folder| folder.write);
        let roots = walk::roots(writable.map(|folder| folder.path.as_path()))?;
        if roots.is_empty() {
            return Ok(None);
        }
        let ledger = match before.filter(|before| before.roots() == roots) {
            Some(before) => Arc::clone(before),
            None => Ledger::count(roots, Arc::clone(stats))?,
        };
        let (bytes, files) = (limits.disk as u64, limits.files);
        let disk = Disk { name: Arc::clone(name), bytes, files, ledger, stats: Arc::clone(stats), heavy: heavy.clone() };
        let (has, names) = disk.ledger.counted();
        if has > bytes {
            disk.warn("disk", size(has));
        }
        if names > files {
            disk.warn("files", names);
        }
        Ok(Some(Arc::new(disk)))
    }

    /// What the next version goes on with.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Puts the functions that count in place of those of WASI that do not.
    pub fn link(self: &Arc<Disk>, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        linker.allow_shadowing(true);
        for (interface, rows) in [alike::all::<p2::Second>(), alike::all::<p3::Third>()] {
            let mut link = linker.instance(interface)?;
            rows.iter().try_for_each(|row| row(&mut link, self))?;
        }
        linker.allow_shadowing(false);
        Ok(())
    }

    /// Charges a file's growth to this end; if there is no room for it, after another count.
    async fn charge(&self, file: &Arc<std::fs::File>, end: End) -> Result<Charge, Full> {
        let charge = || self.ledger.charge(file, end, self.bytes);
        if let Some(charge) = charge() {
            return Ok(charge);
        }
        if self.ledger.count_again(&self.heavy).await {
            if let Some(charge) = charge() {
                return Ok(charge);
            }
            // No more often than it is counted.
            self.reached("disk");
        }
        Err(self.full())
    }

    /// Charges a file's growth where nothing can be waited for. Who is refused has it counted anew for
    /// those that come next.
    fn charge_now(self: &Arc<Disk>, file: &Arc<std::fs::File>, end: End) -> Result<Charge, Full> {
        self.ledger.charge(file, end, self.bytes).ok_or_else(|| {
            let disk = Arc::clone(self);
            tokio::spawn(async move {
                if disk.ledger.count_again(&disk.heavy).await {
                    disk.reached("disk");
                }
            });
            self.full()
        })
    }

    /// How many bytes may be written to a file from here on, or behind all others.
    fn room(&self, file: &Arc<std::fs::File>, offset: Option<u64>) -> u64 {
        self.ledger.room(file, offset, self.bytes)
    }

    /// Looks for room for some bytes at least, if need be after another count.
    async fn some_room(&self, file: &Arc<std::fs::File>, offset: Option<u64>) -> Result<(), Full> {
        if self.room(file, offset) > 0 {
            return Ok(());
        }
        if self.ledger.count_again(&self.heavy).await {
            if self.room(file, offset) > 0 {
                return Ok(());
            }
            self.reached("disk");
        }
        Err(self.full())
    }

    /// Charges one more name, if there is room for it. Names have to be held, so that it is not lost in a
    /// count before it is made; where there is no room, they are to be let go for [`Disk::room_for_name`].
    fn charge_name(&self) -> bool {
        self.ledger.charge_name(self.files)
    }

    /// Looks for room for one more name, if need be by another count.
    async fn room_for_name(&self) -> Result<(), Full> {
        let room = || self.ledger.counted().1 < self.files;
        if room() {
            return Ok(());
        }
        if self.ledger.count_again(&self.heavy).await {
            if room() {
                return Ok(());
            }
            self.reached("files");
        }
        Err(self.full())
    }

    fn reached(&self, limit: &str) {
        match limit {
            "disk" => self.warn(limit, size(self.bytes)),
            _ => self.warn(limit, self.files),
        }
    }

    fn full(&self) -> Full {
        self.stats.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Full
    }

    fn warn(&self, limit: &str, value: impl std::fmt::Display) {
        let name = &self.name;
        tracing::warn!(
            service = &**name,
            "{name} has reached its limit {limit} in the folders that it may write to, with {value}; to raise it, write {limit} in [service.{name}.limits]"
        );
    }
}

/// A size as people write it.
fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// What cannot be counted, for whoever starts the service.
impl WalkError {
    fn slow(path: PathBuf) -> WalkError {
        WalkError::Slow { path, limit: MAX_WALK }
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;
    use crate::settings::Folder;
    use crate::wasm::imports;

    #[test]
    fn each_function_that_counts_stands_in_the_place_of_one_of_wasi() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut grants = Grants::default();
        grants.folders.insert("/data".into(), Folder { path: folder.path().to_owned(), write: true });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (name, limits, stats) = (Arc::from("greedy"), Limits::default(), Arc::default());
        let disk = Disk::of(&name, &limits, &grants, None, &stats, runtime.handle()).expect("it can be read").expect("it is for writing");
        let engine = Engine::default();
        let mut linker = imports::wasi(&engine).expect("WASI links");
        for (interface, rows) in [alike::all::<p2::Second>(), alike::all::<p3::Third>()] {
            for (place, row) in rows.iter().enumerate() {
                let mut link = linker.instance(interface).expect("it is an interface");
                assert!(row(&mut link, &disk).is_err(), "row {place} of {interface} replaces nothing");
            }
        }
        disk.link(&mut linker).expect("it is told that it replaces them");
    }

    #[test]
    fn what_may_only_be_read_is_not_counted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut grants = Grants::default();
        grants.folders.insert("/data".into(), Folder { path: folder.path().to_owned(), write: false });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (name, limits, stats) = (Arc::from("modest"), Limits::default(), Arc::default());
        assert!(Disk::of(&name, &limits, &grants, None, &stats, runtime.handle()).expect("it can be read").is_none());
    }
}
