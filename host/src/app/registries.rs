//! The registries of a host, by the settings.

use std::sync::Arc;

use crate::registry::Registry;
use crate::settings::Cluster;

/// Opens what tells of other hosts.
pub fn open(_: &Cluster) -> anyhow::Result<Vec<Arc<dyn Registry>>> {
    Ok(Vec::new())
}
