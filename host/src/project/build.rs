//! Builds a project by the tools of its language, on the user's terminal.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, io};

use serde::Deserialize;

use super::cancel::{Cancel, Running};
use super::locate::{Code, code};
use super::{ProjectError, SETTINGS};
use crate::settings::Settings;

/// The target that makes components.
const TARGET: &str = "wasm32-wasip2";

const GET_RUST: &str = "install Rust from https://rustup.rs and open a new terminal";

/// The programs of a Rust build, by the names they are looked up by.
struct Tools {
    cargo: &'static str,
    rustc: &'static str,
    rustup: &'static str,
}

const TOOLS: Tools = Tools { cargo: "cargo", rustc: "rustc", rustup: "rustup" };

/// The component at `path`: a file as it is, a folder's project once it is built.
///
/// It waits for the build; `progress` is told of each step that takes long, and `cancel` can end it.
pub fn component(path: &Path, progress: &mut dyn FnMut(&str), cancel: Option<&Cancel>) -> Result<PathBuf, ProjectError> {
    match code(path)? {
        Code::Component(file) => Ok(file),
        Code::Project(dir) => build(&dir, progress, cancel),
    }
}

/// Builds the project in the folder `dir` and returns the path of its component.
///
/// A `[build]` in its `microhost.toml` says how; without one it is a Rust project, built by cargo for
/// `wasm32-wasip2`, and the target is added first where it is missing. Errors of the program are
/// shown on the terminal as they come. It waits for the build; `progress` is told of each step that
/// takes long, and `cancel` can end it.
pub fn build(dir: &Path, progress: &mut dyn FnMut(&str), cancel: Option<&Cancel>) -> Result<PathBuf, ProjectError> {
    let settings = dir.join(SETTINGS);
    if settings.is_file()
        && let Some(build) = Settings::read(&settings)?.build
    {
        return by_command(dir, &build.command, &build.component, progress, cancel);
    }
    if !dir.join("Cargo.toml").is_file() {
        let why = format!(
            "no Cargo.toml in this folder: for another language than Rust, say in {SETTINGS} how to build it: [build] with command and component"
        );
        return Err(ProjectError::unusable(dir, why));
    }
    by_cargo(&TOOLS, dir, progress, cancel)
}

fn by_command(
    dir: &Path,
    command: &str,
    component: &Path,
    progress: &mut dyn FnMut(&str),
    cancel: Option<&Cancel>,
) -> Result<PathBuf, ProjectError> {
    progress(&format!("running `{command}`"));
    let mut shell = Command::new("sh");
    // stdout is for what this program itself prints.
    shell.arg("-c").arg(command).current_dir(dir).stdin(Stdio::null()).stdout(io::stderr());
    let mut running = Running::start(&mut shell, cancel).map_err(|error| not_started("sh", "the build command needs a shell", error))?;
    let status = running.wait().map_err(ProjectError::file("wait for the build in", dir))?;
    succeeded(command, dir, status)?;
    let built = dir.join(component);
    if !built.is_file() {
        return Err(ProjectError::unusable(
            built,
            format!("`{command}` made no such file, which `component` in [build] of {SETTINGS} names"),
        ));
    }
    Ok(built)
}

fn by_cargo(tools: &Tools, dir: &Path, progress: &mut dyn FnMut(&str), cancel: Option<&Cancel>) -> Result<PathBuf, ProjectError> {
    add_target(tools, dir, progress)?;
    let arguments = ["build", "--release", "--target", TARGET];
    let mut cargo = tool(tools.cargo, dir);
    cargo.args(arguments).arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(&mut cargo, cancel).map_err(|error| not_started(tools.cargo, GET_RUST, error))?;
    let stdout = running.child.stdout.take().expect("stdout was piped above");
    let found = artifacts(BufReader::new(stdout)).map_err(ProjectError::file("read what cargo built in", dir));
    let status = running.wait().map_err(ProjectError::file("wait for cargo in", dir))?;
    succeeded(&format!("{} {}", tools.cargo, arguments.join(" ")), dir, status)?;
    choose(dir, found?)
}

