//! MessagePack, CBOR and BSON byte by byte: what is written, what is read, and what callers are told.

use super::random::{self, Random};
use super::{schema, zoo};
use crate::schema::{Codec, Method, Value};
use crate::status::Code;

/// The formats of bytes in which fields go by names.
const BINARY: [Codec; 3] = [Codec::Msgpack, Codec::Cbor, Codec::Bson];

/// A number or a length, and the bytes that begin with it in MessagePack and in CBOR.
type Row<N> = (N, &'static [u8], &'static [u8]);

const SHOP: &str = "
package test:shop;
interface shop {
    enum size { small, very-large }
    variant payment { cash, card(string) }
    flags extras { gift, fragile }
    record order {
        id: u64,
        unit-price: s16,
        weight: f32,
        size: size,
        pay: payment,
        extras: extras,
        notes: map<u8, bool>,
        data: list<u8>,
        note: option<string>,
    }
    place: func(order: order) -> order;
}
world w { export shop; }
";

fn place() -> Method {
    method(schema(SHOP), "place")
}

fn method(schema: crate::schema::Schema, function: &str) -> Method {
    let mut methods = schema.services.into_iter().flat_map(|service| service.methods);
    methods.find(|method| method.function == function).expect("the function is there")
}

fn order() -> Value {
    Value::Record(vec![
        Value::U64(u64::MAX),
        Value::S16(-300),
        Value::F32(1.5),
        Value::Variant(1, None),
        Value::Variant(0, None),
        Value::Flags(vec![2]),
        Value::Map(vec![(Value::U8(7), Value::Bool(true))]),
        Value::Bytes(vec![0, 255]),
        Value::Variant(0, None),
    ])
}

/// A method that takes and returns a record of one field.
fn echo(ty: &str) -> Method {
    method(schema(&format!("package t:t; interface api {{ record r {{ v: {ty} }} f: func(r: r) -> r; }} world w {{ export api; }}")), "f")
}

fn written(ty: &str, codec: Codec, value: Value) -> Vec<u8> {
    echo(ty).encode(codec, Some(Value::Record(vec![value])), 1 << 20).expect("the value is of its type").to_vec()
}

/// What comes of a body whose one field has these bytes.
fn read(ty: &str, codec: Codec, value: &[u8]) -> Result<Value, String> {
    let body = match codec {
        Codec::Msgpack => [b"\x81\xa1v", value].concat(),
        Codec::Cbor => [b"\xa1\x61v", value].concat(),
        _ => {
            let (kind, value) = value.split_first().expect("a value of BSON has a type");
            let length = (value.len() + 8) as u32;
            [&length.to_le_bytes(), &[*kind][..], b"v\0", value, b"\0"].concat()
        }
    };
    match echo(ty).decode(codec, &body) {
        Ok(mut values) => match values.pop() {
            Some(Value::Record(mut fields)) => Ok(fields.pop().expect("the record has a field")),
            other => panic!("a record is expected, not {other:?}"),
        },
        Err(status) => {
            assert!(matches!(status.code(), Code::InvalidArgument), "{status}");
            Err(status.message().to_string())
        }
    }
}

