//! The table of codecs: by what name each goes, and what reads and writes it.

use super::fault::Fault;
use super::model::{Message, Types};
use super::{Value, bson, cbor, json, msgpack, proto};

/// How the bytes of a message are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Protobuf's binary encoding.
    Proto,
    /// Proto3 JSON.
    Json,
    /// MessagePack, with the names of proto3 JSON.
    Msgpack,
    /// CBOR, with the names of proto3 JSON.
    Cbor,
    /// BSON, with the names of proto3 JSON.
    Bson,
}

type Decode = fn(&Types, &Message, &[u8]) -> Result<Value, Fault>;
type Encode = fn(&Types, &Message, &Value, usize) -> Result<Vec<u8>, Fault>;

/// What is known of a codec.
struct Row {
    name: &'static str,
    content_types: &'static [&'static str],
    decode: Decode,
    encode: Encode,
}

const PROTO: Row = Row { name: "proto", content_types: &["application/proto"], decode: proto::decode, encode: proto::encode };
const JSON: Row = Row { name: "json", content_types: &["application/json"], decode: json::decode, encode: json::encode };
const MSGPACK: Row = Row {
    name: "msgpack",
    // The second is the registered name, the third is from before there was one.
    content_types: &["application/msgpack", "application/vnd.msgpack", "application/x-msgpack"],
    decode: msgpack::decode,
    encode: msgpack::encode,
};
const CBOR: Row = Row { name: "cbor", content_types: &["application/cbor"], decode: cbor::decode, encode: cbor::encode };
const BSON: Row = Row { name: "bson", content_types: &["application/bson"], decode: bson::decode, encode: bson::encode };

impl Codec {
    /// All codecs.
    pub const ALL: [Codec; 5] = [Codec::Json, Codec::Proto, Codec::Msgpack, Codec::Cbor, Codec::Bson];

    fn row(self) -> &'static Row {
        match self {
            Codec::Proto => &PROTO,
            Codec::Json => &JSON,
            Codec::Msgpack => &MSGPACK,
            Codec::Cbor => &CBOR,
            Codec::Bson => &BSON,
        }
    }

    /// The codec's name: `proto`, `json`, `msgpack`, `cbor`, `bson`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The codec of this name.
    pub fn named(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The content types of a body that is one message; the first is the one to send.
    pub fn content_types(self) -> &'static [&'static str] {
        self.row().content_types
    }

    /// Reads a whole message.
    pub(super) fn decode(self, types: &Types, message: &Message, body: &[u8]) -> Result<Value, Fault> {
        (self.row().decode)(types, message, body)
    }

    /// Writes a whole message of at most `limit` bytes.
    pub(super) fn encode(self, types: &Types, message: &Message, value: &Value, limit: usize) -> Result<Vec<u8>, Fault> {
        (self.row().encode)(types, message, value, limit)
    }
}
