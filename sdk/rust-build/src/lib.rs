//! Makes Rust of `.proto` files for microhost services: messages, a trait to implement for each
//! service, and a client. Nothing has to be installed for it; `protoc` is not used.
//!
//! In a build script:
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     microhost_sdk_build::compile(&["proto/shop/payments/v1/payments.proto"], &["proto"])?;
//!     Ok(())
//! }
//! ```
//!
//! and in the service, with the SDK's feature `proto`:
//!
//! ```text
//! mod proto {
//!     microhost_sdk::include_proto!();
//! }
//! ```
//!
//! `microhost gen rust` writes the same to a file that is kept among the sources.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost_types::FileDescriptorSet;

mod code;
mod descriptors;
mod service;
mod sources;

/// What cannot be made into Rust.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing, or is no valid protobuf: what, and where.
    #[error("{0}")]
    Proto(String),
    /// Two things of one package have the same name in Rust.
    #[error("{package}: the service {service} needs the name {name} in Rust, which a message or enum has; rename one of them")]
    Name {
        /// The package of both.
        package: String,
        /// The service.
        service: String,
        /// The name in Rust.
        name: String,
    },
    /// The code cannot be made of what is valid protobuf.
    #[error("cannot make Rust of it: {0}")]
    Code(String),
    /// Not run by cargo.
    #[error("OUT_DIR is not set: call this in a build script")]
    NoOutDir,
    /// The code cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What was read of `.proto` files.
#[derive(Debug)]
pub struct Sources {
    /// The files and all that they import, dependencies first, with comments.
    pub files: FileDescriptorSet,
    /// Where those files are that are on disk.
    pub paths: Vec<PathBuf>,
    /// The names of the files that were asked for, without those that they import.
    pub own: Vec<String>,
}

/// Makes Rust of these files, in a build script: `include_proto!` of the SDK takes it up.
///
/// Imports are looked for in the folders `includes`, in this order; the files have to be below one of
/// them. Without any, the folder of each file is one.
pub fn compile(files: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<(), Error> {
    let out = env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?;
    let sources = read(files, includes)?;
    for path in &sources.paths {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let path = Path::new(&out).join("proto.rs");
    fs::write(&path, generate(&sources)?).map_err(|source| Error::Write { path, source })
}

/// Reads these files and what they import; see [`compile`] for `includes`.
pub fn read(files: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<Sources, Error> {
    sources::read(files, includes)
}

/// Makes Rust of what was read: one file, a module for each part of a package's name.
pub fn generate(sources: &Sources) -> Result<String, Error> {
    code::generate(sources)
}
