//! A program that is talked with while it runs.

use std::os::fd::AsRawFd;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use crate::command::{Command, Ended};
use crate::soon;

/// A program with its standard input open.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: JoinHandle<String>,
    /// What was taken of standard output.
    taken: String,
}

impl Command {
    /// Starts it, to be talked with.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn talk(self) -> Running {
        let mut command = self.into_inner();
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut stderr = child.stderr.take().expect("it is piped");
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.expect("standard error is text");
            text
        });
        Running { stdin: child.stdin.take(), child, stdout, stderr, taken: String::new() }
    }
}

impl Running {
    /// Writes to its standard input.
    ///
    /// # Panics
    /// If it does not take all of it.
    pub async fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        soon("its reading", stdin.write_all(text.as_bytes())).await.expect("it reads");
    }

    /// Writes as much as it takes, and returns how many bytes those were once it has taken none for
    /// a while.
    ///
    /// # Panics
    /// If its input is broken.
    pub async fn fill(&mut self, text: &str, idle: std::time::Duration) -> usize {
        let stdin = self.stdin.as_mut().expect("it is open");
        let mut written = 0;
        loop {
            let rest = &text.as_bytes()[written % text.len()..];
            match tokio::time::timeout(idle, stdin.write(rest)).await {
                Ok(count) => written += count.expect("it reads"),
                Err(_) => return written,
            }
        }
    }

    /// Ends its standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// The next line of its standard output.
    ///
    /// # Panics
    /// If there is none.
    pub async fn line(&mut self) -> String {
        let line = soon("a line", self.stdout.next_line()).await.expect("its output is text");
        match line {
            Some(line) => {
                self.taken.push_str(&line);
                self.taken.push('\n');
                line
            }
            None => panic!("it has ended its output: {:?}", soon("its end", &mut self.stderr).await),
        }
    }

    /// Waits until it has written as much as there is room for and nobody has read.
    ///
    /// # Panics
    /// If it does not write that much.
    pub async fn stalled(&mut self) {
        let pipe = self.stdout.get_ref().get_ref().as_raw_fd();
        let waiting = || {
            let mut bytes: libc::c_int = 0;
            // SAFETY: the descriptor is open as long as `self`, and the call writes one `c_int`.
            let told = unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut bytes) };
            assert_eq!(told, 0, "{}", std::io::Error::last_os_error());
            bytes
        };
        // SAFETY: the descriptor is open as long as `self`; the call takes plain numbers.
        let room = unsafe { libc::fcntl(pipe, libc::F_GETPIPE_SZ) };
        assert!(room > 0, "{}", std::io::Error::last_os_error());
        soon("a full pipe", async {
            while waiting() < room {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Sends Ctrl-C.
    ///
    /// # Panics
    /// If it is gone.
    pub fn interrupt(&self) {
        let id = i32::try_from(self.child.id().expect("nobody has waited for it")).expect("Linux's process ids fit");
        // SAFETY: `kill` takes plain numbers; the id is that of a child not waited for yet, so it can
        // be nobody else's.
        let sent = unsafe { libc::kill(id, libc::SIGINT) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for its end. Its standard input stays as it is.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(mut self) -> Ended {
        while let Some(line) = soon("the rest of its output", self.stdout.next_line()).await.expect("its output is text") {
            self.taken.push_str(&line);
            self.taken.push('\n');
        }
        let status = soon("its end", self.child.wait()).await.expect("a child can be waited for");
        let stderr = soon("its last words", self.stderr).await.expect("no panic");
        Ended { code: status.code(), stdout: self.taken, stderr }
    }
}
