//! The count itself. A file's growth is charged before it happens, to the longest that it can become;
//! where it comes out shorter, the count is put right when nobody is at the file any more.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::RwLock;

use super::walk::{self, WalkError};
use crate::stats::ServiceStats;

/// The least time between two counts.
const MIN_BETWEEN: Duration = Duration::from_secs(1);

/// So many times as long as a count took, no other is made: a guest that is refused all the time has it
/// counted for a small part of the time.
const PAUSE: u32 = 20;

/// So many open files are kept before it is looked which of them are closed.
const MIN_SWEEP: usize = 64;

/// Which file it is, whatever name it was found by: what WASI calls the hash of its metadata.
pub type Inode = (u64, u64);

/// Where a file is to end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// At this length.
    At(u64),
    /// At so many bytes more than it has.
    Behind(u64),
}

/// An open file, kept so while it is counted.
struct Held {
    inode: Inode,
    file: Arc<File>,
    turn: u64,
}

/// What a service has in its folders.
pub struct Ledger {
    roots: Vec<PathBuf>,
    stats: Arc<ServiceStats>,
    counts: Mutex<Counts>,
    /// Held for writing by whoever has to know what a name stands for while he changes it, for reading by
    /// all others who use names.
    pub names: Arc<RwLock<()>>,
}

#[derive(Default)]
struct Counts {
    bytes: u64,
    files: u64,
    /// By its address, which nothing else gets as long as somebody points there, even weakly.
    handles: HashMap<usize, (Weak<File>, Inode)>,
    open: HashMap<Inode, Open>,
    sweep_at: usize,
    /// How many files of `open` were forgotten.
    closings: u64,
    /// A count is under way.
    counting: bool,
    next: Option<Instant>,
}

/// A file that somebody of the service has open.
struct Open {
    handles: Vec<Weak<File>>,
    /// What is charged for it.
    len: u64,
    /// It has no name any more: it counts until it is closed.
    nameless: bool,
    /// Who is about to change its length. Those that were dropped on the way stay counted, as nobody
    /// knows when their bytes will come.
    under_way: u32,
    /// How many have ever been.
    turn: u64,
}

impl Open {
    fn is_open(&self) -> bool {
        self.handles.iter().any(|handle| handle.strong_count() > 0)
    }
}

impl Ledger {
    /// Counts what is in these folders.
    pub fn count(roots: Vec<PathBuf>, stats: Arc<ServiceStats>) -> Result<Arc<Ledger>, WalkError> {
        let found = walk::walk(&roots, &HashSet::new())?;
        let ledger = Ledger { roots, stats, counts: Mutex::default(), names: Arc::default() };
        let mut counts = ledger.lock();
        ledger.set_bytes(&mut counts, found.bytes);
        ledger.set_files(&mut counts, found.files);
        drop(counts);
        Ok(Arc::new(ledger))
    }

    /// The folders.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Bytes and names.
    pub fn counted(&self) -> (u64, u64) {
        let counts = self.lock();
        (counts.bytes, counts.files)
    }

    /// Charges a name, if there is room for it.
    pub fn charge_name(&self, limit: u64) -> bool {
        let mut counts = self.lock();
        let fits = counts.files < limit;
        if fits {
            let files = counts.files + 1;
            self.set_files(&mut counts, files);
        }
        fits
    }

    /// A name is gone, or was not made after all.
    pub fn return_name(&self) {
        let mut counts = self.lock();
        let files = counts.files.saturating_sub(1);
        self.set_files(&mut counts, files);
    }

    /// How many files were forgotten so far.
    pub fn closings(&self) -> u64 {
        self.lock().closings
    }

