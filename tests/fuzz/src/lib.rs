//! Fuzz targets for everything that reads bytes from outside.
//!
//! `cargo +nightly fuzz run proto --fuzz-dir tests/fuzz` (or `json`, `msgpack`, `cbor`, `bson`,
//! `component`) at the top of the repository. What the targets check is written beside the code,
//! where `cargo test` runs the same on random input.

// The modules themselves instead of the crate: they are of the lowest floors and need nothing above
// them, and without wasmtime a build under a sanitizer takes seconds.
#[path = "../../../host/src/schema/mod.rs"]
pub mod schema;
#[path = "../../../host/src/status.rs"]
pub mod status;

#[path = "../../../host/src/schema/tests/entry.rs"]
pub mod entry;

use std::sync::LazyLock;

use schema::{self as api, Schema};

/// The schema of a package that has every type.
pub static ZOO: LazyLock<Schema> = LazyLock::new(|| {
    let mut resolve = wit_parser::Resolve::default();
    let text = include_str!("../../../host/src/schema/testdata/zoo.wit");
    let package = resolve.push_str("zoo.wit", text).expect("the text is WIT");
    let bytes = wit_component::encode(&resolve, package).expect("the package can be encoded");
    Schema::of(&bytes).expect("the package has one world")
});
