//! The programs that are measured: this one as a native server, and the real microhost with the real
//! component, built when they are not named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::output;
use crate::serve::Native;

/// The target of components.
const TARGET: &str = "wasm32-wasip2";
/// The settings file that gives each call an instance of its own.
const REQUEST: &str = "request.toml";

/// How calls share instances in microhost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Instances are reused: the default.
    Shared,
    /// Every call has an instance of its own.
    Request,
}

/// The programs, and a folder for what they leave behind.
pub struct Programs {
    bench: PathBuf,
    microhost: PathBuf,
    guest: PathBuf,
    folder: TempDir,
}

impl Programs {
    /// Takes what is named and builds what is not: the component from a package of `guests/`.
    pub fn new(microhost: Option<&Path>, guest: Option<&Path>, package: &str) -> Result<Programs> {
        let programs = Programs {
            bench: std::env::current_exe().context("cannot find this program")?,
            microhost: microhost.map_or_else(build_microhost, existing)?,
            guest: component(guest, package)?,
            folder: tempfile::Builder::new().prefix("microhost-bench-").tempdir().context("cannot make a folder for the compile cache")?,
        };
        let component = toml_string(&programs.guest)?;
        let settings = format!("[service.{package}]\ncomponent = {component}\nisolation = \"request\"\n");
        fs::write(programs.folder.path().join(REQUEST), settings).context("cannot write a settings file")?;
        Ok(programs)
    }

    /// This program, to be something else than the benchmark.
    pub fn bench(&self) -> Command {
        Command::new(&self.bench)
    }

    /// The component.
    pub fn guest(&self) -> &Path {
        &self.guest
    }

    /// A native server at a free port.
    pub fn native(&self, native: Native) -> Command {
        let mut command = self.bench();
        command.args(["serve", native.name(), "--port", "0"]);
        command
    }

    /// A compile cache that is kept for the whole run.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Writes a settings file of this name, which is kept for the whole run.
    pub fn write_settings(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        fs::write(&file, text).context("cannot write a settings file")?;
        Ok(file)
    }

    /// microhost at a free port, with a compile cache that is kept for the whole run.
    pub fn microhost(&self, isolation: Isolation) -> Command {
        self.microhost_with_cache(isolation, &self.cache())
    }

    /// microhost at a free port, with the compile cache in `cache`.
    pub fn microhost_with_cache(&self, isolation: Isolation, cache: &Path) -> Command {
        match isolation {
            Isolation::Shared => self.settings(&self.guest, cache),
            Isolation::Request => self.settings(&self.folder.path().join(REQUEST), cache),
        }
    }

    /// microhost at a free port, with what a settings file or a component says, and the compile cache in
    /// `cache`.
    pub fn settings(&self, what: &Path, cache: &Path) -> Command {
        self.listening("127.0.0.1:0", what, cache)
    }

    /// microhost with the component, at a free port of all addresses of version 4.
    pub fn everywhere(&self) -> Command {
        self.listening("0.0.0.0:0", &self.guest, &self.cache())
    }

    fn listening(&self, at: &str, what: &Path, cache: &Path) -> Command {
        let mut command = Command::new(&self.microhost);
        command.arg("run").arg(what);
        command.args(["--listen", at]).env("XDG_CACHE_HOME", cache);
        // Other hosts are not measured.
        command.env("MICROHOST_ALONE", "true");
        // What is set for other runs on this machine: the ready line is read from JSON, at `info`.
        command.env_remove("MICROHOST_LOG").env_remove("MICROHOST_LOG_FORMAT");
        command
    }

    /// `wasmtime serve` at a free port, with the same component, and with all of WASI that a component of
    /// the standard library asks for. Its instances are reused, as it does by itself.
    pub fn wasmtime(&self, wasmtime: &Path) -> Command {
        let mut command = Command::new(wasmtime);
        command.args(["serve", "-Scli", "--addr", "127.0.0.1:0"]).arg(&self.guest);
        command
    }

    /// A compile cache with nothing in it; gone when dropped.
    pub fn empty_cache(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.folder.path()).context("cannot make a folder for a compile cache")
    }
}

/// The component that is named, or, without, that of a package of `guests/`, built.
pub fn component(named: Option<&Path>, package: &str) -> Result<PathBuf> {
    named.map_or_else(|| build_guest(package), existing)
}

fn existing(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("no file {}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Asks cargo every time: it knows whether the program is that of these sources.
fn build_microhost() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--release", "--package", "microhost", "--bin", "microhost"]);
    built(command, "microhost")
}

fn build_guest(package: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root().join("guests")).args(["build", "--release", "--target", TARGET, "--package", package]);
    built(command, package).with_context(|| format!("cannot build guests/{package}; if the target is missing: rustup target add {TARGET}"))
}

/// Builds, and returns the program or the component that cargo names as that of the target `name`.
fn built(mut command: Command, name: &str) -> Result<PathBuf> {
    command.arg("--message-format=json-render-diagnostics");
    let text = String::from_utf8(output(command)?).context("cargo does not write UTF-8")?;
    let mut messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let file = messages.find_map(|message| program_of(&message, name));
    file.with_context(|| format!("cargo built no program {name}"))
}

/// The program or component that a message of cargo's tells of.
fn program_of(message: &Value, name: &str) -> Option<PathBuf> {
    if message["reason"] != "compiler-artifact" || message["target"]["name"] != name {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    message["executable"].as_str().or_else(|| files.into_iter().find(|file| file.ends_with(".wasm"))).map(PathBuf::from)
}

/// A path as TOML writes a string.
pub fn toml_string(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    // A JSON string is a TOML string too.
    Ok(serde_json::to_string(text)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_and_a_component_are_found_among_what_cargo_tells() {
        let library = json!({ "reason": "compiler-artifact", "target": { "name": "microhost" }, "filenames": ["/t/libmicrohost.rlib"], "executable": null });
        let program = json!({ "reason": "compiler-artifact", "target": { "name": "microhost" }, "filenames": ["/t/microhost"], "executable": "/t/microhost" });
        let component =
            json!({ "reason": "compiler-artifact", "target": { "name": "echo" }, "filenames": ["/t/echo.wasm"], "executable": null });
        assert_eq!(program_of(&library, "microhost"), None);
        assert_eq!(program_of(&program, "microhost"), Some("/t/microhost".into()));
        assert_eq!(program_of(&component, "echo"), Some("/t/echo.wasm".into()));
        assert_eq!(program_of(&component, "microhost"), None);
    }
}
