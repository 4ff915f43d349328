//! `microhost gen wit`: the WIT of a `.proto` file, for a service that goes over to typed interfaces.

use std::path::PathBuf;

use clap::Args;
use prost_reflect::DescriptorPool;

use super::{sources, write};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

mod names;
mod package;
mod types;

#[cfg(test)]
mod tests;

/// Write the WIT of .proto files, as far as it can be said in WIT
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost gen wit proto/shop.proto
  microhost gen wit proto/shop.proto -o wit/world.wit

What WIT cannot say is left out, and told by name and reason. Where callers of the .proto would not
understand a service of that WIT, its first lines say so.")]
pub struct Wit {
    /// The .proto files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where imports are looked for; the folder of each file, if none is named
    #[arg(short = 'I', long, value_name = "DIR")]
    include: Vec<PathBuf>,

    /// Write to this file instead of printing
    #[arg(short, long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Wit {
    pub fn execute(self) -> Outcome {
        let sources = sources(&self.files, &self.include)?;
        let pool = DescriptorPool::from_file_descriptor_set(sources.files)
            .map_err(|error| Failure::new(Exit::Refused, "the files do not hold together").because(&error))?;
        let made = package::make(&pool, &sources.own);
        for refused in &made.refused {
            output::tell(format_args!("left out: {refused}"));
        }
        for note in &made.notes {
            output::tell(format_args!("not the same on the wire: {note}"));
        }
        let Some(text) = made.text else {
            let failure = Failure::new(Exit::Refused, "there is no method in these files that WIT can say");
            return Err(made.refused.iter().fold(failure, Failure::note));
        };
        match self.output {
            Some(file) => write(&file, &text),
            None => output::print(text.trim_end()),
        }
    }
}