/// Sees to it that the toolchain of the folder can build for [`TARGET`].
fn add_target(tools: &Tools, dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), ProjectError> {
    if has_target(tools, dir)? {
        return Ok(());
    }
    progress(&format!("adding Rust's target {TARGET} by `rustup target add {TARGET}`"));
    let advice = "Rust here has no target wasm32-wasip2, and rustup, which adds it, is missing: install Rust from https://rustup.rs";
    let mut rustup = tool(tools.rustup, dir);
    rustup.args(["target", "add", TARGET]).stdin(Stdio::null()).stdout(Stdio::null());
    let status = run(&mut rustup, tools.rustup, advice)?;
    succeeded(&format!("rustup target add {TARGET}"), dir, status)
}

fn has_target(tools: &Tools, dir: &Path) -> Result<bool, ProjectError> {
    let mut rustc = tool(tools.rustc, dir);
    rustc.args(["--print", "target-libdir", "--target", TARGET]).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = rustc.output().map_err(|error| not_started(tools.rustc, GET_RUST, error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(ProjectError::unusable(dir, format!("Rust cannot build {TARGET} here: {}", said.trim())));
    }
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim_end()).is_dir())
}

/// A tool of Rust in a folder.
fn tool(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(dir);
    // Under `cargo run` or `cargo test` the environment speaks of the outer build: of its package,
    // its toolchain, its flags. Otherwise all there is was set by the user for this one.
    if env::var_os("CARGO").is_some() && env::var_os("CARGO_MANIFEST_DIR").is_some() {
        env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_outer)).for_each(|(name, _)| {
            command.env_remove(name);
        });
    }
    command
}

/// Whether a variable of this name is of an outer build.
fn is_outer(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "CARGO",
        "CARGO_CRATE_NAME",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
    ];
    const PREFIXES: &[&str] = &["CARGO_BIN_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn run(command: &mut Command, tool: &str, advice: &'static str) -> Result<ExitStatus, ProjectError> {
    command.status().map_err(|error| not_started(tool, advice, error))
}

fn not_started(tool: &str, advice: &'static str, error: io::Error) -> ProjectError {
    match error.kind() {
        io::ErrorKind::NotFound => ProjectError::NoTool { tool: tool.to_owned(), advice },
        _ => ProjectError::file("start", tool)(error),
    }
}

fn succeeded(command: &str, dir: &Path, status: ExitStatus) -> Result<(), ProjectError> {
    if status.success() { Ok(()) } else { Err(ProjectError::Failed { command: command.to_owned(), dir: dir.to_owned(), status }) }
}

/// What a line of cargo's says, as far as it is of interest (The Cargo Book, "External tools").
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    kind: Vec<String>,
}

/// A component that cargo built, and the manifest of its package.
struct Artifact {
    manifest: PathBuf,
    file: PathBuf,
}

fn artifacts(lines: impl BufRead) -> io::Result<Vec<Artifact>> {
    let mut found = Vec::new();
    for line in lines.lines() {
        // What is no message of cargo's comes from a program that it ran.
        let Ok(message) = serde_json::from_str::<Message>(&line?) else { continue };
        if message.reason == "compiler-artifact" && message.target.kind.iter().any(|kind| kind == "cdylib") {
            let wasm = message.filenames.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "wasm"));
            found.extend(wasm.map(|file| Artifact { manifest: message.manifest_path.clone(), file }));
        }
    }
    Ok(found)
}

