//! The components that the tests run, built on first use.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::program::{cargo, root, run, target};

const TARGET: &str = "wasm32-wasip2";

fn build(folder: &Path) -> PathBuf {
    let target = target().join("guests");
    run(cargo(folder).args(["build", "--release", "--quiet", "--target", TARGET, "--target-dir"]).arg(&target));
    target.join(TARGET).join("release")
}

/// The component of a package of `guests/`, by the package's name.
///
/// # Panics
/// If there is no such package or the guests do not build.
pub fn guest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    component(FOLDER.get_or_init(|| build(&root().join("guests"))), name)
}

/// The component of the example in `examples/greeter`.
pub fn greeter() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    component(FOLDER.get_or_init(|| build(&root().join("examples").join("greeter"))), "greeter")
}

/// A copy of the example in `examples/greeter` in a folder, and the folder that it is built into, where all
/// that it depends on is built already.
pub fn greeter_sources(folder: &Path) -> (PathBuf, PathBuf) {
    let (from, to) = (root().join("examples").join("greeter"), folder.join("greeter"));
    for part in ["src", "wit"] {
        std::fs::create_dir_all(to.join(part)).expect("a temporary folder can be written to");
    }
    for file in ["Cargo.lock", "microhost.toml", "src/lib.rs", "wit/world.wit"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap_or_else(|error| panic!("{file} of the example: {error}"));
    }
    let manifest = std::fs::read_to_string(from.join("Cargo.toml")).expect("the example has a manifest");
    // Links and code of the whole program take more than half of the time of a build.
    let manifest = manifest.replace("../../", &format!("{}/", root().display())).replace("lto = true", "lto = false");
    std::fs::write(to.join("Cargo.toml"), manifest).expect("a temporary folder can be written to");
    // The target folder of the other guests has a component of this name already.
    let target = target().join("dev");
    run(cargo(&to).args(["build", "--release", "--quiet", "--target", TARGET, "--target-dir"]).arg(&target));
    (to, target)
}

/// The component of the example in `examples/shop/payments`.
pub fn payments() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    component(FOLDER.get_or_init(|| build(&root().join("examples/shop/payments"))), "payments")
}

/// The components of the whole shop in `examples/shop`, by the names of their services.
pub fn shop() -> [(&'static str, PathBuf); 3] {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        build(&root().join("examples/shop/orders"));
        build(&root().join("examples/shop/inventory"))
    });
    [("orders", component(folder, "orders")), ("inventory", component(folder, "inventory")), ("payments", payments())]
}

/// A component of `guests/` that is kept as text, which no Rust source could be: `guests/NAME.wat`.
///
/// # Panics
/// If there is none or it is not valid.
pub fn text(name: &str) -> PathBuf {
    let source = root().join("guests").join(format!("{name}.wat"));
    let binary = wat::parse_file(&source).unwrap_or_else(|error| panic!("{error}"));
    let folder = target().join("e2e");
    let path = folder.join(format!("{name}.wasm"));
    // Put in place whole: another test may be reading it.
    let written = std::fs::create_dir_all(&folder).and_then(|()| tempfile::NamedTempFile::new_in(&folder)).and_then(|file| {
        std::fs::write(file.path(), binary)?;
        file.persist(&path).map_err(|error| error.error)
    });
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path
}

fn component(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{}.wasm", name.replace('-', "_")));
    assert!(path.exists(), "no component {name}: expected {}", path.display());
    path
}
