//! Messages between the code that sends them and the stream that they leave by. What is sent while a
//! write is under way goes with the next one, all at once: a write costs more than a small message.

use std::cell::RefCell;
use std::mem;
use std::task::{Context, Poll, Waker};

use super::Failure;

/// Messages that wait to be written, at most; the sender waits then.
const MAX_QUEUED: usize = 64;
/// The same in bytes; one message more may be longer.
const MAX_QUEUED_BYTES: usize = 64 << 10;

/// The messages of one reply that have been sent and not yet written.
#[derive(Default)]
pub(super) struct Outbox(RefCell<State>);

#[derive(Default)]
struct State {
    queue: Vec<Vec<u8>>,
    bytes: usize,
    /// The reply has begun: nothing can be set before it any longer.
    begun: bool,
    /// Why no more messages are taken.
    closed: Option<&'static str>,
    /// All that is sent is kept: nobody writes it.
    kept: bool,
    /// Who waits for the beginning or for messages.
    writer: Option<Waker>,
    /// Who waits for room.
    senders: Vec<Waker>,
}

impl Outbox {
    /// An outbox that nobody empties, for tests of services.
    pub(super) fn kept() -> Outbox {
        Outbox(RefCell::new(State { kept: true, ..State::default() }))
    }

    /// Ready when a message can be pushed; fails when the caller has gone.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut state = self.0.borrow_mut();
        if let Some(why) = state.closed {
            return Poll::Ready(Err(Failure::canceled(why)));
        }
        if state.kept || (state.queue.len() < MAX_QUEUED && state.bytes < MAX_QUEUED_BYTES) {
            return Poll::Ready(Ok(()));
        }
        if !state.senders.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.senders.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(super) fn push(&self, message: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        state.bytes += message.len();
        state.queue.push(message);
        state.begun = true;
        wake(state.writer.take());
    }

    /// Begins the reply without a message.
    pub(super) fn begin(&self) {
        let mut state = self.0.borrow_mut();
        state.begun = true;
        wake(state.writer.take());
    }

    /// Ready when the reply has begun.
    pub(super) fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if state.begun {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the reply has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.0.borrow().begun
    }

    /// All messages that wait; pending while there are none, `None` when there will be no more.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Vec<Vec<u8>>>> {
        let mut state = self.0.borrow_mut();
        if !state.queue.is_empty() {
            return Poll::Ready(Some(take(&mut state)));
        }
        if state.closed.is_some() {
            return Poll::Ready(None);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// All messages that wait, which may be none.
    pub(super) fn take(&self) -> Vec<Vec<u8>> {
        take(&mut self.0.borrow_mut())
    }

    /// The caller has gone: what waits is dropped, and senders are told.
    pub(super) fn close(&self) {
        let mut state = self.0.borrow_mut();
        state.queue.clear();
        end(&mut state, "the caller takes no more messages");
    }

    /// The reply is over: what waits is still written, and nothing more is taken.
    pub(super) fn finish(&self) {
        end(&mut self.0.borrow_mut(), "the reply has ended");
    }
}

fn take(state: &mut State) -> Vec<Vec<u8>> {
    state.bytes = 0;
    state.senders.drain(..).for_each(Waker::wake);
    mem::take(&mut state.queue)
}

fn end(state: &mut State, why: &'static str) {
    state.closed.get_or_insert(why);
    state.senders.drain(..).for_each(Waker::wake);
    wake(state.writer.take());
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn what_is_sent_during_a_write_goes_with_the_next_one() {
        let outbox = Outbox::default();
        assert!(outbox.poll_begun(&mut cx()).is_pending() && outbox.poll_take(&mut cx()).is_pending());
        outbox.push(vec![1]);
        outbox.push(vec![2]);
        assert!(outbox.poll_begun(&mut cx()).is_ready());
        assert_eq!(outbox.poll_take(&mut cx()), Poll::Ready(Some(vec![vec![1], vec![2]])));
    }

    #[test]
    fn a_sender_waits_while_too_much_is_queued() {
        let outbox = Outbox::default();
        for _ in 0..MAX_QUEUED {
            assert_eq!(outbox.poll_room(&mut cx()), Poll::Ready(Ok(())));
            outbox.push(Vec::new());
        }
        assert!(outbox.poll_room(&mut cx()).is_pending());
        outbox.take();
        assert!(outbox.poll_room(&mut cx()).is_ready());
        outbox.push(vec![0; MAX_QUEUED_BYTES]);
        assert!(outbox.poll_room(&mut cx()).is_pending());
    }

    #[test]
    fn a_sender_learns_that_the_caller_has_gone() {
        let outbox = Outbox::default();
        outbox.close();
        assert!(matches!(outbox.poll_room(&mut cx()), Poll::Ready(Err(_))));
    }

    #[test]
    fn what_waits_when_a_reply_ends_is_still_taken() {
        let outbox = Outbox::default();
        outbox.push(vec![1]);
        outbox.finish();
        assert!(matches!(outbox.poll_room(&mut cx()), Poll::Ready(Err(_))));
        assert_eq!(outbox.poll_take(&mut cx()), Poll::Ready(Some(vec![vec![1]])));
        assert_eq!(outbox.poll_take(&mut cx()), Poll::Ready(None));
    }
}
