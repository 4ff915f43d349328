//! What a host knows of itself that the ways to others are made of.

use std::sync::Arc;

use super::Reach;
use crate::rpc::Channel;
use crate::settings::Calls;
use crate::stats::CalleesStats;

/// What ways are made of.
pub(super) struct Known {
    /// This host's own id.
    pub(super) own: Arc<str>,
    /// Where this host stands.
    pub(super) zone: Option<String>,
    /// The services of this host.
    pub(super) here: Arc<dyn Channel>,
    /// How others are reached.
    pub(super) reach: Arc<dyn Reach>,
    /// How calls fail.
    pub(super) settings: Calls,
    /// What is counted.
    pub(super) stats: Arc<CalleesStats>,
}
