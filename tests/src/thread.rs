//! Threads of a host that stand still while the rest of it goes on, as one does that hangs.

use std::fs;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// A thread that stands still until this is dropped.
pub struct Still {
    go_on: Option<mpsc::Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

/// Has the thread of this name of a process stand still. In CI it has to; elsewhere `None` says that its test
/// cannot run, and has said why.
pub fn still(process: u32, name: &str) -> Option<Still> {
    let thread = thread(process, name).unwrap_or_else(|| panic!("process {process} has no thread {name}"));
    let (go_on, wait) = mpsc::channel::<()>();
    let (say, said) = mpsc::channel();
    // The kernel knows who traces by the thread, so one does it from the beginning to the end.
    let holder = std::thread::spawn(move || {
        let held = hold(thread);
        let holds = held.is_ok();
        // Whoever waits is there until it hears.
        let _ = say.send(held);
        if holds {
            // It fails when it may go on: nobody is left to send.
            let _ = wait.recv();
            // SAFETY: plain numbers; the thread is traced by this one, and stopped.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, thread, 0, 0) };
        }
    });
    match said.recv().expect("the holder says how it went") {
        Ok(()) => Some(Still { go_on: Some(go_on), holder: Some(holder) }),
        Err(error) => {
            let missing = format!("no right to stop a thread of another process: {error}");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("not tested: {missing}");
            None
        }
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        drop(self.go_on.take());
        // A panic of the holder has been printed.
        let _ = self.holder.take().map(JoinHandle::join);
    }
}

fn hold(thread: i32) -> std::io::Result<()> {
    // SAFETY: plain numbers: the thread is stopped, and nothing of it is read or written.
    let stopped = unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0) == 0
            && libc::ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0) == 0
            && libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL) == thread
    };
    if stopped { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn thread(process: u32, name: &str) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let is_named = |path: &std::path::Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    let found = threads.filter_map(Result::ok).find(|thread| is_named(&thread.path()))?;
    found.file_name().to_str()?.parse().ok()
}
