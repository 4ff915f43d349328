//! `microhost completions`: what a shell needs to complete the program's commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Outcome;
use crate::output;

/// Print the completions for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost completions bash > ~/.local/share/bash-completion/completions/microhost
  microhost completions zsh > ~/.zfunc/_microhost
  microhost completions fish > ~/.config/fish/completions/microhost.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn execute(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Cli::command(), "microhost", &mut script);
        output::print(String::from_utf8_lossy(&script).trim_end())
    }
}
