use bytes::Bytes;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

use super::sections::Sections;
use super::{Handled, HandledMethod};
use crate::schema::{Codec, MethodKind, Schema};
use crate::status::Code;

const LIMIT: usize = 1 << 16;

fn field(name: &str, number: i32, kind: Type, label: Label, message: Option<&str>) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(kind.into()),
        type_name: message.map(str::to_owned),
        ..Default::default()
    }
}

/// A file with the message `Order` of some items, and the service `Orders`.
fn file() -> FileDescriptorProto {
    let item = DescriptorProto {
        name: Some("Item".into()),
        field: vec![field("unit_price", 1, Type::Int64, Label::Optional, None), field("count", 2, Type::Int32, Label::Optional, None)],
        ..Default::default()
    };
    let order = DescriptorProto {
        name: Some("Order".into()),
        field: vec![
            field("items", 1, Type::Message, Label::Repeated, Some(".shop.v1.Item")),
            field("note", 2, Type::String, Label::Optional, None),
        ],
        ..Default::default()
    };
    let method = |name: &str, client: bool, server: bool| MethodDescriptorProto {
        name: Some(name.into()),
        input_type: Some(".shop.v1.Order".into()),
        output_type: Some(".shop.v1.Order".into()),
        client_streaming: Some(client),
        server_streaming: Some(server),
        ..Default::default()
    };
    let service = |name: &str| ServiceDescriptorProto {
        name: Some(name.into()),
        method: vec![
            method("Place", false, false),
            method("Watch", false, true),
            method("Settle", true, false),
            method("Reconcile", true, true),
        ],
        ..Default::default()
    };
    FileDescriptorProto {
        name: Some("shop/v1/orders.proto".into()),
        package: Some("shop.v1".into()),
        message_type: vec![item, order],
        service: vec![service("Orders"), service("Returns")],
        syntax: Some("proto3".into()),
        ..Default::default()
    }
}

/// A component that exports the handler, with these sections behind it.
fn component(descriptors: &[u8], services: &str) -> Vec<u8> {
    let wit = "package test:gate; world w { export microhost:service/handler@0.1.0; export typed; }
        interface typed { ping: func(); }
        package microhost:service@0.1.0 { interface handler { call: func(message: list<u8>) -> list<u8>; } }";
    let mut component = crate::schema::tests::component(wit);
    Sections::new(descriptors, services.as_bytes()).append(&mut component);
    component
}

fn schema(descriptors: &[u8], services: &str) -> Schema {
    Schema::of(&component(descriptors, services)).expect("a component with a schema")
}

fn handled(schema: &Schema) -> &Handled {
    schema.handled.as_ref().expect("the component exports the handler")
}

fn set() -> Vec<u8> {
    FileDescriptorSet { file: vec![file()] }.encode_to_vec()
}

fn names(schema: &Schema) -> Vec<&str> {
    handled(schema).services.iter().map(|service| service.name.as_str()).collect()
}

fn with_method(test: impl FnOnce(&HandledMethod)) {
    let schema = schema(&set(), "shop.v1.Orders");
    test(&handled(&schema).services[0].methods[0]);
}

#[test]
fn the_services_that_a_component_names_are_served_with_their_methods_kinds() {
    let schema = schema(&set(), "shop.v1.Orders\n");
    assert_eq!(names(&schema), ["shop.v1.Orders"]);
    let methods: Vec<_> = handled(&schema).services[0].methods.iter().map(|method| (method.name.as_str(), method.kind)).collect();
    let kinds = [MethodKind::Unary, MethodKind::ServerStream, MethodKind::ClientStream, MethodKind::BidiStream];
    assert_eq!(methods, ["Place", "Watch", "Settle", "Reconcile"].into_iter().zip(kinds).collect::<Vec<_>>());
    assert_eq!(handled(&schema).interface, "microhost:service/handler@0.1.0");
    assert_eq!(schema.services.len(), 1, "the typed interface is served beside it");
}

#[test]
fn without_names_all_services_of_the_descriptors_are_served() {
    assert_eq!(names(&schema(&set(), "")), ["shop.v1.Orders", "shop.v1.Returns"]);
}

#[test]
fn without_descriptors_a_handler_takes_anything() {
    let schema = schema(b"", "");
    assert!(handled(&schema).takes_anything());
    assert!(crate::schema::tests::zoo().handled.is_none());
}

