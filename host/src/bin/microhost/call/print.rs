//! Replies to standard output, on a thread of their own: a reader that has stopped reading holds up
//! the messages that follow, and neither a deadline nor Ctrl-C.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Prints one message after the other.
pub struct Printer {
    /// Gone when all is handed over.
    lines: Option<mpsc::Sender<String>>,
    done: oneshot::Receiver<Outcome>,
}

impl Printer {
    /// Begins to print.
    pub fn start() -> Outcome<Printer> {
        let (lines, mut waiting) = mpsc::channel::<String>(1);
        let (tell, done) = oneshot::channel();
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || {
                let mut outcome = Ok(());
                while let Some(line) = waiting.blocking_recv() {
                    outcome = output::print(line);
                    if outcome.is_err() {
                        break;
                    }
                }
                // Nobody waits for it where the call has failed by then.
                let _ = tell.send(outcome);
            })
            .map_err(|error| Failure::new(Exit::Failed, "cannot print").because(&error))?;
        Ok(Printer { lines: Some(lines), done })
    }

    /// Prints a line. It returns when no more than one line is ahead of it.
    pub async fn print(&mut self, line: String) -> Outcome {
        match &self.lines {
            Some(lines) if lines.send(line).await.is_ok() => Ok(()),
            _ => self.finish().await.and_then(|()| Err(lost())),
        }
    }

    /// Waits until all is printed. After it, nothing is.
    pub async fn finish(&mut self) -> Outcome {
        if self.lines.take().is_none() {
            return Ok(());
        }
        (&mut self.done).await.unwrap_or_else(|_| Err(lost()))
    }
}

fn lost() -> Failure {
    Failure::new(Exit::Failed, "cannot write to standard output")
}
