//! Reads a file again when it has changed, and only then; one that is just being written is let be.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::fs;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a file has to stay as it is before it is taken: editors empty a file and then write it.
const SETTLED: Duration = Duration::from_millis(250);

/// A file that was written as lately as that may change again without another time on it.
const FRESH: Duration = Duration::from_secs(2);

/// Bytes of a file at most.
const MAX_FILE: u64 = 16 << 20;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    written: SystemTime,
    bytes: u64,
    inode: u64,
    device: u64,
}

/// What a file says, or why it cannot be read.
type Text = Result<String, String>;

/// A file that is read when it changes.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// Of what was read last.
    print: Option<blake3::Hash>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Reader {
        Reader { path, stamp: None, print: None }
    }

    /// What the file says: at once the first time, and then whenever it says something else.
    pub(super) async fn next(&mut self) -> Text {
        let first = self.print.is_none();
        loop {
            if !first {
                sleep(LOOK).await;
            }
            let stamp = stamp(&self.path).await;
            let fresh = stamp.is_some_and(|stamp| stamp.written.elapsed().is_ok_and(|age| age < FRESH));
            if !first && self.stamp == stamp && !fresh {
                continue;
            }
            self.stamp = stamp;
            let mut text = read(&self.path).await;
            let mut print = hash(&text);
            if self.print == Some(print) {
                continue;
            }
            // Whoever writes it may not be done.
            let mut settled = first;
            while !settled {
                sleep(SETTLED).await;
                text = read(&self.path).await;
                let before = std::mem::replace(&mut print, hash(&text));
                settled = before == print;
            }
            if self.print.replace(print) != Some(print) {
                return text;
            }
        }
    }
}

async fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).await.ok()?;
    Some(Stamp { written: found.modified().ok()?, bytes: found.len(), inode: found.ino(), device: found.dev() })
}

async fn read(path: &Path) -> Text {
    let told = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut text = String::new();
    fs::File::open(path).await.map_err(told)?.take(MAX_FILE + 1).read_to_string(&mut text).await.map_err(told)?;
    if text.len() as u64 > MAX_FILE { Err(format!("{} has more than {MAX_FILE} bytes", path.display())) } else { Ok(text) }
}

fn hash(text: &Text) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let (kind, bytes) = match text {
        Ok(text) => (b"+", text),
        Err(why) => (b"-", why),
    };
    hasher.update(kind).update(bytes.as_bytes());
    hasher.finalize()
}
