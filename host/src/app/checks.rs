//! Asks a service again and again whether it is well. One bad answer may be chance, and so may one good one
//! of a service that has failed: so many in a row count.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Running;
use crate::settings::HealthCheck;

/// How much longer than its patience a question is waited for: past that, its lane does not even tell that
/// it has run out.
const GRACE: Duration = Duration::from_secs(1);

/// Bytes of a reason that are kept: a guest has its words in it.
const MAX_WHY: usize = 1 << 10;

/// What the answers so far mean.
#[derive(Debug)]
struct Verdict {
    check: HealthCheck,
    /// Answers in a row that spoke against what is thought of the service.
    against: u32,
    /// What the last bad answer said, while the service is thought to be unwell.
    unwell: Option<String>,
}

impl Verdict {
    fn new(check: HealthCheck) -> Verdict {
        Verdict { check, against: 0, unwell: None }
    }

    /// Takes an answer in.
    fn take(&mut self, answer: Result<(), String>) {
        let threshold = if self.unwell.is_some() { self.check.success_threshold } else { self.check.failure_threshold };
        if answer.is_ok() == self.unwell.is_none() {
            self.against = 0;
        } else {
            self.against += 1;
        }
        match (answer, self.against >= threshold) {
            (Ok(()), true) => *self = Verdict::new(self.check),
            (Err(why), true) => (self.against, self.unwell) = (0, Some(why)),
            // Why it is unwell now, not why it was at first.
            (Err(why), false) if self.unwell.is_some() => self.unwell = Some(why),
            _ => {}
        }
    }

    /// Whether all is well, as far as is known.
    fn is_clear(&self) -> bool {
        self.against == 0 && self.unwell.is_none()
    }

    /// Why the service is not to be called.
    fn found(&self) -> Option<String> {
        self.unwell.as_ref().map(|why| format!("its check fails: {why}"))
    }
}

/// Asks a version for as long as it is there, and says each time in `found` why it is not to be called. One
/// question is under way at a time.
///
/// A service without an instance has no calls, and is not started to be asked: it is as it was. But one that
/// answered badly is, or it might never be well again.
pub async fn ask(running: Weak<Running>, check: HealthCheck, found: watch::Sender<Option<String>>) {
    let mut rounds = interval_at(Instant::now() + check.interval, check.interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut verdict = Verdict::new(check);
    let mut open = None;
    for turn in 0.. {
        rounds.tick().await;
        let Some(running) = running.upgrade() else { return };
        let asked = open.take().or_else(|| running.service.ask(turn, !verdict.is_clear(), check.timeout));
        drop(running);
        let Some(mut asked) = asked else { continue };
        let answer = match timeout(check.timeout + GRACE, &mut asked).await {
            Ok(Ok(answer)) => answer.map_err(|status| told(&status)),
            Ok(Err(_)) => return,
            Err(_) => {
                // It stays the only one.
                open = Some(asked);
                Err("the lane that it runs on does not answer".to_owned())
            }
        };
        verdict.take(answer);
        let now = verdict.found();
        found.send_if_modified(|found| {
            let changed = *found != now;
            *found = now;
            changed
        });
    }
}

/// What a status says, to whoever runs the host.
fn told(status: &crate::status::Status) -> String {
    let mut text = match status.cause() {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    };
    text.truncate(text.floor_char_boundary(MAX_WHY));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad() -> Result<(), String> {
        Err("NOT_SERVING".to_owned())
    }

    #[test]
    fn so_many_bad_answers_in_a_row_count_and_so_many_good_ones() {
        let mut verdict = Verdict::new(HealthCheck { failure_threshold: 3, success_threshold: 2, ..HealthCheck::default() });
        let mut after = |answers: Vec<Result<(), String>>| {
            answers.into_iter().for_each(|answer| verdict.take(answer));
            (verdict.found().is_none(), verdict.is_clear())
        };
        assert_eq!(after(vec![bad(), bad(), Ok(())]), (true, true), "not three in a row");
        assert_eq!(after(vec![bad(), bad()]), (true, false), "it is to be asked again, instance or not");
        assert_eq!(after(vec![bad()]), (false, false));
        assert_eq!(after(vec![Ok(()), bad(), Ok(())]), (false, false), "not two in a row");
        assert_eq!(after(vec![Ok(())]), (true, true));
        assert_eq!(after(vec![bad(), bad()]), (true, false), "the count begins anew");
    }

    #[test]
    fn the_last_reason_is_told() {
        let mut verdict = Verdict::new(HealthCheck { failure_threshold: 1, ..HealthCheck::default() });
        for why in ["no disk", "no memory"] {
            verdict.take(Err(why.to_owned()));
            assert_eq!(verdict.found(), Some(format!("its check fails: {why}")));
        }
    }
}
