//! What clients are told when their message is wrong.

use super::{schema, zoo};
use crate::schema::{Codec, MAX_VALUES, Method, Schema, Value};
use crate::status::Code;

const SHOP: &str = "
package test:shop;
interface shop {
    enum size { small, very-large }
    variant payment { cash, card(string), split(list<payment-part>) }
    record payment-part { amount: u32, by: string }
    flags extras { gift, fragile }
    record item { name: string, price: u32, size: size, letter: option<char>, hash: option<list<u8, 4>> }
    record order {
        items: list<item>,
        total-cost: s16,
        pay: payment,
        extras: extras,
        notes: map<u8, string>,
        exact: tuple<f32, u64>,
        data: list<u8>,
        active: bool,
        deep: option<option<s8>>,
    }
    place: func(order: order) -> order;
}
world w { export shop; }
";

fn method(schema: Schema, function: &str) -> Method {
    let mut methods = schema.services.into_iter().flat_map(|service| service.methods);
    methods.find(|method| method.function == function).expect("the function is there")
}

fn place() -> Method {
    method(schema(SHOP), "place")
}

fn refused(method: &Method, codec: Codec, body: &[u8]) -> String {
    let status = method.decode(codec, body).expect_err("the message is wrong");
    assert_eq!(status.code(), Code::InvalidArgument);
    status.message().to_string()
}

