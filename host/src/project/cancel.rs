//! A build that can be ended from outside: whoever waits for it may be told to stop, and what it has
//! started must not go on by itself.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How often a build that can be cancelled is asked whether it has ended. In between, whoever cancels
/// may signal it, and knows that its process id is nobody else's.
const PACE: Duration = Duration::from_millis(10);

/// Ends builds that are under way, and all that begin later.
#[derive(Default)]
pub struct Cancel(Mutex<State>);

#[derive(Default)]
struct State {
    cancelled: bool,
    /// The group of processes of the build that runs.
    group: Option<libc::pid_t>,
}

impl Cancel {
    /// Ends the build that is under way, with all processes that it has started. It fails as if its
    /// program had been ended by SIGTERM.
    pub fn cancel(&self) {
        let mut state = self.0.lock().expect("no holder panics");
        state.cancelled = true;
        state.end();
    }

    /// Whether builds are ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().expect("no holder panics").cancelled
    }
}

impl State {
    fn end(&self) {
        if let Some(group) = self.group {
            // SAFETY: `kill` takes plain numbers. The group's first process has not been waited for, so
            // that the number is of no other; where all have ended, there is nobody to signal.
            unsafe { libc::kill(-group, libc::SIGTERM) };
        }
    }
}

/// A program of a build.
pub(super) struct Running<'a> {
    pub(super) child: Child,
    cancel: Option<&'a Cancel>,
}

impl<'a> Running<'a> {
    /// Starts a program, which `cancel` ends.
    pub(super) fn start(command: &mut Command, cancel: Option<&'a Cancel>) -> io::Result<Running<'a>> {
        let Some(cancel) = cancel else { return Ok(Running { child: command.spawn()?, cancel: None }) };
        let mut state = cancel.0.lock().expect("no holder panics");
        // Away from the terminal's own signals, as those would end the build and not whoever waits for it.
        let child = command.process_group(0).spawn()?;
        state.group = libc::pid_t::try_from(child.id()).ok();
        if state.cancelled {
            state.end();
        }
        drop(state);
        Ok(Running { child, cancel: Some(cancel) })
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some(cancel) = self.cancel else { return self.child.wait() };
        loop {
            let mut state = cancel.0.lock().expect("no holder panics");
            if let Some(status) = self.child.try_wait()? {
                state.group = None;
                return Ok(status);
            }
            drop(state);
            thread::sleep(PACE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_build_is_ended_with_what_it_has_started() {
        let cancel = Cancel::default();
        // The pipe is open for as long as one of the two runs.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, Some(&cancel)).expect("a shell");
        let mut stdout = running.child.stdout.take().expect("it is piped");
        cancel.cancel();
        assert_eq!(stdout.read(&mut [0]).expect("the end"), 0);
        assert!(!running.wait().expect("it ends").success());
        let mut late = Running::start(&mut command, Some(&cancel)).expect("a shell");
        assert!(!late.wait().expect("it ends at once").success());
    }

    #[test]
    fn a_build_that_nobody_cancels_ends_by_itself() {
        let cancel = Cancel::default();
        let mut running = Running::start(&mut Command::new("true"), Some(&cancel)).expect("a program");
        assert!(running.wait().expect("it ends").success());
        cancel.cancel();
    }
}
