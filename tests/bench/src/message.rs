//! The call that every server answers: a small record, echoed. One type for JSON and protobuf, so
//! that what is compared is the servers and not the work.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The service, which the component `guests/echo` is in microhost.
pub const SERVICE: &str = "test.echo.Echo";
/// The path of the method, the same for JSON and for gRPC.
pub const PATH: &str = "/test.echo.Echo/Echo";

/// The request, and the reply to it.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Message {
    /// A 64-bit number, which proto3 JSON writes as a string.
    #[prost(uint64, tag = "1")]
    #[serde(serialize_with = "to_decimal", deserialize_with = "from_decimal")]
    pub id: u64,
    /// Most of the bytes.
    #[prost(string, tag = "2")]
    pub text: String,
    /// A list, so that more than flat fields is decoded.
    #[prost(string, repeated, tag = "3")]
    pub tags: Vec<String>,
}

impl Message {
    /// The message of every call: about a hundred bytes in JSON.
    pub fn sample() -> Message {
        Message {
            id: 1,
            text: "sixty-four characters of plain text, as a small call would carry".into(),
            tags: vec!["a".into(), "b".into()],
        }
    }
}

fn to_decimal<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn from_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Decimal)
}

/// Reads a number that is written as a string or as itself, without a copy of the string.
struct Decimal;

impl Visitor<'_> for Decimal {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a whole number, or one in a string")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_written_as_proto3_json() {
        let json = serde_json::to_string(&Message::sample()).expect("plain data");
        assert_eq!(json, r#"{"id":"1","text":"sixty-four characters of plain text, as a small call would carry","tags":["a","b"]}"#);
        assert_eq!(Message::sample().text.len(), 64);
    }

    #[test]
    fn a_number_is_read_from_a_string_and_from_itself() {
        for id in ["\"18446744073709551615\"", "18446744073709551615"] {
            let message: Message = serde_json::from_str(&format!(r#"{{"id":{id},"text":"","tags":[]}}"#)).expect("valid JSON");
            assert_eq!(message.id, u64::MAX);
        }
    }
}
