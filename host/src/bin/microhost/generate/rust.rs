//! `microhost gen rust`: a service's Rust from its `.proto` file, to keep among the sources.

use std::path::PathBuf;

use clap::Args;

use super::{sources, write};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Make Rust of .proto files: messages, a trait for each service, clients
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost gen rust proto/shop.proto                      print it
  microhost gen rust proto/shop.proto -o src               write src/proto.rs
  microhost gen rust shop/v1/shop.proto --include proto --include vendor

The service depends on microhost-sdk with its feature `proto`, and says `mod proto;` and
`microhost_sdk::serve!(ShopServer<Mine>);`. docs/proto.md goes through it; a build script that
calls microhost-sdk-build makes the same at every build.")]
pub struct Rust {
    /// The .proto files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where imports are looked for, and what the files' own names begin below; the folder of each
    /// file, if none is named
    #[arg(short = 'I', long, value_name = "DIR")]
    include: Vec<PathBuf>,

    /// Write proto.rs into this folder instead of printing it
    #[arg(short, long, visible_alias = "out", value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Rust {
    pub fn execute(self) -> Outcome {
        let sources = sources(&self.files, &self.include)?;
        let code = microhost_sdk_build::generate(&sources)
            .map_err(|error| Failure::new(Exit::Refused, "cannot make Rust of these files").because(&error))?;
        match self.output {
            Some(folder) => write(&folder.join("proto.rs"), &code),
            None => output::print(code.trim_end()),
        }
    }
}
