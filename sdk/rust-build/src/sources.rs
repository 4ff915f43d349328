//! From paths to descriptors.

use std::path::{Path, PathBuf};

use crate::{Error, Sources};

/// Reads the files and what they import.
pub fn read(files: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<Sources, Error> {
    // What is shown for debugging tells the place in the file, too.
    let wrong = |error: protox::Error| Error::Proto(format!("{error:?}"));
    let folders: Vec<PathBuf> = match includes {
        [] => files.iter().map(|file| folder(file.as_ref())).collect(),
        _ => includes.iter().map(|folder| folder.as_ref().to_owned()).collect(),
    };
    let mut compiler = protox::Compiler::new(folders).map_err(wrong)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files).map_err(wrong)?;
    let paths = compiler.files().filter_map(|file| file.path().map(Path::to_owned)).collect();
    let own = compiler.files().filter(|file| !file.is_import()).map(|file| file.name().to_owned()).collect();
    Ok(Sources { files: compiler.file_descriptor_set(), paths, own })
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
