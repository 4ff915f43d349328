//! A reply's messages, from the instance that writes them to whoever sends them on: bounded, so that
//! a slow reader makes the guest wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use crate::rpc::Payload;
use crate::status::Status;
use crate::wasm::quota::Quota;

/// Bytes that a pipe may hold without their being counted for the service: what comes and goes in a
/// moment costs nothing more.
const UNCOUNTED: usize = 4 << 10;

/// What a message is counted for beside its bytes.
const OVERHEAD: usize = 64;

/// What the reader gets next.
#[derive(Debug)]
pub enum Piped {
    /// A message.
    Message(Payload),
    /// The last thing: how the messages ended.
    End(Result<(), Status>),
}

/// One writer, one reader.
pub struct Pipe {
    inner: Mutex<Inner>,
    capacity: usize,
    quota: Arc<Quota>,
    reader: AtomicWaker,
    writer: AtomicWaker,
    instance: AtomicWaker,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Payload>,
    size: usize,
    /// As many bytes of it as are counted for the service.
    counted: usize,
    /// The service has as much held for it as it may: until all is read, no more is written.
    starved: bool,
    /// The writer has no more messages.
    items_over: bool,
    verdict: Option<Result<(), Status>>,
    /// The verdict need not wait for messages that are yet to be written.
    at_once: bool,
    /// The reader has gone, or has been told the end.
    closed: bool,
}

impl Inner {
    fn is_over(&self) -> bool {
        self.verdict.is_some() && (self.items_over || self.at_once)
    }

    /// Has what is held counted for the service.
    fn count(&mut self, quota: &Quota) {
        if self.size > self.counted + UNCOUNTED && !self.starved {
            let more = self.size - self.counted;
            match quota.take(more) {
                true => self.counted += more,
                false => self.starved = true,
            }
        }
    }

    /// Nothing is held any more.
    fn emptied(&mut self, quota: &Quota) {
        if self.counted > 0 {
            quota.give_back(std::mem::take(&mut self.counted));
        }
        self.starved = false;
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").field("inner", &self.inner).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // One that panicked while it held the lock is no reason for another panic.
        let inner = self.inner.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.emptied(&self.quota);
    }
}

impl Pipe {
    /// A pipe that holds about so many bytes, and one message more; less where the service has as much
    /// held for it as it may, but one message always.
    pub fn new(capacity: usize, quota: Arc<Quota>) -> Pipe {
        Pipe {
            inner: Mutex::default(),
            capacity,
            quota,
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            instance: AtomicWaker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }

    /// Waits for room; `false` where nobody reads any more.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.writer.register(cx.waker());
        let inner = self.lock();
        if inner.closed || inner.is_over() {
            return Poll::Ready(false);
        }
        if inner.size < self.capacity && !inner.starved { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Adds messages. They are dropped where nobody reads any more. They are to be ready: the reader may
    /// wait for the lock, on a lane that others share.
    pub fn push(&self, messages: Vec<Payload>) {
        let mut inner = self.lock();
        for message in messages {
            if !inner.closed {
                inner.size += message.size() + OVERHEAD;
                inner.queue.push_back(message);
            }
        }
        inner.count(&self.quota);
        drop(inner);
        self.reader.wake();
    }

    /// There are no more messages.
    pub fn items_over(&self) {
        self.lock().items_over = true;
        self.wake();
    }

    /// How the messages ended, once there are no more. Only the first verdict counts.
    pub fn settle(&self, verdict: Result<(), Status>) {
        self.lock().verdict.get_or_insert(verdict);
        self.wake();
    }

    /// The call has failed: what was written is still read, and nothing is written any more.
    pub fn fail(&self, status: Status) {
        let mut inner = self.lock();
        if !inner.is_over() {
            inner.verdict = Some(Err(status));
            inner.at_once = true;
        }
        drop(inner);
        self.wake();
    }

    /// The bytes that there is room for at this moment.
    pub fn room(&self) -> usize {
        let room = self.capacity.saturating_sub(self.lock().size);
        room.min(self.quota.room().max(UNCOUNTED))
    }

    /// Nobody reads any more.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.queue.clear();
        inner.size = 0;
        inner.emptied(&self.quota);
        drop(inner);
        self.wake();
    }

    fn wake(&self) {
        self.reader.wake();
        self.writer.wake();
        self.instance.wake();
    }

    /// The next message, or the end.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Piped> {
        self.reader.register(cx.waker());
        let mut inner = self.lock();
        if let Some(message) = inner.queue.pop_front() {
            let was_full = inner.size >= self.capacity || inner.starved;
            inner.size -= message.size() + OVERHEAD;
            if inner.queue.is_empty() {
                inner.emptied(&self.quota);
            }
            let has_room = inner.size < self.capacity && !inner.starved;
            drop(inner);
            if was_full && has_room {
                self.writer.wake();
            }
            return Poll::Ready(Piped::Message(message));
        }
        if !inner.is_over() {
            return Poll::Pending;
        }
        let end = inner.verdict.take().unwrap_or(Ok(()));
        inner.closed = true;
        drop(inner);
        self.wake();
        Poll::Ready(Piped::End(end))
    }