#[test]
fn what_is_kept_of_a_component_keeps_its_descriptors() {
    let component = schema(&set(), "shop.v1.Returns");
    let kept = Schema::of(component.package()).expect("what was kept is a package");
    assert_eq!(names(&kept), ["shop.v1.Returns"]);
    assert_eq!(kept.package(), component.package(), "keeping it again changes nothing");
    assert_eq!(kept.descriptors(), component.descriptors());
    assert!(kept.descriptors().file.iter().any(|file| file.name() == "shop/v1/orders.proto"));
}

#[test]
fn sections_of_one_name_are_joined() {
    let half = |service: usize| {
        let mut part = file();
        part.service = vec![part.service[service].clone()];
        if service == 1 {
            part.name = Some("shop/v1/returns.proto".into());
            part.message_type.clear();
            part.dependency = vec!["shop/v1/orders.proto".into()];
        }
        FileDescriptorSet { file: vec![part] }.encode_to_vec()
    };
    let mut component = component(&half(0), "shop.v1.Orders\n");
    Sections::new(&half(1), b"shop.v1.Returns\n").append(&mut component);
    assert_eq!(names(&Schema::of(&component).expect("a schema")), ["shop.v1.Orders", "shop.v1.Returns"]);
}

#[test]
fn wrong_descriptors_are_refused_with_the_reason() {
    let error = |descriptors: &[u8], services: &str| Schema::of(&component(descriptors, services)).expect_err("it is wrong").to_string();
    assert!(error(b"\xff\xff", "").contains("cannot be used"));
    assert!(error(&set(), "shop.v1.Other").contains("\"shop.v1.Other\""));
    assert!(error(b"", "shop.v1.Orders").contains("no section"));
    let mut file = file();
    file.message_type.remove(0);
    let missing = error(&FileDescriptorSet { file: vec![file] }.encode_to_vec(), "");
    assert!(missing.contains("shop.v1.Item"), "{missing}");
}

#[test]
fn protobuf_passes_through_unread() {
    with_method(|method| {
        let bytes = Bytes::from_static(b"\xff not a message");
        assert_eq!(method.request(Codec::Proto, bytes.clone(), LIMIT).expect("as it came").as_ptr(), bytes.as_ptr());
        assert_eq!(method.reply(Codec::Proto, bytes.clone(), LIMIT).expect("as it came").as_ptr(), bytes.as_ptr());
        assert_eq!(method.reply(Codec::Proto, bytes, 3).expect_err("too long").code(), Code::ResourceExhausted);
    });
}

#[test]
fn json_becomes_protobuf_and_back() {
    with_method(|method| {
        let json = Bytes::from_static(br#"{"items":[{"unitPrice":"7","count":2},{"unit_price":1}],"newer":true}"#);
        let proto = method.request(Codec::Json, json, LIMIT).expect("an order");
        assert_eq!(proto.as_ref(), b"\x0a\x04\x08\x07\x10\x02\x0a\x02\x08\x01");
        let json = method.reply(Codec::Json, proto, LIMIT).expect("an order");
        assert_eq!(json, r#"{"items":[{"unitPrice":"7","count":2},{"unitPrice":"1","count":0}],"note":""}"#);
    });
}

#[test]
fn a_wrong_field_is_named_by_its_path() {
    with_method(|method| {
        let refused = |json: &'static str| method.request(Codec::Json, Bytes::from_static(json.as_bytes()), LIMIT).expect_err("wrong");
        let status = refused(r#"{"items":[{},{"count":"many"}]}"#);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("items[1].count: "), "{status}");
        for json in ["", "{", "[]", "{} {}"] {
            assert_eq!(refused(json).code(), Code::InvalidArgument, "{json}");
        }
    });
}

#[test]
fn a_reply_that_is_no_message_is_the_guests_fault_and_one_too_long_is_told_so() {
    with_method(|method| {
        assert_eq!(method.reply(Codec::Json, Bytes::from_static(b"\xff"), LIMIT).expect_err("no message").code(), Code::Internal);
        let long = Bytes::from([b"\x12\x40".as_slice(), &[b'x'; 64]].concat());
        assert_eq!(method.reply(Codec::Json, long.clone(), 64).expect_err("too long").code(), Code::ResourceExhausted);
        method.reply(Codec::Json, long, LIMIT).expect("not too long");
    });
}

#[test]
fn a_message_of_too_many_values_is_refused_before_they_are_made() {
    with_method(|method| {
        let json = format!("{{\"items\":[{}{{}}]}}", "{},".repeat(super::super::MAX_VALUES));
        assert_eq!(method.request(Codec::Json, json.into(), LIMIT).expect_err("too many").code(), Code::ResourceExhausted);
    });
}
