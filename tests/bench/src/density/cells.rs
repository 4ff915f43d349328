//! A thousand services that are all alike and none the same: one component, with other digits in the
//! name of its package.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The name in the component, which has as many digits as the most services need.
const NAME: &[u8] = b"cell0000";
/// As many as the digits can tell apart.
pub const MOST: usize = 10_000;

/// Components in a folder, gone when dropped.
pub struct Cells(TempDir);

impl Cells {
    /// Writes so many components, made of the one in `guest`.
    pub fn write(guest: &Path, count: usize) -> Result<Cells> {
        let component = fs::read(guest).with_context(|| format!("cannot read {}", guest.display()))?;
        if !component.windows(NAME.len()).any(|part| part == NAME) {
            bail!("{} is not guests/cell: its package has another name", guest.display());
        }
        let folder = tempfile::Builder::new().prefix("microhost-cells-").tempdir().context("cannot make a folder for the components")?;
        for number in 0..count {
            let file = folder.path().join(format!("{}.wasm", name(number)));
            fs::write(&file, named(&component, name(number).as_bytes())).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Cells(folder))
    }

    /// A settings file that runs the first so many of them; every call of the first `fresh` has an
    /// instance of its own.
    pub fn settings(&self, count: usize, fresh: usize) -> Result<PathBuf> {
        let mut text = String::new();
        for number in 0..count {
            let name = name(number);
            let isolation = if number < fresh { "request" } else { "shared" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "[service.{name}]\ncomponent = \"{name}.wasm\"\nisolation = \"{isolation}\"");
        }
        let file = self.0.path().join(format!("{count}.toml"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

/// What a service is called, and its component.
fn name(number: usize) -> String {
    format!("cell{number:04}")
}

/// Where a service is called.
pub fn path(number: usize) -> String {
    format!("/test.cell{number:04}.Cell/Greet")
}

/// The component with another name, wherever the old one stands.
fn named(component: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = component.to_vec();
    let mut at = 0;
    while let Some(found) = out[at..].windows(NAME.len()).position(|part| part == NAME) {
        at += found;
        out[at..at + NAME.len()].copy_from_slice(name);
        at += NAME.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_replaced_and_nothing_else() {
        assert_eq!(named(b"a cell0000#b cell0000cell0000", b"cell0417"), b"a cell0417#b cell0417cell0417");
        assert_eq!(path(7), "/test.cell0007.Cell/Greet");
    }
}
