//! Whether a call that failed is tried again, when, and how long each try may take.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::settings::Failing;
use crate::status::{Code, Status};

/// What becomes of a call whose try has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has failed.
    Final,
    /// Another node may do better, and this one will not.
    Others,
    /// Another node may do better; or this one, after a while.
    Elsewhere,
    /// So it may, but not at once: the callee has more calls than it can take, and so may the others.
    Later,
}

/// What a failed try means for a call.
///
/// A second handler may see it only where it is idempotent, or where no handler has seen it yet. Of those
/// failures nobody tries again that would fail alike anywhere: the caller's own, and the service's.
pub(super) fn verdict(status: &Status, idempotent: bool) -> Verdict {
    match (status.code(), status.is_unseen()) {
        (Code::ResourceExhausted, true) => Verdict::Later,
        // It may have another version, without the method or with another type.
        (Code::Unimplemented, true) => Verdict::Others,
        // It may be too busy to look at the call in time.
        (Code::Unavailable | Code::DeadlineExceeded, true) => Verdict::Elsewhere,
        (Code::Unavailable | Code::DeadlineExceeded, false) if idempotent => Verdict::Elsewhere,
        _ => Verdict::Final,
    }
}

/// When a try is over, where `left` more may follow and the call itself is over at `total`.
///
/// Whoever sets a limit for each try has it. Without one, a call that must not be tried again has all the
/// time; of an idempotent one, each try but the last leaves as much for every one that may follow and as
/// much again for the last, so that a callee that merely takes its time is not given up every time.
///
/// Others have no limit a try unless one is set (Envoy's `per_try_timeout`, linkerd's `retry timeout`), and
/// gRPC none at all (A6): but then a call into a hole is never tried again.
pub(super) fn over(failing: &Failing, idempotent: bool, left: u32, now: Instant, total: Option<Instant>) -> Option<Instant> {
    if !idempotent {
        return total;
    }
    let own = match failing.try_timeout {
        Some(limit) => now.checked_add(limit),
        None if left == 0 => None,
        None => total.map(|total| now + total.saturating_duration_since(now) / (left + 2)),
    };
    own.into_iter().chain(total).min()
}

/// How long to wait before the next try, after so many pauses: any time up to one that doubles. All
/// callers would else come back at the same time.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog ("full jitter"), which is Envoy's too.
pub(super) fn pause(failing: &Failing, pauses: u32) -> Duration {
    let most = failing.backoff.saturating_mul(1 << pauses.min(16)).min(failing.max_backoff);
    // Two keys that nobody knows, made anew each time: random enough, and nothing to keep.
    let random = RandomState::new().build_hasher().finish();
    most.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_idempotent_or_unseen_is_tried_again() {
        let status = |code| Status::new(code, "");
        for code in Code::all().filter(|code| *code != Code::Ok) {
            assert_eq!(verdict(&status(code), false), Verdict::Final, "{code}");
            let again = matches!(code, Code::Unavailable | Code::DeadlineExceeded);
            assert_eq!(verdict(&status(code), true) == Verdict::Elsewhere, again, "{code}");
        }
        assert_eq!(verdict(&status(Code::Unavailable).unseen(), false), Verdict::Elsewhere);
        assert_eq!(verdict(&status(Code::ResourceExhausted).unseen(), false), Verdict::Later);
        assert_eq!(verdict(&status(Code::Unimplemented).unseen(), false), Verdict::Others);
        assert_eq!(verdict(&status(Code::InvalidArgument).unseen(), true), Verdict::Final);
    }

    #[test]
    fn each_try_leaves_time_for_those_that_may_follow() {
        let (now, failing) = (Instant::now(), Failing::default());
        let total = Some(now + Duration::from_secs(30));
        let over = |left| over(&failing, true, left, now, total).map(|over| over - now);
        assert_eq!([over(2), over(1), over(0)], [7_500, 10_000, 30_000].map(|ms| Some(Duration::from_millis(ms))));
    }

    #[test]
    fn a_call_that_must_not_be_tried_again_has_all_the_time() {
        let (now, failing) = (Instant::now(), Failing { try_timeout: Some(Duration::from_secs(1)), ..Failing::default() });
        let total = Some(now + Duration::from_secs(30));
        assert_eq!(over(&failing, false, 2, now, total), total);
        assert_eq!(over(&failing, true, 0, now, total), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn pauses_are_spread_and_bounded() {
        let failing = Failing::default();
        for pauses in [0, 1, 5, 40] {
            let most = failing.backoff.saturating_mul(1 << pauses.min(16)).min(failing.max_backoff);
            let some: Vec<Duration> = (0..100).map(|_| pause(&failing, pauses)).collect();
            assert!(some.iter().all(|pause| *pause <= most));
            assert!(some.iter().any(|pause| *pause < most / 2) && some.iter().any(|pause| *pause > most / 2), "{some:?}");
        }
    }
}
