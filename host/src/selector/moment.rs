//! Time as the selector keeps it: one word, which atomics can hold.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// A moment, in nanoseconds since about the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub(super) u64);

/// Moments count from an hour before this, so that none of a running process is zero.
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
const BEFORE: u64 = 3600 * 1_000_000_000;

impl Moment {
    /// This one.
    pub fn now() -> Moment {
        Moment(BEFORE + nanoseconds(Instant::now().saturating_duration_since(*BASE)))
    }

    /// How long ago `earlier` was; nothing if it is yet to come.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(nanoseconds(time)))
    }
}

/// A time in nanoseconds, up to some 584 years.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
