//! What is no component, or none that can be served, is refused with what it is and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::guests::guest;
use e2e::host::{Host, Start};
use tempfile::TempDir;

/// Input refused.
const REFUSED: i32 = 3;
/// The address cannot be had.
const UNREACHABLE: i32 = 4;
/// The project does not build.
const BUILD: i32 = 5;

/// A file with these bytes, in a folder of its own.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("service.wasm");
    fs::write(&path, bytes).expect("it can be written to");
    (folder, path)
}

/// Runs what has to be refused; the answer names the file and contains all of `words`.
async fn refused(path: &Path, code: i32, words: &[&str]) -> String {
    let (ended, said) = Start::path(path).refused().await;
    assert_eq!(ended, code, "{said}");
    let name = path.file_name().and_then(|name| name.to_str()).expect("the tests' files have names");
    for word in words.iter().chain([&name]) {
        assert!(said.to_lowercase().contains(&word.to_lowercase()), "{word:?} in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test]
async fn a_core_module_is_called_one() {
    let (_folder, path) = file(b"\0asm\x01\0\0\0");
    refused(&path, REFUSED, &["core", "module", "not a component"]).await;
}

#[tokio::test]
async fn a_truncated_component_is_called_one() {
    let whole = fs::read(guest("echo")).expect("the guest is built");
    for length in [whole.len() / 2, whole.len() - 1, 100, 9] {
        let (_folder, path) = file(&whole[..length]);
        refused(&path, REFUSED, &["truncated"]).await;
    }
}

#[tokio::test]
async fn a_file_of_anything_else_is_no_webassembly() {
    // The first multiples of an odd number: no format begins so.
    let random: Vec<u8> = (0..10_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for bytes in [&random[..], b"#!/bin/sh\necho hello\n", b"\x7fELF\x02\x01\x01"] {
        let (_folder, path) = file(bytes);
        refused(&path, REFUSED, &["webassembly"]).await;
    }
}

#[tokio::test]
async fn an_empty_file_is_called_empty() {
    let (_folder, path) = file(b"");
    refused(&path, REFUSED, &["empty"]).await;
}

#[tokio::test]
async fn damage_in_the_middle_of_a_component_is_refused() {
    let mut bytes = fs::read(guest("echo")).expect("the guest is built");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    let (_folder, path) = file(&bytes);
    refused(&path, REFUSED, &[]).await;
}

#[tokio::test]
async fn a_huge_component_is_refused_by_its_size() {
    let (_folder, path) = file(b"\0asm\x0d\0\x01\0");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    // Sparse: it takes no room on the disk.
    file.set_len(300 << 20).expect("it can grow");
    refused(&path, REFUSED, &["limit", "256.0 MiB"]).await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    refused(&folder.path().join("nothing.wasm"), REFUSED, &[]).await;
}

#[tokio::test]
async fn a_folder_without_a_project_says_what_is_missing() {
    let folder = TempDir::new().expect("a temporary folder");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("it can be made");
    refused(&empty, REFUSED, &["cargo.toml"]).await;
}

#[tokio::test]
async fn a_project_that_does_not_build_shows_the_compilers_error() {
    let folder = TempDir::new().expect("a temporary folder");
    let project = folder.path().join("broken");
    fs::create_dir_all(project.join("src")).expect("it can be made");
    fs::write(
        project.join("Cargo.toml"),
        "[package]\nname = \"broken\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n",
    )
    .expect("it can be written to");
    fs::write(project.join("src/lib.rs"), "fn broken() { let x: u32 = \"no number\"; }\n").expect("it can be written to");
    refused(&project, BUILD, &["mismatched types"]).await;
}

#[tokio::test]
async fn a_project_that_builds_no_component_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let project = folder.path().join("program");
    fs::create_dir_all(project.join("src")).expect("it can be made");
    fs::write(project.join("Cargo.toml"), "[package]\nname = \"program\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n")
        .expect("it can be written to");
    fs::write(project.join("src/lib.rs"), "pub fn nothing() {}\n").expect("it can be written to");
    let (code, said) = Start::path(&project).refused().await;
    assert!([REFUSED, BUILD].contains(&code), "{code}: {said}");
    assert!(said.contains("cdylib") || said.contains("component"), "{said}");
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_to_do() {
    let first = Host::of("echo").await;
    let (code, said) = Start::guest("echo").at(first.address).refused().await;
    assert_eq!(code, UNREACHABLE, "{said}");
    assert!(said.contains(&first.address.to_string()) && said.contains("--listen"), "{said}");
    assert!(!said.contains("\"ready\""), "{said}");
}

#[tokio::test]
async fn two_services_with_the_same_endpoint_are_refused() {
    let one = e2e::settings::service("one", &guest("echo"), "");
    let (code, said) = Start::settings(&(one + &e2e::settings::service("two", &guest("echo"), ""))).arg("--strict").refused().await;
    assert_eq!(code, REFUSED, "{said}");
    assert!(said.contains("test.echo.Echo") && said.contains("one") && said.contains("two"), "{said}");
}
