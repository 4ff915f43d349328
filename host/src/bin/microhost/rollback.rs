//! `microhost rollback`: the version before.

use std::time::Duration;

use clap::Args;
use microhost::admin::change::TurnOrder;
use microhost::settings::parse_duration;

use crate::door::{HostArgs, segment};
use crate::failure::Outcome;
use crate::swap::{change, millis};

/// Go back to the version of a service before the last swap
///
/// A version that is tried with a share of the calls is taken back; where none is, the version before
/// comes up again and takes all calls over. Done twice, it comes back to where it was.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost rollback orders
  microhost rollback orders --grace 5s")]
pub struct Rollback {
    /// The service, by its name in the settings
    service: String,

    /// How long calls and streams of the version that goes have to end
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    grace: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    host: HostArgs,
}

impl Rollback {
    /// Has the host go back, and tells what is different.
    pub fn execute(self) -> Outcome {
        let order = TurnOrder { grace_ms: Some(millis(self.grace)) };
        change(self.host, &format!("services/{}/rollback", segment(&self.service)), &order, self.json)
    }
}
