//! Makes a new project: the example `greeter` by another name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::embedded::{File, GREETER, SDK};
use super::name::Name;
use super::{ProjectError, SETTINGS};

/// Where the copy of the SDK lies in a project.
const VENDORED: &str = "vendor/microhost-sdk";

/// What can be chosen of a new project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The sources of the SDK to depend on. Without, the project carries a copy of its own, so that
    /// it builds anywhere.
    pub sdk: Option<PathBuf>,
}

/// A project that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its folder.
    pub dir: PathBuf,
    /// Its files and folders for the reader, with a word on each.
    pub parts: Vec<(&'static str, &'static str)>,
    /// The commands to go on with, the first one first.
    pub next: Vec<String>,
}

/// Makes the project `name` in the folder `dir`, which must not exist or be empty.
///
/// Whatever was written is removed again where it fails half-way.
pub fn create(name: &str, dir: &Path, options: &Options) -> Result<Created, ProjectError> {
    let name = Name::new(name)?;
    let sdk = options.sdk.as_deref().map(sources).transpose()?;
    let existed = match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => true,
            Some(_) => return Err(ProjectError::Exists { dir: dir.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(ProjectError::file("make a project in", dir)(error)),
    };
    let written = write_all(&name, dir, sdk.as_deref());
    if written.is_err() && !existed {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(dir);
    }
    written?;

    let mut parts =
        vec![("wit/world.wit", "the interface: what callers see"), ("src/lib.rs", "the code behind it"), (SETTINGS, "its settings")];
    if sdk.is_none() {
        parts.push((VENDORED, "the SDK that it is built with"));
    }
    let folder = shell_word(&dir.to_string_lossy());
    let curl = format!("curl --json '{{\"name\": \"Ann\"}}' http://127.0.0.1:8080/example.{}.Greet/Hello", name.snake);
    Ok(Created { dir: dir.to_owned(), parts, next: vec![format!("cd {folder}"), "microhost run".to_owned(), curl] })
}

/// The folder of an SDK as a project can name it from anywhere.
fn sources(sdk: &Path) -> Result<String, ProjectError> {
    let whole = sdk.canonicalize().map_err(ProjectError::file("find the SDK at", sdk))?;
    if !whole.join("Cargo.toml").is_file() {
        return Err(ProjectError::unusable(sdk, "no Cargo.toml in it: the SDK's sources are the folder sdk/rust of microhost"));
    }
    whole.to_str().map(str::to_owned).ok_or_else(|| ProjectError::unusable(sdk, "cargo takes only paths that are UTF-8"))
}

fn write_all(name: &Name, dir: &Path, sdk: Option<&str>) -> Result<(), ProjectError> {
    for (path, text) in render(name, sdk.unwrap_or(VENDORED)) {
        write(&dir.join(path), &text)?;
    }
    if sdk.is_none() {
        for (path, text) in SDK {
            write(&dir.join(VENDORED).join(path), text)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), ProjectError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(ProjectError::file("make the folder", folder))?;
    }
    let written = fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(ProjectError::file("write", path))
}

/// The greeter's files for a project of this name.
fn render(name: &Name, sdk: &str) -> impl Iterator<Item = (&'static str, String)> {
    // Quoted by TOML's rules, whatever the path holds.
    let (sdk, quoted) = ("\"../../sdk/rust\"", toml::Value::from(sdk).to_string());
    GREETER.iter().map(move |&(path, text): &File| {
        let text = text.replace(sdk, &quoted);
        // In service names, Rust paths and file names of libraries a `-` is written `_`.
        let text = text
            .replace("example.greeter", &format!("example.{}", name.snake))
            .replace("example::greeter", &format!("example::{}", name.snake));
        (path, text.replace("Greeter", &name.pascal).replace("greeter", &name.kebab))
    })
}

/// A path as a shell takes it.
fn shell_word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeter_is_what_new_makes() {
        let name = Name::new("greeter").expect("a fine name");
        for ((path, made), (_, example)) in render(&name, "../../sdk/rust").zip(GREETER) {
            assert_eq!(made, *example, "{path}");
        }
    }

    #[test]
    fn a_project_has_its_name_everywhere_and_carries_the_sdk() {
        let top = tempfile::tempdir().expect("a folder for the test");
        let dir = top.path().join("shop-cart");
        let created = create("shop-cart", &dir, &Options::default()).expect("an empty place");
        let read = |path: &str| fs::read_to_string(dir.join(path)).expect("the project has it");
        assert!(read("wit/world.wit").contains("package example:shop-cart@0.1.0;"));
        assert!(read("src/lib.rs").contains("exports::example::shop_cart::greet") && read("src/lib.rs").contains("struct ShopCart;"));
        assert!(read(SETTINGS).contains("[service.shop-cart]") && read(SETTINGS).contains("example.shop_cart.Greet/Hello"));
        assert!(read("Cargo.toml").contains("path = \"vendor/microhost-sdk\""));
        assert!(read("vendor/microhost-sdk/wit/types.wit").contains("record status"));
        assert!(!GREETER.iter().any(|(path, _)| read(path).to_lowercase().contains("greeter")));
        assert!(created.next.iter().any(|line| line.contains("/example.shop_cart.Greet/Hello")));
    }

    #[test]
    fn nothing_is_overwritten() {
        let top = tempfile::tempdir().expect("a folder for the test");
        let kept = top.path().join("kept");
        fs::write(&kept, "kept").expect("a file");
        let error = create("cart", top.path(), &Options::default()).expect_err("the folder is not empty");
        assert!(matches!(error, ProjectError::Exists { .. }), "{error}");
        assert_eq!(fs::read_dir(top.path()).expect("the folder").count(), 1);
        assert!(create("cart", &kept, &Options::default()).is_err());
    }

    #[test]
    fn an_sdk_that_is_none_is_refused_before_anything_is_written() {
        let top = tempfile::tempdir().expect("a folder for the test");
        let dir = top.path().join("cart");
        let options = Options { sdk: Some(top.path().to_owned()) };
        let error = create("cart", &dir, &options).expect_err("no SDK there").to_string();
        assert!(error.contains("sdk/rust"), "{error}");
        assert!(!dir.exists());
    }
}
