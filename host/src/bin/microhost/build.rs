//! `microhost build`: from a project to its component.

use std::path::PathBuf;

use clap::Args;
use microhost::project;
use serde_json::json;

use crate::failure::Outcome;
use crate::output;

/// Build a project and print where its component is
///
/// A Rust project is built by cargo; another one by the command that its microhost.toml names under
/// [build]. Rust's target for components is added where it is missing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost build
  microhost build services/greeter
  microhost inspect \"$(microhost build greeter)\"")]
pub struct Build {
    /// The folder of the project
    #[arg(default_value = ".")]
    dir: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Build {
    /// Builds, and prints the component's path.
    pub fn execute(self) -> Outcome {
        let component = project::build(&self.dir, &mut |step| output::tell(step), None)?;
        if self.json { output::print_json(&json!({ "component": component })) } else { output::print(component.display()) }
    }
}
