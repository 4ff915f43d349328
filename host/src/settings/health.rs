//! How a service is asked whether it is well, while it runs.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::value;

/// How a service is asked whether it is well, where it can say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table such as { interval = \"10s\", timeout = \"3s\" }")]
pub struct HealthCheck {
    /// How often it is asked; never where it is zero.
    #[serde(deserialize_with = "interval")]
    pub interval: Duration,
    /// How long an answer may take.
    #[serde(deserialize_with = "value::some_time")]
    pub timeout: Duration,
    /// Bad answers in a row after which it is not well.
    #[serde(deserialize_with = "value::some")]
    pub failure_threshold: u32,
    /// Good answers in a row after which it is well again.
    #[serde(deserialize_with = "value::some")]
    pub success_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        // As Kubernetes has them for its probes, but with time for a machine that is busy, and with a second
        // look at what has just come back.
        HealthCheck { interval: Duration::from_secs(10), timeout: Duration::from_secs(3), failure_threshold: 3, success_threshold: 2 }
    }
}

/// Asked more often than this, a service would have little else to do.
const SHORTEST: Duration = Duration::from_millis(10);

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let interval = value::duration(deserializer)?;
    if interval.is_zero() || interval >= SHORTEST {
        return Ok(interval);
    }
    Err(serde::de::Error::custom(format!("must be {SHORTEST:?} or more, or \"0s\" to ask never")))
}
