//! What a caller writes, its callee reads, and the other way round.

use super::schema;
use crate::schema::{Codec, Method, Schema, Service, Value};
use crate::status::{Code, Status};

const INTERFACE: &str = "
    record item { id: string, count: u32 }
    variant fault { not-found, other(string), broken(item) }
    take: async func(item: item, count: u32) -> result<item, fault>;
    one: async func(item: item) -> u32;
    nothing: async func();
    told: async func(id: string) -> result<_, string>;
    quoted: async func() -> result<list<item>, u32>;
    watch: async func(item: item) -> stream<item>;
    sum: async func(items: stream<item>) -> u32;
    both: async func(items: stream<u8>) -> result<tuple<stream<item>, future<result<_, fault>>>, u32>;
";

/// The callee's and the caller's methods of one interface.
fn both() -> (Schema, Schema) {
    let offered = schema(&format!("package shop:stock@1.2.0;\ninterface stock {{ {INTERFACE} }}\nworld w {{ export stock; }}"));
    let needed = schema(&format!(
        "package shop:orders@1.0.0;\nworld w {{ import shop:stock/stock@1.2.0; }}\npackage shop:stock@1.2.0 {{ interface stock {{ {INTERFACE} }} }}"
    ));
    (offered, needed)
}

fn named<'s>(services: &'s [Service], function: &str) -> &'s Method {
    services[0].methods.iter().find(|method| method.function == function).expect("there is one of this name")
}

const LIMIT: usize = 1000;

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn item() -> Value {
    Value::Record(vec![text("a"), Value::U32(3)])
}

fn case(case: u32, payload: Option<Value>) -> Value {
    Value::Variant(case, payload.map(Box::new))
}

#[test]
fn arguments_and_results_arrive_as_they_were() {
    let (offered, needed) = both();
    let nothing = || Value::Record(Vec::new());
    for (function, arguments, result) in [
        ("take", vec![item(), Value::U32(7)], case(0, Some(item()))),
        ("one", vec![item()], Value::U32(0)),
        ("nothing", vec![], nothing()),
        ("told", vec![text("")], case(0, None)),
        ("quoted", vec![], case(0, Some(Value::List(vec![item(), item()])))),
    ] {
        let (callee, caller) = (named(&offered.services, function), named(&needed.needs, function));
        let request = caller.write_request(Value::Record(arguments.clone()), LIMIT).expect(function);
        assert_eq!(callee.decode(Codec::Proto, &request).expect(function), arguments);
        let returned = (result != nothing()).then(|| result.clone());
        let reply = callee.encode(Codec::Proto, returned, LIMIT).expect(function);
        assert_eq!(caller.read_reply(&reply).expect(function), result);
    }
}

#[test]
fn a_functions_own_error_arrives_as_it_was() {
    let (offered, needed) = both();
    for (function, result) in [
        ("take", case(1, Some(case(0, None)))),
        ("take", case(1, Some(case(1, Some(text("why")))))),
        ("take", case(1, Some(case(2, Some(item()))))),
        ("quoted", case(1, Some(Value::U32(9)))),
    ] {
        let (callee, caller) = (named(&offered.services, function), named(&needed.needs, function));
        let status = callee.encode(Codec::Proto, Some(result.clone()), LIMIT).expect_err(function);
        assert_eq!(caller.read_failure(&status), Some(result));
    }
    // All that a string says is the status itself.
    let (callee, caller) = (named(&offered.services, "told"), named(&needed.needs, "told"));
    let failed = case(1, Some(text("why")));
    let status = callee.encode(Codec::Proto, Some(failed.clone()), LIMIT).expect_err("it fails");
    assert_eq!((caller.read_failure(&status), caller.failing(&status)), (None, Some(failed)));
    // A failure that is not the function's own.
    let status = Status::new(Code::Unavailable, "gone");
    assert_eq!(named(&needed.needs, "take").read_failure(&status), None);
}

#[test]
fn elements_and_the_end_of_a_stream_arrive_as_they_were() {
    let (offered, needed) = both();
    let (callee, caller) = (named(&offered.services, "watch"), named(&needed.needs, "watch"));
    let request = caller.write_request(Value::Record(vec![item()]), LIMIT).expect("the arguments");
    assert_eq!(callee.decode(Codec::Proto, &request).expect("the arguments"), [item()]);
    let reply = callee.encode_item(Codec::Proto, item(), LIMIT).expect("an element");
    assert_eq!(caller.read_reply(&reply).expect("an element"), item());

    let (callee, caller) = (named(&offered.services, "sum"), named(&needed.needs, "sum"));
    let request = caller.write_request(item(), LIMIT).expect("an element");
    assert_eq!(callee.decode_item(Codec::Proto, &request).expect("an element"), item());

    let (callee, caller) = (named(&offered.services, "both"), named(&needed.needs, "both"));
    let request = caller.write_request(Value::Bytes(vec![1, 2]), LIMIT).expect("a chunk");
    assert_eq!(callee.decode_item(Codec::Proto, &request).expect("a chunk"), Value::Bytes(vec![1, 2]));
    let reply = callee.encode_item(Codec::Proto, item(), LIMIT).expect("an element");
    assert_eq!(caller.read_reply(&reply).expect("an element"), item());
    let ending = case(1, Some(case(2, Some(item()))));
    let status = callee.ended(ending.clone(), LIMIT).expect_err("a failure");
    assert_eq!((caller.read_ending(&status), caller.read_failure(&status)), (Some(ending), None));
}

#[test]
fn what_is_no_reply_is_told_with_the_message_and_the_field() {
    let (_, needed) = both();
    let status = named(&needed.needs, "take").read_reply(&[0x0a, 1, 0xff]).expect_err("no UTF-8");
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("shop.stock.") && status.message().contains("id"), "{}", status.message());
    let status = named(&needed.needs, "one").write_request(Value::Record(vec![item()]), 2).expect_err("too long");
    assert_eq!(status.code(), Code::ResourceExhausted);
}
