//! `microhost gen`: a component's schema, for clients of other kinds; and what a service that begins
//! with a `.proto` file is written with.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::source;

mod rust;
mod wit;

/// Write a component's schema for others, or begin a service with a .proto file
#[derive(Args)]
pub struct Generate {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Proto(Proto),
    Openapi(OpenApi),
    Rust(rust::Rust),
    Wit(wit::Wit),
}

/// Write .proto files, for gRPC clients
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost gen proto service.wasm                print them
  microhost gen proto service.wasm -o proto       write them below the folder proto
  python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/example/*.proto")]
struct Proto {
    /// A component (.wasm), or the folder of a project, which is built first
    #[arg(default_value = ".")]
    file: PathBuf,

    /// Write the files below this folder instead of printing them
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Write an OpenAPI 3.1 document, for HTTP clients
#[derive(Args)]
#[command(after_help = "\
Examples:
  microhost gen openapi service.wasm
  microhost gen openapi service.wasm -o openapi.json")]
struct OpenApi {
    /// A component (.wasm), or the folder of a project, which is built first
    #[arg(default_value = ".")]
    file: PathBuf,

    /// Write to this file instead of printing
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Generate {
    /// Writes or prints the schema.
    pub fn execute(self) -> Outcome {
        match self.what {
            What::Proto(command) => command.execute(),
            What::Openapi(command) => command.execute(),
            What::Rust(command) => command.execute(),
            What::Wit(command) => command.execute(),
        }
    }
}

impl Proto {
    fn execute(self) -> Outcome {
        let (path, schema) = source::schema(&self.file)?;
        let files = schema.proto();
        if files.is_empty() {
            return Err(
                Failure::new(Exit::Refused, format!("{} offers no service", path.display())).advise("`microhost inspect` tells why")
            );
        }
        match self.output {
            Some(folder) => files.iter().try_for_each(|(name, text)| write(&folder.join(name), text)),
            None => {
                output::print(files.iter().map(|(name, text)| format!("// {name}\n{}", text.trim_end())).collect::<Vec<_>>().join("\n\n"))
            }
        }
    }
}

impl OpenApi {
    fn execute(self) -> Outcome {
        let (path, schema) = source::schema(&self.file)?;
        let title = path.file_stem().map_or_else(|| "service".into(), |stem| stem.to_string_lossy());
        let document = schema.openapi(&title);
        match self.output {
            Some(file) => write(&file, &format!("{document:#}\n")),
            None => output::print_json(&document),
        }
    }
}

/// Reads .proto files and what they import.
fn sources(files: &[PathBuf], includes: &[PathBuf]) -> Outcome<microhost_sdk_build::Sources> {
    microhost_sdk_build::read(files, includes).map_err(|error| {
        Failure::new(Exit::Refused, "cannot read the .proto files")
            .because(&error)
            .advise("name the folders that imports are in with --include DIR")
    })
}

/// Writes a file and the folders above it, and says so.
fn write(path: &Path, text: &str) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot write {}", path.display())).because(&error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)?;
    output::tell(format_args!("wrote {}", path.display()));
    Ok(())
}
