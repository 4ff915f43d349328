//! Writes the macro `service!`, which has to name the folder of the host's WIT: only a build script
//! knows where this crate lies, in a registry's cache, in a project or in microhost's own sources.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=src/service.rs.in");
    let wit = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("wit");
    let wit = wit.to_str().ok_or_else(|| format!("the path {} is not UTF-8: move the project", wit.display()))?;
    let template = fs::read_to_string("src/service.rs.in")?;
    let out = Path::new(&env::var("OUT_DIR")?).join("service.rs");
    fs::write(out, template.replace("WIT_FOLDER", &format!("{wit:?}")))?;
    Ok(())
}
