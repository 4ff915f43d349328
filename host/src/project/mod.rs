//! The folder that a service is written in: made, found and built, by the tools of its language.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

mod build;
mod cancel;
mod create;
mod embedded;
mod locate;
mod name;

pub use build::{build, component};
pub use cancel::Cancel;
pub use create::{Created, Options, create};
pub use locate::{Source, locate};

/// The name of a settings file.
const SETTINGS: &str = "microhost.toml";

/// A project that cannot be made, found or built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A name that no project can have.
    #[error("{name:?} cannot be the name of a project: {why}")]
    Name {
        /// The name given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is there already would be overwritten.
    #[error("{dir} exists and is not empty: choose another name, or remove it first")]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// Something is at the path, but no service.
    #[error("{path}: {why}")]
    Unusable {
        /// The path given.
        path: PathBuf,
        /// What is missing, and what would do.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was to be done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that the build needs is not there.
    #[error("cannot find the program `{tool}`: {advice}")]
    NoTool {
        /// The program.
        tool: String,
        /// How to get it.
        advice: &'static str,
    },
    /// A program of the build failed. It has told the terminal why.
    #[error("`{command}` failed in {dir} ({status})")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// Where it ran.
        dir: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// The project's settings are wrong.
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
}

impl ProjectError {
    fn unusable(path: impl Into<PathBuf>, why: impl Into<String>) -> ProjectError {
        ProjectError::Unusable { path: path.into(), why: why.into() }
    }

    fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ProjectError {
        let path = path.into();
        move |source| ProjectError::File { what, path, source }
    }
}
