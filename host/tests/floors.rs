//! Holds the sources to the floors that `src/lib.rs` draws: a module uses its own floor or lower
//! ones, only `wasm` names wasmtime, and nobody knows the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the library or the program.
struct Source {
    path: PathBuf,
    /// The top module that it belongs to, or `bin`.
    module: String,
    /// Its text without comments.
    code: String,
}

/// The module of the program, above all others.
const PROGRAM: &str = "bin";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The floors as the table in `lib.rs` has them, by module.
fn floors() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("lib.rs")).expect("lib.rs is there");
    let mut floors = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let Some(floor) = line.split(' ').next().and_then(|number| number.parse().ok()) else { continue };
        for module in line.split("[`").skip(1).filter_map(|rest| rest.split_once("`]")).map(|(module, _)| module) {
            floors.insert(module.to_owned(), floor);
        }
    }
    floors.insert(PROGRAM.to_owned(), u32::MAX);
    floors
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry of a folder of sources").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root()).expect("found below the root");
                let module = Path::new(relative.iter().next().expect("a name")).with_extension("").display().to_string();
                let code = without_comments(&fs::read_to_string(&path).expect("a source file"));
                found.push(Source { path: relative.to_owned(), module, code });
            }
        }
    }
    found
}

/// Comments may speak of anything. A `//` within a string costs the rest of its line, which holds no
/// path that counts here.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules that a file names after `prefix::`, alone or as the first of a group's parts.
fn named<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (start, found) in code.match_indices(prefix) {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            continue;
        }
        let rest = code[start + found.len()..].trim_start();
        match rest.strip_prefix('{') {
            None => names.extend(identifier(rest)),
            Some(group) => names.extend(parts(group).into_iter().filter_map(identifier)),
        }
    }
    names
}

fn identifier(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// The parts of a `use` group, split at the commas of its own level.
fn parts(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn every_module_has_a_floor() {
    let floors = floors();
    let text = fs::read_to_string(root().join("lib.rs")).expect("lib.rs is there");
    let declared: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let homeless: Vec<_> = declared.iter().filter(|module| !floors.contains_key(**module)).collect();
    assert!(homeless.is_empty(), "modules without a floor in the table of lib.rs: {homeless:?}");
    let gone: Vec<_> = floors.keys().filter(|module| *module != PROGRAM && !declared.contains(&module.as_str())).collect();
    assert!(gone.is_empty(), "modules in the table of lib.rs that lib.rs does not declare: {gone:?}");
}

#[test]
fn a_module_uses_its_own_floor_or_lower_ones() {
    let floors = floors();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != PROGRAM && source.module != "lib") {
        let own = floors.get(&source.module).unwrap_or_else(|| panic!("{} has no floor in the table of lib.rs", source.path.display()));
        for used in named(&source.code, "crate::") {
            if floors.get(used).is_some_and(|floor| floor > own) {
                wrong.push(format!("{} on floor {own} uses crate::{used} above it", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_guests_floor_names_wasmtime() {
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.module != "wasm")
        .filter(|source| ["wasmtime::", "wasmtime_wasi", "use wasmtime"].iter().any(|name| source.code.contains(name)))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "files outside of wasm/ that name wasmtime: {wrong:?}");
}

#[test]
fn a_group_of_uses_is_read_part_by_part() {
    let code = "use crate::{admin, rpc::{self, Router}, wasm as guests};\nuse crate::edge::Edge;\nmycrate::app();";
    assert_eq!(named(code, "crate::"), ["admin", "rpc", "wasm", "edge"]);
}