#[test]
fn an_error_in_json_names_the_path_and_what_was_expected() {
    let method = place();
    let cases = [
        (r#"{"items":[{},{}]}"#, "items[0].size: not set; expected one of SIZE_SMALL, SIZE_VERY_LARGE"),
        (r#"{"items":[{"size":"small","price":"x"}]}"#, r#"items[0].price: expected a number from 0 to 4294967295, got "x""#),
        (r#"{"items":[{"size":"small","price":-1}]}"#, "items[0].price: expected a number from 0 to 4294967295, got -1"),
        (r#"{"items":[{"size":"small","price":1.5}]}"#, "items[0].price: expected a number from 0 to 4294967295, got 1.5"),
        (r#"{"items":[{"size":"big"}]}"#, r#"items[0].size: expected one of SIZE_SMALL, SIZE_VERY_LARGE, got "big""#),
        (r#"{"items":[{"size":0}]}"#, "items[0].size: expected one of SIZE_SMALL, SIZE_VERY_LARGE, got 0"),
        (r#"{"items":[{"size":"small","letter":"ab"}]}"#, r#"items[0].letter: expected one character, got "ab""#),
        (r#"{"items":[{"size":"small","hash":"AAA="}]}"#, "items[0].hash: expected 4 bytes, got 2"),
        (r#"{"items":[null]}"#, "items[0]: expected an object (Item), got null"),
        (r#"{"items":{}}"#, "items: expected a list, got an object"),
        (r#"{"items":[{"nam":"x"}]}"#, "items[0].nam: unknown field; did you mean `name`?"),
        (r#"{"zzz":1}"#, "zzz: unknown field; Order has items, totalCost, pay, extras, notes, exact, data, active, deep"),
        (r#"{"totalCost":1,"total_cost":2}"#, "totalCost: given twice"),
        (r#"{"totalCost":32768}"#, "totalCost: expected a number from -32768 to 32767, got 32768"),
        (r#"{"totalCost":true}"#, "totalCost: expected a number from -32768 to 32767, got true"),
        ("{}", "pay: not set; expected one of cash, card, split"),
        (r#"{"pay":{}}"#, "pay: not set; expected one of cash, card, split"),
        (r#"{"pay":{"cash":null}}"#, "pay: not set; expected one of cash, card, split"),
        (r#"{"pay":{"cash":{},"card":"x"}}"#, "pay: both `cash` and `card` are set; expected one of them"),
        (r#"{"pay":{"cash":1}}"#, "pay.cash: expected {}, got 1"),
        (r#"{"extras":["gift","gone"]}"#, r#"extras[1]: expected one of EXTRAS_GIFT, EXTRAS_FRAGILE, got "gone""#),
        (r#"{"notes":{"300":"x"}}"#, r#"notes["300"]: expected a number from 0 to 255, got "300""#),
        (r#"{"notes":{"1":5}}"#, r#"notes["1"]: expected a string, got 5"#),
        (r#"{"notes":{"1":"a","1":"b"}}"#, r#"notes["1"]: given twice"#),
        (r#"{"exact":{"f0":1e60}}"#, "exact.f0: expected a number within the range of the type, got 1e60"),
        (r#"{"exact":{"f0":"inf"}}"#, r#"exact.f0: expected a number, "NaN", "Infinity" or "-Infinity", got "inf""#),
        (r#"{"data":"%"}"#, "data: expected base64: Invalid symbol 37, offset 0."),
        (r#"{"active":"true"}"#, r#"active: expected true or false, got "true""#),
        (r#"{"deep":{"value":200}}"#, "deep.value: expected a number from -128 to 127, got 200"),
        (r#"{"deep":5}"#, "deep: expected an object (OptionS8), got 5"),
        ("[]", "expected an object (Order), got a list"),
        ("", "the text is no JSON at byte 0: expected an object (Order), got the end of the text"),
        ("{\"active\"", "the text is no JSON at byte 9: expected `:`, got the end of the text"),
        ("{\"active\":true,}", "the text is no JSON at byte 15: expected a field's name in quotes, got \"}\""),
        (r#"{"active":tru}"#, "active: the text is no JSON at byte 10: expected a value, got \"t\""),
        (
            r#"{"pay":{"card":"\ud800"}}"#,
            "pay.card: the text is no JSON at byte 22: expected both halves of a surrogate pair, got \"\\\"\"",
        ),
    ];
    for (body, message) in cases {
        assert_eq!(refused(&method, Codec::Json, body.as_bytes()), message, "{body}");
    }
    assert!(refused(&method, Codec::Json, b"{\"data\":\"\xff\"}").starts_with("the text is not UTF-8"));
    assert_eq!(
        refused(&method, Codec::Json, br#"{"pay":{"cash":{}}} x"#),
        "the text is no JSON at byte 20: expected the end of the text, got \"x\""
    );
}

#[test]
fn an_error_in_protobuf_names_the_path_and_what_was_expected() {
    let method = place();
    let cases: [(&[u8], &str); 8] = [
        (&[0x0a, 0x02, 0x18, 0x07], "items[0].size: expected one of SIZE_SMALL, SIZE_VERY_LARGE, got number 7"),
        (&[0x10, 0x80, 0x80, 0x02], "total_cost: expected a number from -32768 to 32767, got 32768"),
        (&[0x1a, 0x03, 0x12, 0x01, 0xff], "pay.card: expected UTF-8: invalid utf-8 sequence of 1 bytes from index 0"),
        (&[], "pay: not set; expected one of cash, card, split"),
        (&[0x12, 0x00], "total_cost: expected the wire type Varint, got LengthDelimited; is the client's schema another one?"),
        (&[0x0a, 0x7f], "items: the message is no protobuf: it ends within this field, or the field is broken"),
        (&[0x00], "the message is no protobuf: a field's key is broken"),
        (&[0xa3, 0x06], "the message is no protobuf: the unknown field 100 is broken"),
    ];
    for (body, message) in cases {
        assert_eq!(refused(&method, Codec::Proto, body), message, "{body:?}");
    }
}

#[test]
fn unknown_groups_are_skipped_and_may_not_nest_without_end() {
    let method = place();
    let cash: &[u8] = &[0x1a, 0x02, 0x0a, 0x00];
    let nested = |depth: usize| [[0xa3, 0x06].repeat(depth), [0xa4, 0x06].repeat(depth), cash.to_vec()].concat();
    assert!(method.decode(Codec::Proto, &nested(10)).is_ok());
    assert_eq!(refused(&method, Codec::Proto, &nested(100_000)), "the message is no protobuf: the unknown field 100 is broken");
}

#[test]
fn a_message_of_too_many_values_is_refused_in_every_codec() {
    let method = method(zoo(), "count");
    let count = |values: Vec<Value>| match values.as_slice() {
        [Value::List(words)] => words.len(),
        other => panic!("one list is expected, not {other:?}"),
    };
    let proto = |words: usize| [0x0a, 0x00].repeat(words);
    let json = |words: usize| format!("{{\"words\":[{}]}}", vec!["\"\""; words].join(",")).into_bytes();
    let msgpack = |words: usize| [b"\x81\xa5words\xdd".as_slice(), &(words as u32).to_be_bytes(), &vec![0xa0; words]].concat();
    let cbor = |words: usize| [b"\xbf\x65words\x9f".as_slice(), &vec![0x60; words], b"\xff\xff"].concat();
    let bson = |words: usize| {
        let element = b"\x02\0\x01\0\0\0\0";
        let array = element.len() * words + 5;
        let sizes = [array + 12, array].map(|size| (size as u32).to_le_bytes());
        [&sizes[0], b"\x04words\0".as_slice(), &sizes[1], &element.repeat(words), b"\0\0"].concat()
    };
    let most = MAX_VALUES - 2;
    let bodies = |words| {
        let documents = [(Codec::Msgpack, msgpack(words)), (Codec::Cbor, cbor(words)), (Codec::Bson, bson(words))];
        [(Codec::Proto, proto(words)), (Codec::Json, json(words))].into_iter().chain(documents)
    };
    for (codec, body) in bodies(most) {
        assert_eq!(method.decode(codec, &body).map(count).map_err(|status| status.to_string()), Ok(most), "{codec:?}");
    }
    for (codec, body) in bodies(MAX_VALUES) {
        let status = method.decode(codec, &body).expect_err("the message is too large");
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().ends_with("the message holds more than 1048576 values"), "{status}");
    }
}

#[test]
fn defaults_that_grow_beyond_the_bound_are_refused() {
    // Two bytes for each element, which stands for a thousand values that are not there.
    let fields: Vec<String> = (0..1000).map(|index| format!("n{index}: u32")).collect();
    let wit = format!(
        "package test:wide;\ninterface api {{ record wide {{ {} }}\necho: func(wides: list<wide>); }}\nworld w {{ export api; }}",
        fields.join(", ")
    );
    let method = method(schema(&wit), "echo");
    assert!(method.decode(Codec::Proto, &[0x0a, 0x00].repeat(1000)).is_ok());
    let status = method.decode(Codec::Proto, &[0x0a, 0x00].repeat(1100)).expect_err("the message is too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[test]
fn json_is_taken_in_every_form_that_proto3_allows() {
    let method = place();
    let body = br#" { "total_cost" : "1e2", "pay":{"card":"\u0041\ud83e\udd80\n"}, "exact":{"f0":"-Infinity","f1":1.0},
        "data":"_-8", "extras":["fragile",1], "notes":{"7":"x"}, "deep":{}, "items":null, "active":null } "#;
    let values = method.decode(Codec::Json, body).expect("the message is right");
    let expected = Value::Record(vec![
        Value::List(vec![]),
        Value::S16(100),
        Value::Variant(1, Some(Box::new(Value::String("A🦀\n".into())))),
        Value::Flags(vec![3]),
        Value::Map(vec![(Value::U8(7), Value::String("x".into()))]),
        Value::Record(vec![Value::F32(f32::NEG_INFINITY), Value::U64(1)]),
        Value::Bytes(vec![0xff, 0xef]),
        Value::Bool(false),
        Value::Variant(1, Some(Box::new(Value::Variant(0, None)))),
    ]);
    assert_eq!(values, [expected]);
}

#[test]
fn json_is_written_whole_with_defaults_and_quoted_long_integers() {
    let method = place();
    let order = method.decode(Codec::Json, br#"{"pay":{"cash":{}},"items":[{"size":"very-large"}]}"#).expect("the message is right");
    let bytes = method.encode(Codec::Json, order.into_iter().next(), 1 << 16).expect("the order fits");
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        r#"{"items":[{"name":"","price":0,"size":"SIZE_VERY_LARGE"}],"totalCost":0,"pay":{"cash":{}},"extras":[],"notes":{},"exact":{"f0":0.0,"f1":"0"},"data":"","active":false}"#
    );
}

#[test]
fn packed_and_unpacked_lists_are_both_read() {
    let wit = "package test:p; interface api { sum: func(n: list<u32>); } world w { export api; }";
    let method = method(schema(wit), "sum");
    let expected = vec![Value::List(vec![Value::U32(1), Value::U32(300), Value::U32(2)])];
    assert_eq!(method.decode(Codec::Proto, &[0x0a, 0x03, 0x01, 0xac, 0x02, 0x08, 0x02]).expect("both forms are right"), expected);
}

#[test]
fn a_reply_over_its_limit_is_resource_exhausted() {
    let method = method(zoo(), "echo-scalars");
    let body = method.decode(Codec::Json, format!(r#"{{"aChar":"x","aString":"{}"}}"#, "y".repeat(100)).as_bytes());
    let value = body.expect("the message is right").remove(0);
    for codec in Codec::ALL {
        let status = method.encode(codec, Some(value.clone()), 100).expect_err("the reply is too large");
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "the reply is over 100 bytes; ask for less of it, or raise the limit")
        );
        assert!(method.encode(codec, Some(value.clone()), 1000).is_ok());
    }
}

#[test]
fn a_result_of_another_type_is_internal_and_tells_the_caller_nothing() {
    let method = method(zoo(), "count");
    let status = method.encode(Codec::Json, Some(Value::Bool(true)), 100).expect_err("a bool is no u32");
    assert_eq!((status.code(), status.message()), (Code::Internal, "the service returned what its schema does not hold"));
}
