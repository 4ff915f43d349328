//! A second try beside the first: of two nodes, one is seldom slow when the other is.
//!
//! Source: Dean and Barroso, "The Tail at Scale" ("hedged requests").

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use super::retry::{Verdict, verdict};
use crate::status::Status;

/// What comes of an idempotent call's try, beside which another one is begun where it has no answer after
/// this time and `second` gives one. The other one is dropped, which cancels it, as soon as one has an
/// answer that counts: one that another node would not better.
pub(super) async fn race<T, F: Future<Output = Result<T, Status>>>(
    after: Duration,
    first: impl Future<Output = Result<T, Status>>,
    second: impl FnOnce() -> Option<F>,
) -> Result<T, Status> {
    let mut first = pin!(first);
    if let Ok(answer) = tokio::time::timeout(after, &mut first).await {
        return answer;
    }
    let Some(second) = second() else { return first.await };
    let counts = |answer: &Result<T, Status>| answer.as_ref().err().is_none_or(|status| verdict(status, true) == Verdict::Final);
    match select(first, pin!(second)).await {
        Either::Left((answer, other)) if !counts(&answer) => other.await,
        Either::Right((answer, other)) if !counts(&answer) => other.await,
        Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::status::Code;

    const AFTER: Duration = Duration::from_millis(10);

    async fn answer(after_ms: u64, answer: Result<u8, Code>) -> Result<u8, Status> {
        sleep(Duration::from_millis(after_ms)).await;
        answer.map_err(|code| Status::new(code, ""))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_alone() {
        let raced = race(AFTER, answer(5, Ok(1)), || -> Option<std::future::Ready<_>> { panic!("no second is needed") }).await;
        assert_eq!(raced.ok(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_that_counts_wins() {
        for (first, second, expected) in [
            (answer(100, Ok(1)), answer(20, Ok(2)), Ok(2)),
            (answer(20, Ok(1)), answer(20, Ok(2)), Ok(1)),
            (answer(100, Ok(1)), answer(20, Err(Code::Unavailable)), Ok(1)),
            (answer(15, Err(Code::Unavailable)), answer(20, Ok(2)), Ok(2)),
            (answer(100, Ok(1)), answer(20, Err(Code::NotFound)), Err(Code::NotFound)),
            (answer(20, Err(Code::Unavailable)), answer(50, Err(Code::DeadlineExceeded)), Err(Code::DeadlineExceeded)),
        ] {
            assert_eq!(race(AFTER, first, || Some(second)).await.map_err(|status| status.code()), expected);
        }
    }
}
