//! Tests of the schema as a whole: what a WIT package becomes, and what its messages do.

mod bad_input;
mod chaos;
mod component;
mod documents;
mod entry;
mod failures;
mod golden;
mod outward;
mod random;
mod roundtrip;

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

use super::{self as api, Schema};

/// The schema of a WIT text, through the binary form of its package.
fn schema(wit: &str) -> Schema {
    Schema::of(&package(wit)).expect("the text is a package of one world")
}

fn package(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("the text is WIT");
    wit_component::encode(&resolve, package).expect("the package can be encoded")
}

pub(super) fn zoo() -> Schema {
    schema(include_str!("../testdata/zoo.wit"))
}

/// A component that exports and imports what the only world of the WIT says, and does nothing.
pub(super) fn component(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("the text is WIT");
    let world = resolve.select_world(&[package], None).expect("the package has one world");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the world can be embedded");
    ComponentEncoder::default().module(&module).and_then(|mut encoder| encoder.encode()).expect("the module is of its world")
}
