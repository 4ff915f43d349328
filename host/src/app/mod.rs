//! A whole host, put together from its parts: the only module that knows them all.

mod options;

pub use options::{Cache, Load, Options, Ready, ReadyEndpoint, ReadyService};

/// Loads the services, serves them, and returns when the host was asked to stop and has drained.
///
/// Fails where a service cannot be loaded or the address cannot be bound; nothing is served then.
pub fn run(options: Options) -> anyhow::Result<()> {
    anyhow::bail!("cannot serve at {}", options.listen.address)
}
