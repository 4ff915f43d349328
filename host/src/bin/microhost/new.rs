//! `microhost new`: a folder with a service that builds and runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use microhost::project::{self, Created, Options};
use serde_json::json;

use crate::failure::Outcome;
use crate::output;

/// Make a new service: a folder that builds and runs
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost new greeter
  microhost new greeter --dir services/greeter
  microhost run greeter")]
pub struct New {
    /// The service's name, in lower case with hyphens: `user-accounts`
    name: String,

    /// The language to write it in
    #[arg(long, default_value = "rust")]
    lang: Language,

    /// The folder to make; it must not exist, or be empty [default: NAME]
    #[arg(long)]
    dir: Option<PathBuf>,

    /// Depend on the SDK's sources in this folder, instead of carrying a copy of them
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The languages that there is a template for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    /// Rust, built by cargo
    Rust,
}

impl New {
    /// Makes the folder, and says what is in it.
    pub fn execute(self) -> Outcome {
        let folder = self.dir.unwrap_or_else(|| PathBuf::from(&self.name));
        let created = match self.lang {
            Language::Rust => project::create(&self.name, &folder, &Options { sdk: self.sdk })?,
        };
        if self.json {
            let files: Vec<_> = created.parts.iter().map(|(path, about)| json!({ "path": path, "about": about })).collect();
            return output::print_json(&json!({ "folder": created.dir, "files": files, "next": created.next }));
        }
        output::print(text(&created))
    }
}

fn text(created: &Created) -> String {
    let width = created.parts.iter().map(|(path, _)| path.len()).max().unwrap_or_default();
    let mut lines = vec![format!("made the service in {}", created.dir.display())];
    lines.extend(created.parts.iter().map(|(path, about)| format!("  {path:<width$}  {about}")));
    lines.push("next:".to_owned());
    lines.extend(created.next.iter().map(|command| format!("  {command}")));
    lines.join("\n")
}
