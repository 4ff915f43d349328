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

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn sources(text: &str) -> Sources {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("a.proto");
        fs::write(&path, format!("syntax = \"proto3\";\npackage a.b;\n{text}")).expect("a file");
        read(&[path], &[folder.path()]).expect("the file is valid")
    }

    #[test]
    fn a_service_becomes_a_trait_a_server_and_a_client() {
        let code = generate(&sources("// Greets.\nservice Greet { rpc Type(M) returns (stream M); }\nmessage M {}")).expect("all of it");
        for part in ["/// Greets.", "pub trait Greet", "pub struct GreetServer", "pub struct GreetClient", "fn r#type(", "\"Type\" =>"] {
            assert!(code.contains(part), "{part} in {code}");
        }
    }

    #[test]
    fn a_message_of_the_name_that_a_service_needs_is_refused() {
        let error = generate(&sources("service Greet {}\nmessage GreetServer {}")).expect_err("two of one name").to_string();
        assert_eq!(error, "a.b: the service Greet needs the name GreetServer in Rust, which a message or enum has; rename one of them");
    }

    #[test]
    fn descriptors_keep_comments_and_no_places() {
        let sources = sources("// Greets.\nservice Greet {}\nmessage M {}");
        let set = FileDescriptorSet::decode(descriptors::of(&sources.files.file[0], &sources.files).as_slice()).expect("a set");
        let info = set.file[0].source_code_info.as_ref().expect("there is a comment");
        let comments: Vec<_> = info.location.iter().map(|location| (location.leading_comments(), location.span.as_slice())).collect();
        assert_eq!(comments, [(" Greets.\n", [0, 0, 0].as_slice())]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::write(folder.path().join("a.proto"), "syntax = \"proto3\";\nmessage {}").expect("a file");
        let error = read(&[folder.path().join("a.proto")], &[folder.path()]).expect_err("no name").to_string();
        assert!(error.contains("a.proto:2:"), "{error}");
    }
}