#[test]
fn each_format_is_written_in_its_own_types() {
    let write = |codec| place().encode(codec, Some(order()), 1 << 10).expect("the order fits").to_vec();
    let msgpack: [&[u8]; 8] = [
        b"\x88\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa9unitPrice\xd1\xfe\xd4",
        b"\xa6weight\xca\x3f\xc0\0\0",
        b"\xa4size\xafSIZE_VERY_LARGE",
        b"\xa3pay\x81\xa4cash\x80",
        b"\xa6extras\x91\xaeEXTRAS_FRAGILE",
        b"\xa5notes\x81\x07\xc3",
        b"\xa4data\xc4\x02\0\xff",
    ];
    assert_eq!(write(Codec::Msgpack), msgpack.concat());
    let cbor: [&[u8]; 8] = [
        b"\xa8\x62id\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x69unitPrice\x39\x01\x2b",
        b"\x66weight\xf9\x3e\0",
        b"\x64size\x6fSIZE_VERY_LARGE",
        b"\x63pay\xa1\x64cash\xa0",
        b"\x66extras\x81\x6eEXTRAS_FRAGILE",
        b"\x65notes\xa1\x07\xf5",
        b"\x64data\x42\0\xff",
    ];
    assert_eq!(write(Codec::Cbor), cbor.concat());
    let bson: [&[u8]; 10] = [
        b"\xb0\0\0\0",
        b"\x02id\0\x15\0\0\x0018446744073709551615\0",
        b"\x10unitPrice\0\xd4\xfe\xff\xff",
        b"\x01weight\0\0\0\0\0\0\0\xf8\x3f",
        b"\x02size\0\x10\0\0\0SIZE_VERY_LARGE\0",
        b"\x03pay\0\x10\0\0\0\x03cash\0\x05\0\0\0\0\0",
        b"\x04extras\0\x1b\0\0\0\x020\0\x0f\0\0\0EXTRAS_FRAGILE\0\0",
        b"\x03notes\0\x09\0\0\0\x087\0\x01\0",
        b"\x05data\0\x02\0\0\0\0\0\xff",
        b"\0",
    ];
    assert_eq!(write(Codec::Bson), bson.concat());
    for codec in BINARY {
        assert_eq!(place().decode(codec, &write(codec)).expect("it is right"), [order()], "{codec:?}");
    }
}

