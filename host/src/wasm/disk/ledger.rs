//! The count itself. A file's growth is charged before it happens, to the longest that it can become;
//! where it comes out shorter, the count is put right when nobody is at the file any more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
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
    /// What may have escaped the count that is under way.
    escaped: Option<u64>,
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
    /// Growth that is charged to those.
    coming: u64,
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
        let found = walk::walk(&roots)?;
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
                open.insert(Open { handles, len, nameless: false, under_way: 0, coming: 0, turn: 0 });
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
        open.coming += growth;
        open.under_way += 1;
        open.turn += 1;
        if let Some(escaped) = &mut counts.escaped {
            *escaped = escaped.saturating_add(growth);
        }
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
            if counts.escaped.is_some() || counts.next.is_some_and(|next| Instant::now() < next) {
                return false;
            }
            // What is coming now may be written after the count has passed.
            counts.escaped = Some(counts.open.values().map(|open| open.coming).sum());
        }
        let ledger = Arc::clone(self);
        let counting = heavy.spawn(async move {
            let names = Arc::clone(&ledger.names).write_owned().await;
            let counting = tokio::task::spawn_blocking(move || {
                // A name that moves might be missed.
                let _names = names;
                ledger.finish_count();
            });
            counting.await
        });
        counting.await.is_ok()
    }

    fn finish_count(&self) {
        let began = Instant::now();
        let found = walk::walk(&self.roots);
        let nameless = self.nameless();
        let mut counts = self.lock();
        for inode in nameless {
            if let Some(open) = counts.open.get_mut(&inode) {
                open.nameless = true;
            }
        }
        self.sweep(&mut counts);
        let escaped = counts.escaped.take().unwrap_or(0);
        counts.next = Some(Instant::now() + MIN_BETWEEN.max(began.elapsed() * PAUSE));
        match found {
            Ok(found) => {
                let nameless: u64 = counts.open.values().filter(|open| open.nameless).map(|open| open.len).sum();
                self.set_bytes(&mut counts, found.bytes.saturating_add(nameless).saturating_add(escaped));
                self.set_files(&mut counts, found.files);
            }
            Err(error) => tracing::warn!("the count of what a service has in its folders stays as it was: {error}"),
        }
    }

    /// Open files that others have taken the last name of, who do not count here.
    fn nameless(&self) -> Vec<Inode> {
        let open = |(inode, open): (&Inode, &Open)| Some((*inode, open.handles.iter().find_map(Weak::upgrade)?));
        let open: Vec<(Inode, Arc<File>)> = self.lock().open.iter().filter_map(open).collect();
        let is_nameless = |file: &File| file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        open.into_iter().filter(|(_, file)| is_nameless(file)).map(|(inode, _)| inode).collect()
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
            self.over(open);
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
            self.over(open);
            let is_alone = open.under_way == 0 && Some(open.turn) == turn;
            if let (Ok(len), true) = (len, is_alone) {
                let charged = std::mem::replace(&mut open.len, len);
                let bytes = counts.bytes.saturating_sub(charged).saturating_add(len);
                self.ledger.set_bytes(&mut counts, bytes);
            }
        })
    }

    fn over(&self, open: &mut Open) {
        open.under_way = open.under_way.saturating_sub(1);
        open.coming = open.coming.saturating_sub(self.growth);
    }
}

