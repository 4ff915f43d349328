//! Writes the macro `service!`, which has to name a folder with the host's WIT.
//!
//! The folder is a copy beside the macro: cargo builds this crate once for all projects that share a
//! target folder, and the project that it happened to be built for may be gone tomorrow.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=src/service.rs.in");
    println!("cargo::rerun-if-changed=wit");
    let out = env::var("OUT_DIR")?;
    let copy = Path::new(&out).join("wit");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    fs::create_dir(&copy)?;
    for file in fs::read_dir("wit")? {
        let file = file?;
        fs::copy(file.path(), copy.join(file.file_name()))?;
    }
    let wit = copy.to_str().ok_or_else(|| format!("the path {} is not UTF-8: set CARGO_TARGET_DIR to one that is", copy.display()))?;
    let template = fs::read_to_string("src/service.rs.in")?;
    fs::write(Path::new(&out).join("service.rs"), template.replace("WIT_FOLDER", &format!("{wit:?}")))?;
    Ok(())
}
