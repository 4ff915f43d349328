//! What a path given by the user stands for.

use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// The name of a settings file.
const SETTINGS: &str = "microhost.toml";

/// What is at a path.
pub enum Source {
    /// A component.
    Component(PathBuf),
    /// The folder of a project without settings.
    Project(PathBuf),
    /// A settings file.
    Settings(PathBuf),
}

/// Looks at a path: a component, a folder or a settings file.
pub fn locate(path: &Path) -> Outcome<Source> {
    let metadata = path.metadata().map_err(|error| nothing(path).because(&error))?;
    if metadata.is_dir() {
        let settings = path.join(SETTINGS);
        return Ok(if settings.is_file() { Source::Settings(settings) } else { Source::Project(path.to_owned()) });
    }
    let settings = path.extension().is_some_and(|extension| extension == "toml");
    Ok(if settings { Source::Settings(path.to_owned()) } else { Source::Component(path.to_owned()) })
}

/// The component at a path; a project is built first.
pub fn component(path: &Path) -> Outcome<PathBuf> {
    let metadata = path.metadata().map_err(|error| nothing(path).because(&error))?;
    if metadata.is_dir() { build(path) } else { Ok(path.to_owned()) }
}

fn nothing(path: &Path) -> Failure {
    Failure::new(Exit::Refused, format!("cannot find {}", path.display()))
        .advise("a component (.wasm), the folder of a project, or a microhost.toml; `microhost new NAME` makes a project")
}

fn build(path: &Path) -> Outcome<PathBuf> {
    Err(Failure::new(Exit::Build, format!("cannot build {}", path.display())))
}