    /// Waits until the writer has done all that it had to, or nobody reads any more.
    pub fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.instance.register(cx.waker());
        let inner = self.lock();
        if inner.closed || inner.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;
    use crate::settings::Limits;
    use crate::status::Code;

    /// A pipe of a service that may have so much held for it.
    fn of_service(capacity: usize, host_memory: usize) -> Pipe {
        let limits = Limits { host_memory, ..Limits::default() };
        Pipe::new(capacity, Quota::new("streamer".into(), &limits, Arc::default()))
    }

    fn pipe(capacity: usize) -> Pipe {
        of_service(capacity, usize::MAX)
    }

    fn next(pipe: &Pipe) -> Poll<Piped> {
        pipe.poll_next(&mut Context::from_waker(&noop_waker()))
    }

    fn room(pipe: &Pipe) -> Poll<bool> {
        pipe.poll_room(&mut Context::from_waker(&noop_waker()))
    }

    #[test]
    fn a_full_pipe_makes_its_writer_wait_until_something_is_read() {
        let pipe = pipe(100);
        pipe.push(vec![vec![0; 50].into()]);
        assert!(room(&pipe).is_pending());
        assert!(matches!(next(&pipe), Poll::Ready(Piped::Message(message)) if message.size() == 50));
        assert_eq!((room(&pipe), pipe.room()), (Poll::Ready(true), 100));
    }

    #[test]
    fn where_a_service_has_as_much_held_as_it_may_a_pipe_takes_one_message_at_a_time() {
        let pipe = of_service(1 << 20, 100 << 10);
        let message = || vec![vec![0; 60 << 10].into()];
        pipe.push(message());
        assert_eq!(room(&pipe), Poll::Ready(true));
        pipe.push(message());
        assert!(room(&pipe).is_pending());
        for _ in 0..2 {
            assert!(matches!(next(&pipe), Poll::Ready(Piped::Message(_))));
        }
        assert_eq!(room(&pipe), Poll::Ready(true));
        assert_eq!(pipe.quota.room(), 100 << 10, "what was read is held no more");
    }

    #[test]
    fn a_good_end_waits_for_the_messages_and_for_the_verdict() {
        let pipe = pipe(100);
        pipe.push(vec![Payload::default()]);
        pipe.settle(Ok(()));
        assert!(matches!(next(&pipe), Poll::Ready(Piped::Message(_))));
        assert!(next(&pipe).is_pending());
        pipe.items_over();
        assert!(matches!(next(&pipe), Poll::Ready(Piped::End(Ok(())))));
        assert_eq!(room(&pipe), Poll::Ready(false));
    }

    #[test]
    fn a_failure_comes_after_what_was_written_before_it() {
        let pipe = pipe(100);
        pipe.push(vec![Payload::default()]);
        pipe.fail(Status::new(Code::Aborted, "no more"));
        pipe.settle(Ok(()));
        assert!(matches!(next(&pipe), Poll::Ready(Piped::Message(_))));
        assert!(matches!(next(&pipe), Poll::Ready(Piped::End(Err(status))) if status.code() == Code::Aborted));
    }

    #[test]
    fn a_pipe_whose_reader_has_gone_holds_nothing() {
        let pipe = pipe(100);
        pipe.push(vec!["a".into()]);
        pipe.close();
        pipe.push(vec!["b".into()]);
        assert!(pipe.lock().queue.is_empty());
        assert!(pipe.poll_over(&mut Context::from_waker(&noop_waker())).is_ready());
    }
}
