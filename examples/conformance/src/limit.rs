//! The time that the caller gave. `microhost_sdk::context` tells how long a call may take, which the
//! service's own limit may have shortened; the suite asks for what the caller said, and only the head
//! of a call tells that. So it is taken from there, and kept for whatever runs in the call.

use std::cell::Cell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use microhost_sdk::handler::{Failure, Head, Replies, Requests};
use microhost_sdk::proto::{Descriptors, Service};

thread_local! {
    /// That of the call that runs now: others take turns with it in the same instance.
    static TIME_LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// The time that the running call had left when it came; none where the caller set no limit.
pub fn time_left() -> Option<Duration> {
    TIME_LEFT.get()
}

/// A service whose methods can ask for [`time_left`].
pub struct CallersLimit<S>(PhantomData<S>);

impl<S: Service> Service for CallersLimit<S> {
    const NAME: &'static str = S::NAME;
    const DESCRIPTORS: Descriptors = S::DESCRIPTORS;

    async fn call(head: Head, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        within(head.time_left, S::call(head, message)).await
    }

    async fn open(head: Head, requests: Requests, replies: Replies) -> Result<(), Failure> {
        within(head.time_left, S::open(head, requests, replies)).await
    }
}

async fn within<T>(left: Option<Duration>, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    poll_fn(|cx| {
        let others = TIME_LEFT.replace(left);
        let outcome = call.as_mut().poll(cx);
        TIME_LEFT.set(others);
        outcome
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn each_of_several_calls_at_once_has_its_own() {
        let mut cx = Context::from_waker(Waker::noop());
        let call = || async {
            let mut waited = false;
            poll_fn(|_| match std::mem::replace(&mut waited, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            time_left()
        };
        let mut hurried = pin!(within(Some(Duration::from_secs(1)), call()));
        let mut patient = pin!(within(None, call()));
        assert!(hurried.as_mut().poll(&mut cx).is_pending() && patient.as_mut().poll(&mut cx).is_pending());
        assert_eq!(hurried.poll(&mut cx), Poll::Ready(Some(Duration::from_secs(1))));
        assert_eq!(patient.poll(&mut cx), Poll::Ready(None));
        assert_eq!(time_left(), None);
    }
}
