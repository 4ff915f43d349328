//! What a function's error becomes.

use prost_reflect::{DescriptorPool, DynamicMessage};

use super::zoo;
use crate::schema::{Codec, Value};
use crate::status::{Code, Status};

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// The status of an error case of a function of the zoo.
fn fail(function: &str, error: Option<Value>) -> Status {
    let schema = zoo();
    let method = schema.services.iter().flat_map(|service| &service.methods).find(|method| method.function == function);
    let result = Value::Variant(1, error.map(Box::new));
    let status = method.expect("the function is there").encode(Codec::Json, Some(result), 1 << 16).expect_err("the result is an error");
    let pool = DescriptorPool::from_file_descriptor_set(schema.descriptors()).expect("the descriptors hold together");
    for detail in status.details() {
        let message = pool.get_message_by_name(&detail.type_name).expect("the detail is described");
        let message = DynamicMessage::decode(message, &*detail.value).expect("the detail is of its type");
        let debug: serde_json::Value = serde_json::from_str(detail.debug.as_deref().expect("the detail is shown")).expect("it is JSON");
        assert!(debug.is_object(), "{message:?}");
    }
    status
}

fn told(status: &Status) -> (Code, &str, Option<&str>) {
    (status.code(), status.message(), status.details().first().map(|detail| &*detail.type_name))
}

#[test]
fn a_case_named_like_a_code_takes_the_code() {
    let status = fail("echo-nested", Some(Value::Variant(0, Some(Box::new(text("no such bear"))))));
    assert_eq!(told(&status), (Code::NotFound, "no such bear", Some("test.zoo.Problem")));
    assert_eq!(status.details()[0].debug.as_deref(), Some(r#"{"notFound":"no such bear"}"#));
    let status = fail("echo-nested", Some(Value::Variant(1, None)));
    assert_eq!(told(&status), (Code::PermissionDenied, "permission denied", Some("test.zoo.Problem")));
}

#[test]
fn any_other_case_is_unknown_and_speaks_by_its_name_or_its_message() {
    let item = Value::Record(vec![text("fish"), Value::Variant(0, None)]);
    let status = fail("echo-nested", Some(Value::Variant(2, Some(Box::new(item)))));
    assert_eq!(told(&status), (Code::Unknown, "out of stock", Some("test.zoo.Problem")));
    let record = Value::Record(vec![text("three left"), Value::U32(3)]);
    let status = fail("echo-nested", Some(Value::Variant(3, Some(Box::new(record)))));
    assert_eq!(told(&status), (Code::Unknown, "three left", Some("test.zoo.Problem")));
}

#[test]
fn no_error_is_ok_whatever_its_case_is_called() {
    assert_eq!(told(&fail("echo-nested", Some(Value::Variant(4, None)))), (Code::Unknown, "ok", Some("test.zoo.Problem")));
}

#[test]
fn errors_that_are_no_messages_are_told_all_the_same() {
    assert_eq!(told(&fail("fail-text", Some(text("so it is")))), (Code::Unknown, "so it is", None));
    assert_eq!(
        told(&fail("fail-enum", Some(Value::Variant(0, None)))),
        (Code::Unavailable, "unavailable", Some("test.zoo.ZooFailEnumError"))
    );
    assert_eq!(
        told(&fail("fail-number", Some(Value::U32(7)))),
        (Code::Unknown, r#"the service failed with {"value":7}"#, Some("test.zoo.ZooFailNumberError"))
    );
    assert_eq!(told(&fail("fail-silent", None)), (Code::Unknown, "the service failed and gave no reason", None));
}

#[test]
fn a_record_of_code_and_message_is_the_status_itself() {
    assert_eq!(told(&fail("act", Some(Value::Record(vec![Value::Variant(1, None), text("gone")])))), (Code::DataLoss, "gone", None));
    // A code that gRPC does not know would be lost without the detail.
    let status = fail("act", Some(Value::Record(vec![Value::Variant(2, None), text("odd")])));
    assert_eq!(told(&status), (Code::Unknown, "odd", Some("test.zoo.Status")));
}

#[test]
fn a_long_message_is_cut() {
    let status = fail("fail-text", Some(text(&"é".repeat(5000))));
    assert_eq!(status.message().len(), 1024 + '…'.len_utf8());
}
