//! Whether the disks answer that a host needs. A disk that hangs says nothing, and whoever asks it hangs with
//! it: each folder is asked on a thread of its own, and not again before that has come back.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{FutureExt, Shared, try_join_all};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long an answer counts: anybody may ask whether the host is ready, as often as he likes.
const FRESH: Duration = Duration::from_millis(500);

/// A folder that a host needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Needed {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is written to.
    pub write: bool,
}

/// How a folder is asked; an error is why it cannot be used at all.
type Probe = dyn Fn(&Needed) -> Result<(), String> + Send + Sync;

/// What a question that is under way comes to; none where its thread has gone without a word.
type Answer = Shared<oneshot::Receiver<Result<(), String>>>;

/// The disks of a host.
pub struct Disks {
    /// Where the host keeps what it has compiled.
    cache: Option<PathBuf>,
    probe: Arc<Probe>,
    /// How long an answer counts, from its question.
    fresh: Duration,
    /// The questions that are under way or were asked just now, with when.
    asked: Mutex<HashMap<Needed, (Instant, Answer)>>,
}

impl Disks {
    /// Those of a host which keeps what it has compiled in `cache`.
    pub fn new(cache: Option<PathBuf>) -> Disks {
        Disks::asked_by(cache, Arc::new(probe), FRESH)
    }

    fn asked_by(cache: Option<PathBuf>, probe: Arc<Probe>, fresh: Duration) -> Disks {
        Disks { cache, probe, fresh, asked: Mutex::default() }
    }

    /// Asks these folders, and that of what is compiled.
    ///
    /// Fails with the first one that does not answer within `patience`, or not well.
    pub async fn answer(&self, needed: Vec<Needed>, patience: Duration) -> Result<(), String> {
        let cache = self.cache.iter().map(|path| Needed { path: path.clone(), write: true });
        let asked = needed.into_iter().chain(cache).map(async |needed| match timeout(patience, self.ask(&needed)).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(format!("the disk of {} fails: {why}", needed.path.display())),
            Ok(Err(_)) => Err(format!("the disk of {} cannot be asked: no thread could be had for it", needed.path.display())),
            Err(_) => Err(format!("the disk of {} has not answered for {patience:?}", needed.path.display())),
        });
        try_join_all(asked).await.map(drop)
    }

    /// The question to a folder that is under way or was asked just now, or a new one.
    fn ask(&self, needed: &Needed) -> Answer {
        // A panic of another holder leaves no entry half made.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Folders come and go.
        asked.retain(|_, (at, answer)| at.elapsed() < self.fresh || answer.clone().now_or_never().is_none());
        if let Some((_, answer)) = asked.get(needed) {
            return answer.clone();
        }
        let (say, heard) = oneshot::channel();
        let answer = heard.shared();
        let (probe, folder) = (Arc::clone(&self.probe), needed.clone());
        // Where there is no thread, `say` is gone, and whoever waits is told.
        let asking = std::thread::Builder::new().name("disk".to_owned()).spawn(move || drop(say.send(probe(&folder))));
        if asking.is_ok() {
            asked.insert(needed.clone(), (Instant::now(), answer.clone()));
        }
        answer
    }
}

/// Looks into a folder, and writes to it where the host does, without leaving anything there. What is wrong
/// with the folder itself, such as that it is not there any more, is for whoever uses it to find.
fn probe(needed: &Needed) -> Result<(), String> {
    let written = if needed.write { write(&needed.path) } else { Ok(()) };
    let read = || std::fs::read_dir(&needed.path).and_then(|mut entries| entries.next().transpose());
    match written.and_then(|()| read()) {
        Err(error) if is_of_disk(&error) => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Writes a byte to a file without a name, which is gone when it is closed.
#[cfg(target_os = "linux")]
fn write(folder: &Path) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let file = std::fs::OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(folder);
    file.and_then(|mut file| file.write_all(b"."))
}

/// Files without a name are Linux's.
#[cfg(not(target_os = "linux"))]
fn write(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether an error tells of a disk that has gone or fails, and not of what is on it.
fn is_of_disk(error: &io::Error) -> bool {
    let gone = [libc::EIO, libc::ENXIO, libc::ENODEV, libc::ESTALE, libc::ENOTCONN, libc::ETIMEDOUT];
    error.raw_os_error().is_some_and(|code| gone.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn folder(path: &Path) -> Needed {
        Needed { path: path.to_owned(), write: true }
    }

    #[tokio::test]
    async fn a_folder_answers_keeps_nothing_and_may_be_missing() {
        let there = tempfile::tempdir().expect("a folder");
        let disks = Disks::new(Some(there.path().to_owned()));
        let gone = folder(Path::new("/nowhere"));
        assert_eq!(disks.answer(vec![folder(there.path()), gone], LONG).await, Ok(()));
        assert_eq!(std::fs::read_dir(there.path()).expect("it is there").count(), 0);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_has_one_thread_and_is_well_when_it_comes_back() {
        let (go_on, wait) = mpsc::channel::<()>();
        let (wait, asked) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let hangs = move |_: &Needed| {
            count.fetch_add(1, SeqCst);
            // It fails when it may go on: nobody is left to send.
            let _ = wait.lock().expect("one at a time").recv();
            Ok(())
        };
        let disks = Disks::asked_by(None, Arc::new(hangs), Duration::ZERO);
        let ask = async |patience| disks.answer(vec![folder(Path::new("/slow"))], patience).await;
        for _ in 0..3 {
            let error = ask(Duration::from_millis(20)).await.expect_err("it hangs");
            assert!(error.contains("/slow") && error.contains("not answered"), "{error}");
        }
        assert_eq!(asked.load(SeqCst), 1);
        drop(go_on);
        assert_eq!(ask(LONG).await, Ok(()));
        assert_eq!(ask(LONG).await, Ok(()));
        assert!(asked.load(SeqCst) > 1, "it is asked anew");
    }

    #[tokio::test]
    async fn a_disk_that_was_asked_just_now_is_not_asked_again() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let probe = move |_: &Needed| {
            count.fetch_add(1, SeqCst);
            Ok(())
        };
        let disks = Disks::asked_by(Some("/cache".into()), Arc::new(probe), LONG);
        for _ in 0..10 {
            assert_eq!(disks.answer(Vec::new(), LONG).await, Ok(()));
        }
        assert_eq!(asked.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told_with_its_folder() {
        let disks = Disks::asked_by(Some("/broken".into()), Arc::new(|_| Err("Input/output error".to_owned())), Duration::ZERO);
        let error = disks.answer(Vec::new(), LONG).await.expect_err("it fails");
        assert!(error.contains("/broken") && error.contains("Input/output error"), "{error}");
    }
}