fn address(file: &Arc<File>) -> usize {
    Arc::as_ptr(file).addr()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const A: Inode = (1, 1);

    fn ledger() -> (TempDir, Arc<Ledger>, Arc<ServiceStats>) {
        let (folder, stats) = (tempfile::tempdir().expect("a temporary folder"), Arc::new(ServiceStats::default()));
        let ledger = Ledger::count(vec![folder.path().to_owned()], Arc::clone(&stats)).expect("it can be read");
        (folder, ledger, stats)
    }

    fn file(folder: &TempDir, len: u64) -> Arc<File> {
        let file = File::create(folder.path().join("a")).expect("the folder can be written to");
        file.set_len(len).expect("files can grow");
        Arc::new(file)
    }

    #[test]
    fn growth_is_charged_before_it_happens_and_refused_over_the_limit() {
        let (folder, ledger, stats) = ledger();
        let file = file(&folder, 0);
        assert!(ledger.opened(&file, A, 0, 0));
        ledger.charge(&file, End::At(60), 100).expect("room").done();
        assert!(ledger.charge(&file, End::Behind(50), 100).is_none());
        assert!(ledger.charge(&file, End::At(u64::MAX), 100).is_none());
        ledger.charge(&file, End::At(30), 0).expect("no growth needs no room").done();
        assert_eq!((ledger.room(&file, Some(10), 100), ledger.room(&file, None, 100)), (90, 40));
        assert_eq!((ledger.counted(), stats.disk_bytes.load(Relaxed)), ((60, 0), 60));
        drop(ledger);
        assert_eq!(stats.disk_bytes.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_came_of_a_change_is_only_known_when_nobody_else_is_at_the_file() {
        let (folder, ledger, _) = ledger();
        let file = file(&folder, 40);
        assert!(ledger.opened(&file, A, 0, 0));
        let (write, truncation) = (ledger.charge(&file, End::At(100), 100), ledger.charge(&file, End::At(0), 100));
        truncation.expect("it is no growth").settled().await;
        assert_eq!(ledger.counted().0, 100, "the write may come yet");
        write.expect("room").settled().await;
        assert_eq!(ledger.counted().0, 40);
        drop(ledger.charge(&file, End::At(90), 100));
        ledger.charge(&file, End::At(0), 100).expect("it is no growth").settled().await;
        assert_eq!(ledger.counted().0, 90, "nobody knows when the bytes come that were left on their way");
    }

    #[test]
    fn a_file_without_a_name_counts_until_it_is_closed() {
        let (folder, ledger, _) = ledger();
        let (one, other) = (file(&folder, 0), file(&folder, 0));
        assert!(ledger.opened(&one, A, 0, 0) && ledger.opened(&other, A, 0, 0));
        ledger.charge(&one, End::At(70), 100).expect("room").done();
        ledger.unnamed(A, 70);
        drop(one);
        assert_eq!(ledger.counted().0, 70);
        ledger.charge(&other, End::Behind(10), 100).expect("room").done();
        drop(other);
        let next = file(&folder, 0);
        assert!(!ledger.opened(&next, A, 50, 0), "its length may be one that it had before");
        assert_eq!(ledger.counted().0, 0, "its number went to another file");
        assert!(ledger.opened(&next, A, 0, ledger.closings()));
    }

    #[test]
    fn what_is_charged_for_a_file_outlives_its_handles() {
        let (folder, ledger, _) = ledger();
        let first = file(&folder, 0);
        assert!(ledger.opened(&first, A, 0, 0));
        ledger.charge(&first, End::At(70), 100).expect("room").done();
        drop(first);
        let second = file(&folder, 0);
        assert!(ledger.opened(&second, A, 10, 0));
        ledger.charge(&second, End::At(70), 100).expect("no growth").done();
        assert_eq!(ledger.counted().0, 70);
    }

    #[tokio::test]
    async fn a_new_count_knows_of_open_files_that_others_removed() {
        let (folder, ledger, _) = ledger();
        let file = file(&folder, 60);
        assert!(ledger.opened(&file, A, 0, 0));
        ledger.charge(&file, End::At(60), 100).expect("room").done();
        fs::remove_file(folder.path().join("a")).expect("it is there");
        assert!(ledger.count_again(&Handle::current()).await);
        assert_eq!(ledger.counted(), (60, 0));
    }

    #[tokio::test]
    async fn a_new_count_finds_what_others_did_and_loses_nothing_that_is_on_its_way() {
        let (folder, ledger, stats) = ledger();
        let file = file(&folder, 0);
        assert!(ledger.opened(&file, A, 0, 0));
        let coming = ledger.charge(&file, End::At(60), 100).expect("room");
        fs::write(folder.path().join("b"), [0; 30]).expect("the folder can be written to");
        let heavy = Handle::current();
        assert!(ledger.count_again(&heavy).await);
        assert_eq!((ledger.counted(), stats.disk_files.load(Relaxed)), ((90, 2), 2));
        coming.done();
        assert!(!ledger.count_again(&heavy).await, "not so soon");
    }

    #[test]
    fn closed_files_are_forgotten() {
        let (folder, ledger, _) = ledger();
        for number in 0..10_000 {
            assert!(ledger.opened(&file(&folder, 0), (number, 0), 0, ledger.closings()) || number > 0);
        }
        let counts = ledger.lock();
        assert!(counts.handles.len() <= MIN_SWEEP && counts.open.len() <= MIN_SWEEP);
    }
}
