use std::collections::BTreeSet;
use std::path::Path;

use microhost::schema::Schema;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use wit_parser::Resolve;

use super::package::{Made, make};

fn pool(file: &str) -> (DescriptorPool, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/microhost/generate/wit/testdata").join(file);
    let includes: [&Path; 0] = [];
    let sources = microhost_sdk_build::read(&[path], &includes).expect("the file is valid");
    (DescriptorPool::from_file_descriptor_set(sources.files).expect("the file holds together"), sources.own)
}

fn made(file: &str) -> Made {
    let (pool, own) = pool(file);
    make(&pool, &own)
}

/// The schema of a service of this WIT.
fn schema(wit: &str) -> Schema {
    let types = include_str!("../../../../../../wit/types.wit").replacen(
        "package microhost:service@0.1.0;",
        "package microhost:service@0.1.0 {",
        1,
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", &format!("{wit}\n{types}\n}}")).expect("it is WIT");
    Schema::of(&wit_component::encode(&resolve, package).expect("it can be encoded")).expect("it has a schema")
}

#[test]
fn every_type_becomes_the_wit_that_is_kept() {
    let made = made("zoo.proto");
    let text = made.text.expect("most of it can be said");
    assert_eq!(text, include_str!("testdata/zoo.wit"));
    let schema = schema(&text);
    assert!(schema.refused.is_empty(), "{:?}", schema.refused);
    let names: Vec<&str> = schema.services[0].methods.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(names, ["Everything", "Watch", "Collect", "Talk", "Nothing"]);
}

#[test]
fn what_wit_cannot_say_is_refused_by_name_and_reason() {
    let refused = made("zoo.proto").refused;
    let reasons = [
        ("acme.zoo.Zoo.Climb", "acme.zoo.Tree holds itself"),
        ("acme.zoo.Zoo.Pack", "a message of any type"),
        ("acme.zoo.Zoo.Mind", "no fields"),
        ("acme.zoo.Zoo.Alias", "two names for one number"),
    ];
    assert_eq!(refused.len(), reasons.len(), "{refused:?}");
    for ((method, reason), refused) in reasons.iter().zip(&refused) {
        assert!(refused.starts_with(method) && refused.contains(reason), "{refused}");
    }
}

/// What of a message goes over the wire: numbers and types, whatever the names.
fn wire(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> String {
    if !seen.insert(message.full_name().to_owned()) {
        return "again".to_owned();
    }
    let fields = message.fields().map(|field| {
        let kind = match field.kind() {
            Kind::Message(inner) => format!("{{{}}}", wire(&inner, seen)),
            Kind::Enum(cases) => format!("{:?}", cases.values().map(|value| value.number()).collect::<Vec<_>>()),
            kind => format!("{kind:?}"),
        };
        format!("{} {}{}{kind}", field.number(), if field.is_list() { "list " } else { "" }, if field.is_map() { "map " } else { "" })
    });
    fields.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_file_without_notes_is_the_same_on_the_wire_and_by_name() {
    let made = made("same.proto");
    assert_eq!(made.notes, Vec::<String>::new());
    let schema = schema(&made.text.expect("all of it can be said"));
    let typed = DescriptorPool::from_file_descriptor_set(schema.descriptors()).expect("the descriptors hold together");
    let (written, _) = pool("same.proto");
    for method in written.get_service_by_name("acme.same.Orders").expect("the service").methods() {
        let service = typed.get_service_by_name("acme.same.Orders").expect("it has the same name");
        let other = service.methods().find(|other| other.name() == method.name()).expect("it has the same methods");
        let streams = |method: &prost_reflect::MethodDescriptor| (method.is_client_streaming(), method.is_server_streaming());
        assert_eq!(streams(&method), streams(&other), "{}", method.full_name());
        for (one, other) in [(method.input(), other.input()), (method.output(), other.output())] {
            assert_eq!(wire(&one, &mut BTreeSet::new()), wire(&other, &mut BTreeSet::new()), "{}", one.full_name());
        }
    }
}
