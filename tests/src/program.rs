//! Where the program is that the tests drive, and the folders they share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names a `microhost` program to test instead of the one in the target folder.
const PROGRAM: &str = "MICROHOST_E2E_PROGRAM";

/// The repository's top folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in a folder of the repository")
}

/// The folder that this test binary's profile is built into: `target/debug`.
fn profile_folder() -> PathBuf {
    let me = std::env::current_exe().expect("a running program has a path");
    me.parent().and_then(Path::parent).expect("cargo puts test binaries into deps/ of the profile's folder").to_owned()
}

/// The target folder.
pub fn target() -> PathBuf {
    profile_folder().parent().expect("a profile's folder lies in the target folder").to_owned()
}

/// The program, built on first use in the same profile as this test binary.
pub fn microhost() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os(PROGRAM) {
        Some(path) => PathBuf::from(path),
        None => {
            let folder = profile_folder();
            let mut build = cargo(root());
            build.args(["build", "--package", "microhost", "--bin", "microhost", "--target-dir"]).arg(target());
            if folder.ends_with("release") {
                build.arg("--release");
            }
            run(&mut build);
            folder.join(format!("microhost{}", std::env::consts::EXE_SUFFIX))
        }
    })
}

/// A cargo that knows nothing of the cargo that runs this test.
pub fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST"));
        if ours || name == "CARGO_TARGET_DIR" {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(folder);
    cargo
}

/// Runs a build to its end.
///
/// # Panics
/// If it fails; its output is in the message.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed, {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// The compile cache that hosts share unless a test wants one of its own; emptied at the start of
/// each run, so that a run proves what it shows.
pub fn shared_cache() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = target().join("e2e").join("cache");
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("cannot empty {}: {error}", path.display()),
            _ => path,
        }
    })
}