#[test]
fn numbers_and_lengths_are_written_in_their_shortest_form() {
    let rows: [Row<i64>; 14] = [
        (0, b"\0", b"\0"),
        (23, b"\x17", b"\x17"),
        (24, b"\x18", b"\x18\x18"),
        (127, b"\x7f", b"\x18\x7f"),
        (128, b"\xcc\x80", b"\x18\x80"),
        (0x100, b"\xcd\x01\0", b"\x19\x01\0"),
        (0x1_0000, b"\xce\0\x01\0\0", b"\x1a\0\x01\0\0"),
        (0x1_0000_0000, b"\xcf\0\0\0\x01\0\0\0\0", b"\x1b\0\0\0\x01\0\0\0\0"),
        (-1, b"\xff", b"\x20"),
        (-32, b"\xe0", b"\x38\x1f"),
        (-33, b"\xd0\xdf", b"\x38\x20"),
        (-129, b"\xd1\xff\x7f", b"\x38\x80"),
        (-0x8001, b"\xd2\xff\xff\x7f\xff", b"\x39\x80\0"),
        (i64::MIN, b"\xd3\x80\0\0\0\0\0\0\0", b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ];
    for (number, msgpack, cbor) in rows {
        assert_eq!(written("s64", Codec::Msgpack, Value::S64(number))[3..], *msgpack, "{number}");
        assert_eq!(written("s64", Codec::Cbor, Value::S64(number))[3..], *cbor, "{number}");
    }
    let strings: [Row<usize>; 5] = [
        (15, b"\xaf", b"\x6f"),
        (31, b"\xbf", b"\x78\x1f"),
        (32, b"\xd9\x20", b"\x78\x20"),
        (256, b"\xda\x01\0", b"\x79\x01\0"),
        (65_536, b"\xdb\0\x01\0\0", b"\x7a\0\x01\0\0"),
    ];
    let bytes: [Row<usize>; 3] =
        [(15, b"\xc4\x0f", b"\x4f"), (256, b"\xc5\x01\0", b"\x59\x01\0"), (65_536, b"\xc6\0\x01\0\0", b"\x5a\0\x01\0\0")];
    let lists: [Row<usize>; 3] = [(15, b"\x9f", b"\x8f"), (16, b"\xdc\0\x10", b"\x90"), (65_536, b"\xdd\0\x01\0\0", b"\x9a\0\x01\0\0")];
    let begins = |ty: &str, value: Value, (_, msgpack, cbor): Row<usize>| {
        assert!(written(ty, Codec::Msgpack, value.clone())[3..].starts_with(msgpack), "{ty} {msgpack:02x?}");
        assert!(written(ty, Codec::Cbor, value)[3..].starts_with(cbor), "{ty} {cbor:02x?}");
    };
    for row in strings {
        begins("string", Value::String("x".repeat(row.0)), row);
    }
    for row in bytes {
        begins("list<u8>", Value::Bytes(vec![0; row.0]), row);
    }
    for row in lists {
        begins("list<bool>", Value::List(vec![Value::Bool(true); row.0]), row);
    }
}

#[test]
fn floats_of_cbor_are_as_short_as_they_are_exact() {
    let rows: [(f64, &[u8]); 8] = [
        (0.0, b"\xf9\0\0"),
        (-0.0, b"\xf9\x80\0"),
        (1.5, b"\xf9\x3e\0"),
        (65504.0, b"\xf9\x7b\xff"),
        (100000.0, b"\xfa\x47\xc3\x50\0"),
        (1.1, b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"),
        (f64::NAN, b"\xf9\x7e\0"),
        (f64::NEG_INFINITY, b"\xf9\xfc\0"),
    ];
    for (number, bytes) in rows {
        assert_eq!(written("f64", Codec::Cbor, Value::F64(number))[3..], *bytes, "{number}");
    }
}

#[test]
fn a_value_is_read_in_every_form_that_its_format_has() {
    use Codec::{Bson, Cbor, Msgpack};
    let text = |text: &str| Value::String(text.into());
    let three = || Value::List(vec![Value::U32(1), Value::U32(2), Value::U32(3)]);
    let rows: Vec<(&str, Codec, &[u8], Value)> = vec![
        // Integers of every width, as floats and as text.
        ("u8", Msgpack, b"\xcf\0\0\0\0\0\0\0\x05", Value::U8(5)),
        ("u8", Msgpack, b"\xd3\0\0\0\0\0\0\0\x05", Value::U8(5)),
        ("s8", Msgpack, b"\xd2\xff\xff\xff\xff", Value::S8(-1)),
        ("s8", Msgpack, b"\xcb\xbf\xf0\0\0\0\0\0\0", Value::S8(-1)),
        ("u64", Msgpack, b"\xa15", Value::U64(5)),
        ("u64", Cbor, b"\x1b\0\0\0\0\0\0\0\x05", Value::U64(5)),
        ("u64", Cbor, b"\xf9\x3c\0", Value::U64(1)),
        ("s64", Cbor, b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", Value::S64(i64::MIN)),
        ("u64", Bson, b"\x10\x05\0\0\0", Value::U64(5)),
        ("u64", Bson, b"\x12\x05\0\0\0\0\0\0\0", Value::U64(5)),
        ("u64", Bson, b"\x02\x15\0\0\x0018446744073709551615\0", Value::U64(u64::MAX)),
        ("u8", Bson, b"\x01\0\0\0\0\0\0\xf0\x3f", Value::U8(1)),
        // Floats of every width, as integers and by name.
        ("f64", Msgpack, b"\xca\x3f\xc0\0\0", Value::F64(1.5)),
        ("f32", Msgpack, b"\xcb\x3f\xf8\0\0\0\0\0\0", Value::F32(1.5)),
        ("f32", Msgpack, b"\x03", Value::F32(3.0)),
        ("f64", Cbor, b"\xf9\x7c\0", Value::F64(f64::INFINITY)),
        ("f64", Cbor, b"\x69-Infinity", Value::F64(f64::NEG_INFINITY)),
        ("f32", Bson, b"\x01\0\0\0\0\0\0\xf8\x3f", Value::F32(1.5)),
        // Text and bytes, in pieces too.
        ("string", Msgpack, b"\xd9\x01a", text("a")),
        ("string", Msgpack, b"\xda\0\x01a", text("a")),
        ("string", Msgpack, b"\xdb\0\0\0\x01a", text("a")),
        ("list<u8>", Msgpack, b"\xc6\0\0\0\x01\xff", Value::Bytes(vec![255])),
        ("string", Cbor, b"\x7f\x61a\x62bc\x60\xff", text("abc")),
        ("list<u8>", Cbor, b"\x5f\x41\x01\x42\x02\x03\xff", Value::Bytes(vec![1, 2, 3])),
        ("list<u8>", Cbor, b"\xd8\x17\x41\x01", Value::Bytes(vec![1])),
        ("list<u8>", Bson, b"\x05\x01\0\0\0\x80\xff", Value::Bytes(vec![255])),
        ("list<u8>", Bson, b"\x05\x05\0\0\0\x02\x01\0\0\0\xff", Value::Bytes(vec![255])),
        // Lists and maps.
        ("list<u32>", Msgpack, b"\xdc\0\x03\x01\x02\x03", three()),
        ("list<u32>", Cbor, b"\x9f\x01\x02\x03\xff", three()),
        ("list<u32>", Cbor, b"\xc1\xd9\xd9\xf7\x98\x03\x01\xc2\x02\x03", three()),
        ("list<u32>", Bson, b"\x04\x12\0\0\0\x10x\0\x01\0\0\0\x10\0\x02\0\0\0\0", Value::List(vec![Value::U32(1), Value::U32(2)])),
        (
            "map<s8, bool>",
            Msgpack,
            b"\xde\0\x02\xff\xc2\xa17\xc3",
            Value::Map(vec![(Value::S8(-1), Value::Bool(false)), (Value::S8(7), Value::Bool(true))]),
        ),
        (
            "map<bool, u8>",
            Cbor,
            b"\xbf\xf5\x01\x65false\x02\xff",
            Value::Map(vec![(Value::Bool(true), Value::U8(1)), (Value::Bool(false), Value::U8(2))]),
        ),
        // What is not there, and what stands for it.
        ("option<u8>", Msgpack, b"\xc0", Value::Variant(0, None)),
        ("option<u8>", Cbor, b"\xf6", Value::Variant(0, None)),
        ("option<u8>", Cbor, b"\xf7", Value::Variant(0, None)),
        ("option<u8>", Bson, b"\x0a", Value::Variant(0, None)),
        ("string", Bson, b"\x06", text("")),
    ];
    for (ty, codec, bytes, value) in rows {
        assert_eq!(read(ty, codec, bytes), Ok(value), "{ty} in {codec:?} from {bytes:02x?}");
    }
}

#[test]
fn an_error_names_the_path_and_what_was_expected_and_found() {
    use Codec::{Bson, Cbor, Msgpack};
    let rows: Vec<(&str, Codec, &[u8], &str)> = vec![
        ("u8", Msgpack, b"\xcd\x01\0", "v: expected a number from 0 to 255, got 256"),
        ("u8", Msgpack, b"\xff", "v: expected a number from 0 to 255, got -1"),
        ("u8", Msgpack, b"\xcb\x3f\xf8\0\0\0\0\0\0", "v: expected a number from 0 to 255, got 1.5"),
        ("u8", Msgpack, b"\xa1x", "v: expected a number from 0 to 255, got \"x\""),
        ("u8", Msgpack, b"\xc4\x01x", "v: expected a number from 0 to 255, got bytes"),
        ("u8", Msgpack, b"\x80", "v: expected a number from 0 to 255, got a map"),
        ("u8", Msgpack, b"\xc7\x01\x05\0", "v: expected a number from 0 to 255, got an extension type, which has no meaning here"),
        (
            "s64",
            Cbor,
            b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
            "v: expected a number from -9223372036854775808 to 9223372036854775807, got -18446744073709551616",
        ),
        ("f32", Msgpack, b"\xcb\x7f\xe0\0\0\0\0\0\0", "v: expected a number within the range of the type, got 8.98846567431158e307"),
        ("string", Cbor, b"\x41x", "v: expected a string, got bytes"),
        ("string", Cbor, b"\xf5", "v: expected a string, got true"),
        ("string", Cbor, b"\xe0", "v: expected a string, got a simple value that is neither true, false nor null"),
        ("string", Bson, b"\x07abcdefghijkl", "v: expected a string, got an ObjectId"),
        ("list<u8>", Cbor, b"\x61x", "v: expected bytes, got \"x\""),
        ("list<u8>", Bson, b"\x02\x02\0\0\0x\0", "v: expected binary data, got \"x\""),
        ("list<bool>", Msgpack, b"\x92\xc3\x01", "v[1]: expected true or false, got 1"),
        ("list<bool>", Cbor, b"\xa0", "v: expected a list, got a map"),
        ("tuple<u8>", Msgpack, b"\x91\x01", "v: expected a map (TupleU8), got a list"),
        ("tuple<u8>", Bson, b"\x10\0\0\0\0", "v: expected a document (TupleU8), got 0"),
        ("tuple<u8>", Cbor, b"\xa1\x01\x02", "v: expected a field's name, got 1"),
        ("tuple<u8>", Cbor, b"\xa1\x61f\x02", "v.f: unknown field; did you mean `f0`?"),
        ("tuple<u8>", Msgpack, b"\x82\xa2f0\x01\xa2f0\x01", "v.f0: given twice"),
        ("map<u8, u8>", Msgpack, b"\x81\xcd\x01\0\x01", "v[256]: expected a number from 0 to 255, got 256"),
        ("map<u8, u8>", Msgpack, b"\x82\x01\x01\x01\x02", "v[1]: given twice"),
        ("map<u8, u8>", Msgpack, b"\x81\x90\x01", "v: expected a key that is a string, an integer, true or false, got a list"),
        ("map<string, u8>", Cbor, b"\xa1\x07\x01", "v[7]: expected a string for a key, got 7"),
        ("map<u8, u8>", Bson, b"\x03\x0c\0\0\0\x10x\0\x01\0\0\0\0", "v[\"x\"]: expected a number from 0 to 255, got \"x\""),
        ("result", Cbor, b"\xa1\x62ok\x01", "v.ok: expected an empty map, got 1"),
        ("result", Cbor, b"\xa1\x62ok\xa1\x61x\x01", "v.ok: expected an empty map, got one with \"x\""),
    ];
    for (ty, codec, bytes, message) in rows {
        assert_eq!(read(ty, codec, bytes), Err(message.to_string()), "{ty} in {codec:?} from {bytes:02x?}");
    }
}

#[test]
fn what_is_not_of_the_format_is_told_with_its_place() {
    use Codec::{Bson, Cbor, Msgpack};
    let rows: Vec<(&str, Codec, &[u8], &str)> = vec![
        ("string", Msgpack, b"\xa2\xffx", "v: the message is no MessagePack at byte 4: expected UTF-8"),
        ("string", Msgpack, b"\xc1", "v: the message is no MessagePack at byte 3: expected a string, got 0xc1"),
        ("u8", Msgpack, b"\x01\x01", "the message is no MessagePack at byte 4: expected the end of the message, got more"),
        ("u8", Cbor, b"\x1c", "v: the message is no CBOR at byte 4: expected a length or a number after 0x1c"),
        ("u8", Cbor, b"\xdf\x01", "v: the message is no CBOR at byte 4: expected a length or a number after 0xdf"),
        (
            "string",
            Cbor,
            b"\x7f\x61a\x41b\xff",
            "v: the message is no CBOR at byte 6: expected another piece of the string, or its end, got 0x41",
        ),
        (
            "string",
            Cbor,
            b"\x7f\x7f\xff\xff",
            "v: the message is no CBOR at byte 5: expected another piece of the string, or its end, got 0xff",
        ),
        ("list<u8>", Cbor, b"\xff", "v: the message is no CBOR at byte 3: expected bytes, got 0xff"),
        ("bool", Bson, b"\x08\x02", "v: the message is no BSON at byte 8: expected 0x00 or 0x01 before this, got 0x02"),
        ("u8", Bson, b"\x55", "v: the message is no BSON at byte 7: expected a known type of element before this, got 0x55"),
        ("string", Bson, b"\x02\0\0\0\0", "v: the message is no BSON at byte 11: expected the string to end with 0x00, got 0x00"),
        ("string", Bson, b"\x02\x01\0\0\0x", "v: the message is no BSON at byte 11: expected the string to end with 0x00, got 0x78"),
        ("string", Bson, b"\x02\xff\xff\xff\xff", "v: the message is no BSON at byte 11: expected a length before this, got -1"),
        (
            "list<u8>",
            Bson,
            b"\x05\x05\0\0\0\x02\x02\0\0\0\xff",
            "v: the message is no BSON at byte 16: expected both lengths of the binary data to agree",
        ),
        (
            "list<u8>",
            Bson,
            b"\x04\x07\0\0\0\0",
            "v: the message is no BSON at byte 12: expected the document to end at byte 14, as its length says",
        ),
    ];
    for (ty, codec, bytes, message) in rows {
        // BSON's arrays are no binary data, which is not what is tried here.
        let ty = if bytes[0] == 0x04 { "list<bool>" } else { ty };
        assert_eq!(read(ty, codec, bytes), Err(message.to_string()), "{ty} in {codec:?} from {bytes:02x?}");
    }
}

#[test]
fn lengths_that_promise_more_than_there_is_are_refused() {
    use Codec::{Bson, Cbor, Msgpack};
    let rows: Vec<(&str, Codec, &[u8])> = vec![
        ("string", Msgpack, b"\xdb\xff\xff\xff\xff"),
        ("list<u8>", Msgpack, b"\xc6\xff\xff\xff\xff"),
        ("list<u32>", Msgpack, b"\xdd\xff\xff\xff\xff"),
        ("map<u8, u8>", Msgpack, b"\xdf\xff\xff\xff\xff"),
        ("string", Cbor, b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("list<u8>", Cbor, b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("list<u32>", Cbor, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("map<u8, u8>", Cbor, b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("string", Bson, b"\x02\xff\xff\xff\x7f"),
        ("list<u8>", Bson, b"\x05\xff\xff\xff\x7f\0"),
        ("list<u32>", Bson, b"\x04\xff\xff\xff\x7f\0"),
    ];
    for (ty, codec, bytes) in rows {
        let told = read(ty, codec, bytes).expect_err("it is too long");
        assert!(told.starts_with("v: ") || told.starts_with("v[0]: "), "{told}");
        assert!(told.contains("the end of the message") || told.contains("as its length says"), "{told}");
    }
}

#[test]
fn tags_and_pieces_without_end_take_no_more_than_the_message() {
    let tags = vec![0xc1; 1 << 20];
    assert!(read("u8", Codec::Cbor, &tags).expect_err("no item follows").contains("the end of the message"));
    let nested = vec![0x9f; 1 << 20];
    assert_eq!(read("list<u8>", Codec::Cbor, &nested), Err("v: expected bytes, got a list".into()));
    let empty = [&[0x5f][..], &vec![0x40; 1 << 20], &[0xff]].concat();
    assert_eq!(read("list<u8>", Codec::Cbor, &empty), Ok(Value::Bytes(Vec::new())));
}

#[test]
fn a_message_cut_short_anywhere_is_refused() {
    let schema = zoo();
    let methods = || schema.services.iter().flat_map(|service| &service.methods);
    let method = methods().find(|method| method.function == "echo-scalars").expect("the function is there");
    let mut random = Random(7);
    for codec in [Codec::Json, Codec::Msgpack, Codec::Cbor, Codec::Bson] {
        for _ in 0..20 {
            let value = random::value(&mut random, &method.types, method.types.message(method.plan.request));
            let body = method.encode(codec, Some(value), 1 << 20).expect("the value is of its type");
            assert!(method.decode(codec, &body).is_ok());
            for end in 0..body.len() {
                let status = method.decode(codec, &body[..end]).expect_err("the message is cut");
                assert_eq!(status.code(), Code::InvalidArgument, "{codec:?} {status}");
            }
        }
    }
}

#[test]
fn a_key_that_bson_cannot_hold_is_told_so() {
    let value = Value::Record(vec![Value::Map(vec![(Value::String("a\0b".into()), Value::U8(1))])]);
    let status = echo("map<string, u8>").encode(Codec::Bson, Some(value), 1 << 10).expect_err("the key has a NUL");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unimplemented, "BSON cannot hold the reply: the map's key \"a\\0b\" has a NUL in it; ask for another codec")
    );
}

#[test]
fn a_key_given_twice_is_written_once_with_its_last_value() {
    let entries = [(1, 1), (2, 2), (1, 3)].map(|(key, value)| (Value::U8(key), Value::U8(value)));
    let value = Value::Map(entries.to_vec());
    assert_eq!(written("map<u8, u8>", Codec::Json, value.clone()), br#"{"v":{"1":3,"2":2}}"#);
    assert_eq!(written("map<u8, u8>", Codec::Msgpack, value.clone()), b"\x81\xa1v\x82\x01\x03\x02\x02");
    assert_eq!(written("map<u8, u8>", Codec::Cbor, value), b"\xa1\x61v\xa2\x01\x03\x02\x02");
}

#[test]
fn every_codec_is_found_by_its_name() {
    for codec in Codec::ALL {
        assert_eq!(Codec::named(codec.name()), Some(codec));
    }
    assert_eq!(Codec::named("xml"), None);
}
