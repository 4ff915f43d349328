//! One run of a program to its end, with a time limit.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::network::Machine;
use crate::program;

/// A build of a fresh project, dependencies and all, on two cores that others use too.
pub const BUILD: Duration = Duration::from_secs(240);

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Standard output, of a program that has to succeed.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error, of a program that has to fail with an exit code and to say why.
    ///
    /// # Panics
    /// If it succeeded, crashed, or said nothing.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0 && code != 101), "{self:#?}");
        assert!(self.stderr.contains("error"), "an error says so: {self:#?}");
        self.stderr
    }

    /// Standard output as JSON, of a program that has to succeed.
    ///
    /// # Panics
    /// If it did not, or printed something else.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.succeeded();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}):\n{text}"))
    }
}

/// A program about to be run.
pub struct Command {
    command: tokio::process::Command,
    input: Vec<u8>,
    limit: Duration,
}

impl Command {
    /// Any program.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        let mut command = tokio::process::Command::new(program);
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        Command { command, input: Vec::new(), limit: crate::SOON }
    }

    /// `microhost` with these arguments.
    pub fn microhost<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
        Command::new(program::microhost()).args(args)
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Command {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Command {
        self.command.env(name, value);
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Command {
        self.command.current_dir(folder);
        self
    }

    /// Runs it on a machine of a test's network.
    #[must_use]
    pub fn on(mut self, machine: &Machine) -> Command {
        // SAFETY: one system call, which is safe between fork and exec.
        unsafe { self.command.pre_exec(machine.entrance()) };
        self
    }

    /// Sets what it reads from standard input; nothing otherwise.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Command {
        self.input = input.into();
        self
    }

    /// Gives it more time than [`crate::SOON`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Command {
        self.limit = limit;
        self
    }

    /// The command itself, its output piped.
    pub(crate) fn into_inner(self) -> tokio::process::Command {
        self.command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started or does not end in time; it is killed then.
    pub async fn run(mut self) -> Ended {
        self.command.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        let what = format!("{:?}", self.command.as_std());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program may end before it has read all; how it ended is what counts.
                let _ = stdin.write_all(&self.input).await;
            }
        };
        let ended = tokio::time::timeout(self.limit, async { tokio::join!(child.wait_with_output(), feed).0 });
        let output = match ended.await {
            Ok(output) => output.unwrap_or_else(|error| panic!("lost {what}: {error}")),
            Err(_) => panic!("{what} did not end within {:?}", self.limit),
        };
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
