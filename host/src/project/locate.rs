//! What a path given by the user stands for.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ProjectError, SETTINGS};

/// How many components an error names.
const MAX_NAMED: usize = 8;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A component, or a file that claims to be one.
    Component(PathBuf),
    /// The folder of a project that has to be built, without settings.
    Project(PathBuf),
    /// A settings file.
    Settings(PathBuf),
}

/// Says what `path` stands for: a component, a settings file, or a folder with the one or the other
/// or with a project.
pub fn locate(path: &Path) -> Result<Source, ProjectError> {
    let settings = if path.is_dir() { path.join(SETTINGS) } else { path.to_owned() };
    if settings.is_file() && settings.extension().is_some_and(|extension| extension == "toml") {
        return if settings.file_name().is_some_and(|name| name == "Cargo.toml") {
            Err(ProjectError::unusable(path, "this is cargo's file: name the folder that it is in"))
        } else {
            Ok(Source::Settings(settings))
        };
    }
    Ok(match code(path)? {
        Code::Component(file) => Source::Component(file),
        Code::Project(folder) => Source::Project(folder),
    })
}

/// What settings can name as a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// A component, or a file that claims to be one.
    Component(PathBuf),
    /// The folder of a project that has to be built.
    Project(PathBuf),
}

/// Says which component or project is at `path`, whatever settings are there: those of the service
/// itself name its folder so.
pub(super) fn code(path: &Path) -> Result<Code, ProjectError> {
    let metadata = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ProjectError::unusable(path, "no such file or folder; `microhost new NAME` makes a project"),
        _ => ProjectError::file("read", path)(error),
    })?;
    if !metadata.is_dir() {
        return Ok(Code::Component(path.to_owned()));
    }
    if path.join("Cargo.toml").is_file() || path.join(SETTINGS).is_file() {
        return Ok(Code::Project(path.to_owned()));
    }
    let mut found = components(path)?;
    match found.len() {
        1 => Ok(Code::Component(found.remove(0))),
        0 => Err(ProjectError::unusable(
            path,
            format!(
                "neither a component (.wasm) nor a project in this folder: a Rust project has a Cargo.toml, another one a {SETTINGS} with [build]"
            ),
        )),
        many => {
            let names: Vec<_> =
                found.iter().take(MAX_NAMED).filter_map(|file| file.file_name()).map(|name| name.to_string_lossy()).collect();
            let rest = if many > MAX_NAMED { ", …" } else { "" };
            Err(ProjectError::unusable(path, format!("{many} components in this folder, name one: {}{rest}", names.join(", "))))
        }
    }
}

/// The files in a folder that end in `.wasm`, by name.
fn components(folder: &Path) -> Result<Vec<PathBuf>, ProjectError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(ProjectError::file("read", folder))? {
        let path = entry.map_err(ProjectError::file("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for file in files {
            fs::write(folder.path().join(file), "").expect("a file");
        }
        folder
    }

    #[test]
    fn a_folder_with_settings_is_its_settings_and_its_code_is_the_project() {
        let folder = folder(&["Cargo.toml", "microhost.toml", "old.wasm"]);
        assert_eq!(locate(folder.path()).expect("settings"), Source::Settings(folder.path().join("microhost.toml")));
        assert_eq!(code(folder.path()).expect("a project"), Code::Project(folder.path().to_owned()));
    }

    #[test]
    fn a_built_folder_is_its_only_component() {
        let one = folder(&["a.wasm", "notes.txt"]);
        assert_eq!(locate(one.path()).expect("a component"), Source::Component(one.path().join("a.wasm")));
        let two = folder(&["b.wasm", "a.wasm"]);
        let error = locate(two.path()).expect_err("which one?").to_string();
        assert!(error.contains("name one: a.wasm, b.wasm"), "{error}");
    }

    #[test]
    fn what_is_nothing_is_told_what_would_do() {
        let empty = folder(&["Cargo.lock"]);
        let error = locate(empty.path()).expect_err("nothing to run").to_string();
        assert!(error.contains("Cargo.toml") && error.contains("[build]"), "{error}");
        let error = locate(&empty.path().join("none")).expect_err("nothing there").to_string();
        assert!(error.contains("microhost new"), "{error}");
        let cargo = folder(&["Cargo.toml"]);
        let error = locate(&cargo.path().join("Cargo.toml")).expect_err("not ours").to_string();
        assert!(error.contains("name the folder"), "{error}");
    }
}