    /// Somebody has opened a file, which had this length when so many were forgotten. Names have to be held.
    ///
    /// False, and nothing is done, where the file may have changed since: look at its length again.
    pub fn opened(&self, file: &Arc<File>, inode: Inode, len: u64, closings: u64) -> bool {
        let mut counts = self.lock();
        if counts.handles.len() >= counts.sweep_at.max(MIN_SWEEP) {
            self.sweep(&mut counts);
        }
        // One without a name has left its number to this one.
        if counts.open.get(&inode).is_some_and(|open| open.nameless && !open.is_open()) {
            self.close(&mut counts, inode);
        }
        let (closed, handle) = (counts.closings, Arc::downgrade(file));
        match counts.open.entry(inode) {
            Entry::Occupied(mut open) => {
                let open = open.get_mut();
                open.handles.retain(|handle| handle.strong_count() > 0);
                open.handles.push(Weak::clone(&handle));
            }
            // It may be one of those, and have been changed until then.
            Entry::Vacant(_) if closed != closings => return false,
            Entry::Vacant(open) => {
                let handles = vec![Weak::clone(&handle)];
                open.insert(Open { handles, len, nameless: false, under_way: 0, turn: 0 });
            }
        }
        counts.handles.insert(address(file), (handle, inode));
        true
    }

    /// The last name of a file of this length is gone.
    pub fn unnamed(&self, inode: Inode, len: u64) {
        let mut counts = self.lock();
        match counts.open.get_mut(&inode) {
            Some(open) => {
                open.nameless = true;
                if !open.is_open() {
                    self.close(&mut counts, inode);
                }
            }
            None => {
                let bytes = counts.bytes.saturating_sub(len);
                self.set_bytes(&mut counts, bytes);
            }
        }
    }

    /// Charges what a file may grow to reach this end, if there is room for it.
    pub fn charge(self: &Arc<Ledger>, file: &Arc<File>, end: End, limit: u64) -> Option<Charge> {
        let mut counts = self.lock();
        let inode = counts.handles.get(&address(file))?.1;
        let bytes = counts.bytes;
        let open = counts.open.get_mut(&inode)?;
        let end = match end {
            End::At(end) => end,
            End::Behind(more) => open.len.saturating_add(more),
        };
        let growth = end.saturating_sub(open.len);
        let grown = bytes.saturating_add(growth);
        if growth > 0 && grown > limit {
            return None;
        }
        open.len += growth;
        open.under_way += 1;
        open.turn += 1;
        self.set_bytes(&mut counts, grown);
        Some(Charge { ledger: Arc::clone(self), file: Arc::clone(file), inode, growth })
    }

    /// How many bytes may be written to a file from here on, or behind all others.
    pub fn room(&self, file: &Arc<File>, offset: Option<u64>, limit: u64) -> u64 {
        let counts = self.lock();
        let Some(open) = counts.handles.get(&address(file)).and_then(|(_, inode)| counts.open.get(inode)) else { return 0 };
        let left = limit.saturating_sub(counts.bytes);
        match offset {
            Some(offset) => open.len.saturating_add(left).saturating_sub(offset),
            None => left,
        }
    }

    /// Counts anew what is there, on these threads, and returns when it is done. Returns at once, and
    /// false, where it was done lately or is being done.
    pub async fn count_again(self: &Arc<Ledger>, heavy: &Handle) -> bool {
        {
            let mut counts = self.lock();
            if counts.counting || counts.next.is_some_and(|next| Instant::now() < next) {
                return false;
            }
            counts.counting = true;
        }
        let ledger = Arc::clone(self);
        let counting = heavy.spawn(async move {
            let names = Arc::clone(&ledger.names).write_owned().await;
            let counting = tokio::task::spawn_blocking(move || {
                // A name that moves might be missed, and a file that is opened count for nothing.
                let _names = names;
                ledger.recount();
            });
            counting.await
        });
        counting.await.is_ok()
    }

    /// Counts what is there. Open files count by what is charged for them, as they change meanwhile: that
    /// is put right where nobody is at them.
    fn recount(&self) {
        let began = Instant::now();
        let held = self.held();
        let known: HashMap<Inode, Metadata> = held.iter().filter_map(|held| Some((held.inode, held.file.metadata().ok()?))).collect();
        let found = walk::walk(&self.roots, &known.values().map(walk::identity).collect());
        let mut counts = self.lock();
        counts.counting = false;
        counts.next = Some(Instant::now() + MIN_BETWEEN.max(began.elapsed() * PAUSE));
        let found = match found {
            Ok(found) => found,
            Err(error) => return tracing::warn!("the count of what a service has in its folders stays as it was: {error}"),
        };
        for Held { inode, turn, .. } in &held {
            let (Some(open), Some(metadata)) = (counts.open.get_mut(inode), known.get(inode)) else { continue };
            // Others may have taken its last name, which is not counted here.
            open.nameless |= metadata.nlink() == 0;
            if open.under_way == 0 && open.turn == *turn {
                open.len = metadata.len();
            }
        }
        let open: u64 = counts.open.values().map(|open| open.len).sum();
        self.set_bytes(&mut counts, found.bytes.saturating_add(open));
        self.set_files(&mut counts, found.files);
    }

