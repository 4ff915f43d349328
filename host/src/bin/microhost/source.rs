//! The component at a path that the user names, built first where it is a project.

use std::path::{Path, PathBuf};

use microhost::project;
use microhost::schema::Schema;
use microhost::settings::Limits;
use microhost::wasm::load;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// The component at a path; a project is built first, and what that takes is told as it comes.
pub fn component(path: &Path) -> Outcome<PathBuf> {
    Ok(project::component(path, &mut |step| output::tell(step), None)?)
}

/// The component at a path, and its schema. Nothing of it is compiled or run.
pub fn schema(path: &Path) -> Outcome<(PathBuf, Schema)> {
    let component = component(path)?;
    let bytes = load::read(&component, Limits::default().component as u64)?;
    let schema = Schema::of(&bytes).map_err(|error| {
        Failure::new(Exit::Refused, format!("{} is a damaged or truncated component", component.display())).because(&error)
    })?;
    Ok((component, schema))
}

/// What a file or folder is called, without `.wasm`; a path such as `.` is followed first.
pub fn name(path: &Path) -> String {
    let whole = if path.file_name().is_some() {
        path.to_owned()
    } else {
        path.canonicalize().or_else(|_| std::env::current_dir()).unwrap_or_default()
    };
    let name = if whole.extension().is_some_and(|extension| extension == "wasm") { whole.file_stem() } else { whole.file_name() };
    name.map_or_else(|| "service".to_owned(), |name| name.to_string_lossy().into_owned())
}
