//! The whole outcome for a package of every type, kept in files to be read in review.
//!
//! `UPDATE_GOLDEN=1 cargo test -p microhost --lib schema` writes them anew.

use std::path::Path;

use prost_reflect::DescriptorPool;

use super::zoo;

/// Compares with a file of `testdata`.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema/testdata").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("testdata can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} is another one now; if that is meant, run again with UPDATE_GOLDEN=1 and review the difference:\n{text}");
}

#[test]
fn every_type_becomes_the_proto_file_that_is_kept() {
    let files: String = zoo().proto().into_iter().map(|(name, text)| format!("// file: {name}\n{text}")).collect();
    golden("zoo.proto", &files);
}

#[test]
fn every_type_becomes_the_openapi_document_that_is_kept() {
    let document = serde_json::to_string_pretty(&zoo().openapi("zoo")).expect("a document is JSON");
    golden("zoo.openapi.json", &format!("{document}\n"));
}

#[test]
fn descriptors_are_whole_for_another_implementation() {
    let schema = zoo();
    let pool = DescriptorPool::from_file_descriptor_set(schema.descriptors()).expect("the descriptors hold together");
    for service in &schema.services {
        let described = pool.get_service_by_name(&service.name).expect("each service is described");
        for (method, other) in service.methods.iter().zip(described.methods()) {
            assert_eq!(other.name(), method.name);
            assert_eq!(other.input().full_name(), method.input());
            assert_eq!(other.output().full_name(), method.output());
        }
    }
}

#[test]
fn what_cannot_be_carried_is_refused_with_its_name_and_the_rest_is_served() {
    let schema = zoo();
    let refused: Vec<String> = schema.refused.iter().map(|refused| format!("{}: {}", refused.function, refused.why)).collect();
    golden("zoo.refused.txt", &format!("{}\n", refused.join("\n")));
    assert_eq!(
        schema.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        ["test.zoo.Zoo", "test.zoo.Other", "test.zoo.Statuses"]
    );
}
