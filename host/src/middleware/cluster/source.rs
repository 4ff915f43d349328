//! The messages of a stream, lent to whoever opens it: where no handler has come to see it, they come
//! back, and it is opened elsewhere.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::sync::oneshot;

use crate::rpc::{Messages, Payload};
use crate::status::Status;

/// What is kept of a stream until its reply begins, in bytes and in messages. What has sent more than that
/// is not opened elsewhere.
const MAX_KEPT: usize = 64 << 10;
const MAX_KEPT_MESSAGES: usize = 256;

/// How long whoever failed to open a stream may take to give its messages back.
const RETURN: Duration = Duration::from_millis(100);

/// The messages of a stream that nobody has seen.
pub(super) struct Source {
    /// Those that were taken from the caller already, in order.
    taken: VecDeque<Payload>,
    rest: Messages,
}

impl Source {
    pub(super) fn new(messages: Messages) -> Source {
        Source { taken: VecDeque::new(), rest: messages }
    }

    /// The messages as they are, for good.
    pub(super) fn give(self) -> Messages {
        let Source { taken, rest } = self;
        if taken.is_empty() { rest } else { Box::pin(Lent { ahead: taken, kept: None, size: 0, rest: Some(rest), back: None }) }
    }

    /// The messages for one who opens the stream, and where they come back.
    pub(super) fn lend(self) -> (Messages, Return) {
        let (back, returned) = oneshot::channel();
        let Source { taken, rest } = self;
        (Box::pin(Lent { ahead: taken, kept: Some(VecDeque::new()), size: 0, rest: Some(rest), back: Some(back) }), Return(returned))
    }
}

/// Where messages come back that were lent.
pub(super) struct Return(oneshot::Receiver<Source>);

impl Return {
    /// The messages, once whoever had them has let them go; `None` where there were too many to keep, or
    /// where the caller broke off.
    pub(super) async fn messages(self) -> Option<Source> {
        tokio::time::timeout(RETURN, self.0).await.ok()?.ok()
    }
}

struct Lent {
    /// Messages that come before the rest.
    ahead: VecDeque<Payload>,
    /// Copies of what has passed, while they may come back.
    kept: Option<VecDeque<Payload>>,
    /// What they count for.
    size: usize,
    /// There until this is dropped.
    rest: Option<Messages>,
    back: Option<oneshot::Sender<Source>>,
}

impl Lent {
    /// Keeps a copy of a message that passes, as long as that is of use.
    fn keep(&mut self, message: &Payload) {
        let Some(kept) = &mut self.kept else { return };
        self.size = self.size.saturating_add(message.size());
        // The reply has begun, or there is too much.
        if self.back.as_ref().is_none_or(oneshot::Sender::is_closed) || self.size > MAX_KEPT || kept.len() >= MAX_KEPT_MESSAGES {
            self.kept = None;
            return;
        }
        kept.push_back(message.clone());
    }
}

impl Stream for Lent {
    type Item = Result<Payload, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = self.ahead.pop_front() {
            self.keep(&message);
            return Poll::Ready(Some(Ok(message)));
        }
        let next = match &mut self.rest {
            Some(rest) => std::task::ready!(rest.as_mut().poll_next(cx)),
            None => None,
        };
        match &next {
            Some(Ok(message)) => self.keep(message),
            Some(Err(_)) => self.kept = None,
            // It must not be asked again, whoever has it next.
            None => self.rest = Some(Box::pin(futures::stream::empty())),
        }
        Poll::Ready(next)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(mut taken), Some(rest), Some(back)) = (self.kept.take(), self.rest.take(), self.back.take()) {
            taken.extend(self.ahead.drain(..));
            // Nobody may wait for it any longer.
            drop(back.send(Source { taken, rest }));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;
    use crate::status::Code;

    fn source(messages: &[&'static str]) -> Source {
        let messages: Vec<Result<Payload, Status>> = messages.iter().map(|message| Ok((*message).into())).collect();
        Source::new(Box::pin(stream::iter(messages)))
    }

    async fn all(messages: Messages) -> Vec<Payload> {
        messages.map(|message| message.expect("no failure")).collect().await
    }

    #[tokio::test]
    async fn messages_that_nobody_saw_come_again_in_order() {
        let mut source = source(&["a", "b", "c"]);
        for taken in [1, 2, 3, 4] {
            let (mut lent, back) = source.lend();
            for _ in 0..taken {
                lent.next().await;
            }
            drop(lent);
            source = back.messages().await.expect("they come back");
        }
        assert_eq!(all(source.give()).await, ["a", "b", "c"].map(Payload::from));
    }

    #[tokio::test]
    async fn more_than_is_kept_does_not_come_back() {
        let long = Payload::from(vec![0; MAX_KEPT + 1]);
        let (mut lent, back) = Source::new(Box::pin(stream::iter([Ok(long)]))).lend();
        lent.next().await;
        drop(lent);
        assert!(back.messages().await.is_none());
    }

    #[tokio::test]
    async fn a_caller_that_broke_off_does_not_come_back() {
        let broken = stream::iter([Err(Status::new(Code::Canceled, "gone"))]);
        let (mut lent, back) = Source::new(Box::pin(broken)).lend();
        lent.next().await;
        drop(lent);
        assert!(back.messages().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_the_messages_is_not_waited_for() {
        let (lent, back) = source(&["a"]).lend();
        assert!(back.messages().await.is_none());
        drop(lent);
    }
}