/// The one component that is meant: the folder's own package before those it depends on.
fn choose(dir: &Path, mut found: Vec<Artifact>) -> Result<PathBuf, ProjectError> {
    let own = dir.canonicalize().map_err(ProjectError::file("read", dir))?.join("Cargo.toml");
    if found.iter().any(|artifact| artifact.manifest == own) {
        found.retain(|artifact| artifact.manifest == own);
    }
    match found.len() {
        1 => Ok(found.remove(0).file),
        0 => Err(ProjectError::unusable(
            dir,
            "cargo built no component: a service is a library, with crate-type = [\"cdylib\"] under [lib] in Cargo.toml",
        )),
        _ => {
            let names: Vec<_> =
                found.iter().filter_map(|artifact| artifact.manifest.parent()).map(|folder| folder.display().to_string()).collect();
            Err(ProjectError::unusable(dir, format!("a workspace of several components: name the folder of one, {}", names.join(" or "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A library without dependencies: a component with no import and no export but WASI's.
    fn project(manifest: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder for the test");
        fs::create_dir(dir.path().join("src")).expect("a folder");
        fs::write(dir.path().join("Cargo.toml"), manifest).expect("a file");
        fs::write(dir.path().join("src/lib.rs"), "").expect("a file");
        dir
    }

    const PLAIN: &str = "[package]\nname = \"small-one\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";

    #[test]
    fn a_rust_project_is_built_and_its_component_found() {
        let dir = project(PLAIN);
        let built = component(dir.path(), &mut |_| (), None).expect("a whole project");
        assert!(built.ends_with("small_one.wasm"), "{}", built.display());
        assert_eq!(&fs::read(&built).expect("the component")[..4], b"\0asm");
    }

    #[test]
    fn a_library_that_is_no_component_is_told_what_it_lacks() {
        let dir = project(&PLAIN.replace("cdylib", "rlib"));
        let error = build(dir.path(), &mut |_| (), None).expect_err("nothing to run").to_string();
        assert!(error.contains("crate-type = [\"cdylib\"]"), "{error}");
    }

    #[test]
    fn a_build_that_fails_says_which_command_and_where() {
        let dir = project(PLAIN);
        fs::write(dir.path().join("src/lib.rs"), "not Rust").expect("a file");
        let error = build(dir.path(), &mut |_| (), None).expect_err("it does not compile").to_string();
        assert!(error.contains("`cargo build --release") && error.contains(&dir.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_missing_tool_is_named_with_how_to_get_it() {
        let dir = project(PLAIN);
        let absent = "no-such-tool-of-rust";
        for tools in [Tools { rustc: absent, ..TOOLS }, Tools { cargo: absent, ..TOOLS }] {
            let error = by_cargo(&tools, dir.path(), &mut |_| (), None).expect_err("no Rust at all").to_string();
            assert!(error.contains(absent) && error.contains("https://rustup.rs"), "{error}");
        }
    }

    #[test]
    fn another_language_is_built_by_its_own_command() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        fs::write(dir.path().join(SETTINGS), "[build]\ncommand = \"printf made > out.wasm\"\ncomponent = \"out.wasm\"\n").expect("a file");
        let mut steps = Vec::new();
        let built = component(dir.path(), &mut |step| steps.push(step.to_owned()), None).expect("the command makes it");
        assert_eq!(fs::read_to_string(built).expect("the component"), "made");
        assert_eq!(steps, ["running `printf made > out.wasm`"]);

        fs::write(dir.path().join(SETTINGS), "[build]\ncommand = \"true\"\ncomponent = \"other.wasm\"\n").expect("a file");
        let error = build(dir.path(), &mut |_| (), None).expect_err("nothing was made").to_string();
        assert!(error.contains("other.wasm") && error.contains("[build]"), "{error}");
        fs::write(dir.path().join(SETTINGS), "[build]\ncommand = \"exit 3\"\ncomponent = \"other.wasm\"\n").expect("a file");
        let error = build(dir.path(), &mut |_| (), None).expect_err("the command fails").to_string();
        assert!(error.contains("`exit 3` failed"), "{error}");
    }

    #[test]
    fn settings_alone_are_no_project() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        fs::write(dir.path().join(SETTINGS), "").expect("a file");
        let error = component(dir.path(), &mut |_| (), None).expect_err("nothing to build").to_string();
        assert!(error.contains("no Cargo.toml") && error.contains("[build]"), "{error}");
    }

    #[test]
    fn the_environment_of_an_outer_build_is_told_from_the_users() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            assert!(is_outer(name), "{name} would break the inner build");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "CARGO_BUILD_JOBS", "RUSTUP_HOME", "RUSTC_WRAPPER", "PATH"] {
            assert!(!is_outer(name), "{name} is the user's");
        }
    }

    #[test]
    fn the_folders_own_component_comes_before_those_it_depends_on() {
        let dir = project(PLAIN);
        let own = dir.path().canonicalize().expect("it exists").join("Cargo.toml");
        let artifact = |manifest: &Path, file: &str| Artifact { manifest: manifest.to_owned(), file: file.into() };
        let other = Path::new("/other/Cargo.toml");
        assert_eq!(choose(dir.path(), vec![artifact(other, "b.wasm"), artifact(&own, "a.wasm")]).expect("its own"), Path::new("a.wasm"));
        let error = choose(dir.path(), vec![artifact(other, "b.wasm"), artifact(other, "c.wasm")]).expect_err("which one?").to_string();
        assert!(error.contains("name the folder of one"), "{error}");
    }
}