    /// The files that are open.
    fn held(&self) -> Vec<Held> {
        let mut counts = self.lock();
        self.sweep(&mut counts);
        let held = |(inode, open): (&Inode, &Open)| {
            let file = open.handles.iter().find_map(Weak::upgrade)?;
            Some(Held { inode: *inode, file, turn: open.turn })
        };
        counts.open.iter().filter_map(held).collect()
    }

    /// Forgets files that are closed.
    fn sweep(&self, counts: &mut Counts) {
        counts.handles.retain(|_, (handle, _)| handle.strong_count() > 0);
        counts.sweep_at = counts.handles.len() * 2;
        let closed: Vec<Inode> = counts.open.iter().filter(|(_, open)| !open.is_open()).map(|(inode, _)| *inode).collect();
        for inode in closed {
            self.close(counts, inode);
        }
    }

    /// Forgets a file that nobody has open.
    fn close(&self, counts: &mut Counts, inode: Inode) {
        let Some(open) = counts.open.remove(&inode) else { return };
        counts.closings += 1;
        if open.nameless {
            self.set_bytes(counts, counts.bytes.saturating_sub(open.len));
        }
    }

    fn set_bytes(&self, counts: &mut Counts, bytes: u64) {
        self.stats.disk_bytes.fetch_add(signed(bytes) - signed(counts.bytes), Relaxed);
        counts.bytes = bytes;
    }

    fn set_files(&self, counts: &mut Counts, files: u64) {
        self.stats.disk_files.fetch_add(signed(files) - signed(counts.files), Relaxed);
        counts.files = files;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no holder panics")
    }
}

/// What a version with other folders counts no more.
impl Drop for Ledger {
    fn drop(&mut self) {
        let mut counts = std::mem::take(self.counts.get_mut().expect("no holder panics"));
        self.set_bytes(&mut counts, 0);
        self.set_files(&mut counts, 0);
    }
}

/// What a file may have grown by. Whoever drops it does not know what came of it: then it stays charged.
#[must_use]
pub struct Charge {
    ledger: Arc<Ledger>,
    file: Arc<File>,
    inode: Inode,
    growth: u64,
}

impl Charge {
    /// Whether the file was to become longer than it was.
    pub fn grows(&self) -> bool {
        self.growth > 0
    }

    /// The file has grown as it was charged.
    pub fn done(self) {
        let mut counts = self.ledger.lock();
        if let Some(open) = counts.open.get_mut(&self.inode) {
            open.under_way = open.under_way.saturating_sub(1);
        }
    }

    /// Looks at the length that came of it, on another thread.
    pub async fn settled(self) {
        // A host that ends needs no count.
        let _ = self.settle().await;
    }

    /// Has somebody look at the length that came of it.
    pub fn settle(self) -> tokio::task::JoinHandle<()> {
        tokio::task::spawn_blocking(move || {
            let turn = self.ledger.lock().open.get(&self.inode).map(|open| open.turn);
            let len = self.file.metadata().map(|metadata| metadata.len());
            let mut counts = self.ledger.lock();
            let Some(open) = counts.open.get_mut(&self.inode) else { return };
            open.under_way = open.under_way.saturating_sub(1);
            let is_alone = open.under_way == 0 && Some(open.turn) == turn;
            if let (Ok(len), true) = (len, is_alone) {
                let charged = std::mem::replace(&mut open.len, len);
                let bytes = counts.bytes.saturating_sub(charged).saturating_add(len);
                self.ledger.set_bytes(&mut counts, bytes);
            }
        })
    }
}

fn address(file: &Arc<File>) -> usize {
    Arc::as_ptr(file).addr()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
