//! Tests of the schema as a whole: what a WIT package becomes, and what its messages do.

mod bad_input;
mod component;
mod failures;
mod golden;
mod random;
mod roundtrip;

use super::Schema;

/// The schema of a WIT text, through the binary form of its package.
fn schema(wit: &str) -> Schema {
    Schema::of(&package(wit)).expect("the text is a package of one world")
}

fn package(wit: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("the text is WIT");
    wit_component::encode(&resolve, package).expect("the package can be encoded")
}

fn zoo() -> Schema {
    schema(include_str!("../testdata/zoo.wit"))
}
