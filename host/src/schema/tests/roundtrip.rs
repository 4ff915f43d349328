//! Values go there and back, through our own codecs and through those of another implementation.

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use super::random::{self, Random, comparable};
use super::{schema, zoo};
use crate::schema::{Codec, Method, Schema, Value};
use crate::status::{Code, Status};

const LIMIT: usize = 1 << 20;

struct Case {
    method: Method,
    request: MessageDescriptor,
    value: Value,
}

/// A random value for the request, of a method whose reply is of the same type.
fn case(schema: Schema, function: &str, random: &mut Random) -> Case {
    let pool = DescriptorPool::from_file_descriptor_set(schema.descriptors()).expect("the descriptors hold together");
    let methods = schema.services.into_iter().flat_map(|service| service.methods);
    let method = methods.into_iter().find(|method| method.function == function).expect("the function is there");
    let request = pool.get_message_by_name(method.input()).expect("the request is described");
    let value = random::value(random, &method.types, method.types.message(method.plan.request));
    Case { method, request, value }
}

impl Case {
    fn write(&self, codec: Codec) -> Vec<u8> {
        self.try_write(codec).expect("the value is of its type")
    }

    fn try_write(&self, codec: Codec) -> Result<Vec<u8>, Status> {
        let result = match self.method.plan.fallible {
            true => Value::Variant(0, Some(Box::new(self.value.clone()))),
            false => self.value.clone(),
        };
        self.method.encode(codec, Some(result), LIMIT).map(Vec::from)
    }

    fn read(&self, codec: Codec, body: &[u8]) -> String {
        let values = self.method.decode(codec, body);
        let values = values.unwrap_or_else(|status| panic!("{status} in {codec:?} {:?}", String::from_utf8_lossy(body)));
        comparable(&values[0])
    }

    fn check(&self) {
        let expected = comparable(&self.value);
        let binary = self.write(Codec::Proto);
        let json = self.write(Codec::Json);
        assert_eq!(self.read(Codec::Proto, &binary), expected, "protobuf");
        assert_eq!(self.read(Codec::Json, &json), expected, "JSON {}", String::from_utf8_lossy(&json));

        let other = DynamicMessage::decode(self.request.clone(), binary.as_slice()).expect("the other reads our protobuf");
        assert_eq!(self.read(Codec::Proto, &other.encode_to_vec()), expected, "the other's protobuf");
        let text = serde_json::to_vec(&other).expect("the other writes JSON");
        assert_eq!(self.read(Codec::Json, &text), expected, "the other's JSON {}", String::from_utf8_lossy(&text));

        let mut reader = serde_json::Deserializer::from_slice(&json);
        let other = DynamicMessage::deserialize(self.request.clone(), &mut reader);
        let other = other.unwrap_or_else(|error| panic!("the other reads our JSON: {error} in {}", String::from_utf8_lossy(&json)));
        // serde_json's floats may be off in their last bit, so only what it read is compared with
        // what it writes, where there are any.
        let again = self.read(Codec::Proto, &other.encode_to_vec());
        if !expected.contains('F') {
            assert_eq!(again, expected, "our JSON, read by the other");
        }
        self.check_documents(&expected);
    }

    fn check_documents(&self, expected: &str) {
        let msgpack = self.write(Codec::Msgpack);
        assert_eq!(self.read(Codec::Msgpack, &msgpack), expected, "MessagePack");
        let other = rmpv::decode::read_value(&mut &*msgpack).expect("the other reads our MessagePack");
        let mut again = Vec::new();
        rmpv::encode::write_value(&mut again, &other).expect("the other writes MessagePack");
        // It, too, writes everything in its shortest form.
        assert_eq!(again, msgpack, "the other's MessagePack of {other}");

        let cbor = self.write(Codec::Cbor);
        assert_eq!(self.read(Codec::Cbor, &cbor), expected, "CBOR");
        let other: ciborium::Value = ciborium::from_reader(&*cbor).expect("the other reads our CBOR");
        let mut again = Vec::new();
        ciborium::into_writer(&other, &mut again).expect("the other writes CBOR");
        assert_eq!(again, cbor, "the other's CBOR of {other:?}");

        match self.try_write(Codec::Bson) {
            Ok(bson) => assert_eq!(self.read(Codec::Bson, &bson), expected, "BSON"),
            // It has no way to say such a key.
            Err(status) => {
                assert_eq!(status.code(), Code::Unimplemented, "{status}");
                assert!(status.message().starts_with("BSON cannot hold the reply: the map's key "), "{status}");
                assert!(expected.contains("\\0"), "{expected}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_types_and_values_survive_every_codec_and_other_implementations(seed: u64) {
        let mut random = Random(seed);
        let wit = random::package(&mut random);
        let schema = schema(&wit);
        prop_assert!(schema.refused.is_empty(), "{:?}", schema.refused);
        case(schema, "echo", &mut random).check();
    }

    #[test]
    fn values_of_every_type_survive_every_codec_and_other_implementations(seed: u64) {
        case(zoo(), "echo-nested", &mut Random(seed)).check();
        case(zoo(), "echo-scalars", &mut Random(seed)).check();
    }

    #[test]
    fn a_message_in_two_pieces_is_the_two_merged(seed: u64) {
        let mut random = Random(seed);
        let wit = random::package(&mut random);
        let (first, second) = (case(schema(&wit), "echo", &mut random), case(schema(&wit), "echo", &mut random));
        let joined = [first.write(Codec::Proto), second.write(Codec::Proto)].concat();
        let other = DynamicMessage::decode(first.request.clone(), joined.as_slice()).expect("the other reads both");
        // Two fixed lists are one that is too long, for both; which error comes first is all one.
        let ours = first.method.decode(Codec::Proto, &joined).map(|values| comparable(&values[0])).ok();
        let theirs = first.method.decode(Codec::Proto, &other.encode_to_vec()).map(|values| comparable(&values[0])).ok();
        prop_assert_eq!(ours, theirs);
    }
}
