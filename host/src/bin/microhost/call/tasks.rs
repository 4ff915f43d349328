//! The tasks of a call's connections, which outlive the call by as long as it takes to tell the host
//! that it is over.

use std::convert::Infallible;

use hyper::rt::Executor;
use tokio::sync::mpsc;

/// Starts tasks. It is HTTP/2's executor too: hyper drives such a connection in tasks of its own.
#[derive(Clone)]
pub struct Tasks(mpsc::Sender<Infallible>);

/// The end of all tasks.
pub struct Done(mpsc::Receiver<Infallible>);

/// What starts tasks, and the end of all that it starts.
pub fn tasks() -> (Tasks, Done) {
    let (sender, receiver) = mpsc::channel(1);
    (Tasks(sender), Done(receiver))
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        // Nothing is ever sent: that all senders are gone is what tells of the end.
        let alive = self.0.clone();
        tokio::spawn(async move {
            drop(future.await);
            drop(alive);
        });
    }
}

impl Done {
    /// Waits until there is neither a task nor a [`Tasks`].
    pub async fn wait(mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_that_of_the_last_task() {
        let (tasks, done) = tasks();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        tasks.clone().execute(async {});
        tasks.execute(gone);
        drop(tasks);
        let mut end = std::pin::pin!(done.wait());
        assert!(futures::poll!(&mut end).is_pending());
        drop(go);
        end.await;
    }
}
